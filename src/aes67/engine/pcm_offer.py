"""What an application is offered of the device, and whether what it sets up is within that."""

from __future__ import annotations

import errno

from aes67.engine.alsa_messages import Caps, Hello, Setup
from aes67.engine.plan import RATES, Plan
from aes67.shm.layout import FORMATS, MAX_STREAM_CHANNELS, PLAYBACK, buffer_bytes_max

POINTER_QUANTUM_NS = 125_000
"""A pointer without steps makes readers spin at high rates; 125 us costs nothing anywhere."""
START_GRID_NS = 125_000
"""Streams started within one step of this grid are aligned to the sample."""
PERIOD_FRAMES_MIN_48K = 6
SAMPLE_BYTES = {"S16_LE": 2, "S24_3LE": 3, "S24_LE": 4, "S32_LE": 4, "FLOAT_LE": 4}
NANOSECONDS = 1_000_000_000


class Denied(Exception):
    """A request that is answered with an error number."""

    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode.get(number, str(number)))
        self.number = number


def offer(hello: Hello, plan: Plan, generation: int) -> Caps:
    """What `plan` offers to whoever said `hello`, as the engine of this generation.

    Raises:
        Denied: EINVAL, it has no such channels.
    """
    wanted = 1 if hello.is_control else max(hello.channels, 1)
    first = 0 if hello.is_control else hello.first
    if wanted > MAX_STREAM_CHANNELS or first + wanted > plan.device_channels:
        raise Denied(errno.EINVAL)
    most = min(MAX_STREAM_CHANNELS, plan.device_channels - first)
    delay_frames = plan.playback_delay_frames if hello.direction == PLAYBACK else 0
    return Caps(
        generation=generation,
        rates=RATES if plan.rate_follows_app else (plan.rate,),
        bus_channels=plan.device_channels,
        channels_min=hello.channels or 1,
        channels_max=hello.channels or most,
        period_frames_min=-(-PERIOD_FRAMES_MIN_48K * plan.rate // 48000),
        quantum_ns=POINTER_QUANTUM_NS,
        buffer_bytes_max=buffer_bytes_max(plan.rate, hello.channels),
        tick_ns=plan.tick_frames * NANOSECONDS // plan.rate,
        delay_ns=delay_frames * NANOSECONDS // plan.rate,
        grid_ns=START_GRID_NS,
    )


def check_setup(setup: Setup, caps: Caps) -> None:
    """Whether what a client wants to set up is within what it was offered.

    Raises:
        Denied: EINVAL, it is not.
    """
    if setup.rate not in caps.rates or setup.format >= len(FORMATS):
        raise Denied(errno.EINVAL)
    if not caps.channels_min <= setup.channels <= caps.channels_max:
        raise Denied(errno.EINVAL)
    frame_bytes = SAMPLE_BYTES[FORMATS[setup.format]] * setup.channels
    fixed = caps.channels_min if caps.channels_min == caps.channels_max else 0
    most = max(caps.buffer_bytes_max, buffer_bytes_max(setup.rate, fixed)) // frame_bytes
    if not 1 <= setup.period_frames <= setup.buffer_frames <= most:
        raise Denied(errno.EINVAL)
