"""Media frames, media time and the clock page's lines as kernels: exact integers, no clock is read.

Frame n begins at the first nanosecond at which `frame_at` reaches n. Nothing is accumulated, so a
frame number found today and one found after a restart are the same.
"""

from __future__ import annotations

from aes67.jit import kernel
from aes67.shm.layout import RATE_FRACTION_BITS

SECOND_NS = 1_000_000_000
_LOW_BITS = 32
_LOW_MASK = (1 << _LOW_BITS) - 1
_REST_BITS = RATE_FRACTION_BITS - _LOW_BITS


@kernel
def frame_at(media_ns: int, rate: int) -> int:
    """Frames of `rate` per second that have begun since the epoch, at `media_ns`."""
    return (media_ns // SECOND_NS) * rate + (media_ns % SECOND_NS) * rate // SECOND_NS


@kernel
def begin_of(frame: int, rate: int) -> int:
    """The first nanosecond of media time that belongs to `frame`."""
    return (frame // rate) * SECOND_NS + ((frame % rate) * SECOND_NS + rate - 1) // rate


@kernel
def stretched(span_ns: int, rate_q40: int) -> int:
    """`span_ns * rate_q40 >> 40`, exact and without overflow for any span at up to 1900 ppm."""
    low = (span_ns & _LOW_MASK) * rate_q40 >> _LOW_BITS
    return ((span_ns >> _LOW_BITS) * rate_q40 + low) >> _REST_BITS


@kernel
def media_at(raw_ns: int, line_raw_ns: int, line_media_ns: int, rate_q40: int) -> int:
    """Media time at CLOCK_MONOTONIC_RAW `raw_ns` on the clock page's line."""
    span = raw_ns - line_raw_ns
    return line_media_ns + span + stretched(span, rate_q40)


@kernel
def raw_at(media_ns: int, line_raw_ns: int, line_media_ns: int, rate_q40: int) -> int:
    """CLOCK_MONOTONIC_RAW at which the line reaches `media_ns`, within 1 ns.

    Each round divides the error by the rate (at most 5e-4): three are exact for spans of hours.
    """
    wanted = media_ns - line_media_ns
    span = wanted
    for _ in range(3):
        span = wanted - stretched(span, rate_q40)
    return line_raw_ns + span
