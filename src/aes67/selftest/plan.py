"""What a self-test sends: from format, rate, channels, codec and packet time to streams.

Pure. A stream's payload has to fit an Ethernet frame, so many channels become several streams.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from aes67.errors import Refused
from aes67.selftest.samples import WIRE_BITS, SampleFormat, sample_format

RATES = (44100, 48000, 88200, 96000, 176400, 192000, 352800, 384000)
MAX_PAYLOAD_BYTES = 1460
MAX_STREAMS = 64
MAX_CHANNELS = 64
PACKET_TIMES_NS = (125_000, 250_000, 333_333, 1_000_000, 2_000_000, 4_000_000)
TICK_NS = 250_000
"""The tick asked for by the least delay: the engine's is as long as delays allow."""


@dataclass(frozen=True)
class Case:
    """One combination to test."""

    form: SampleFormat
    rate: int
    channels: int
    codec: str
    packet_ns: int
    streams: int

    @property
    def frames_per_packet(self) -> int:
        """Frames in a packet: the packet time at the 48 kHz of the rate's family member.

        1 ms is 48 frames at 44.1 kHz too (AES67 7.2.1: 1.09 ms), 96 at 88.2 and 96 kHz.
        """
        return frames_per_packet(self.rate, self.packet_ns)

    @property
    def stream_channels(self) -> int:
        """Channels in each of the streams."""
        return self.channels // self.streams

    @property
    def wire_bits(self) -> int:
        """Bits of a sample on the wire."""
        return WIRE_BITS[self.codec]

    @property
    def tick_frames(self) -> int:
        """Frames of the tick the least delay asks for: 250 us rounded up, at most a packet."""
        return min(-(-self.rate * TICK_NS // 10**9), self.frames_per_packet)

    def least_delay(self, margin_ticks: int = 1) -> int:
        """Least sensible sink delay in frames: a packet, two ticks, and a margin of ticks.

        A frame leaves when its packet is full and the tick after that has come; it is received at
        that tick or the next one.
        """
        return self.frames_per_packet + (2 + margin_ticks) * self.tick_frames

    def relaxed_delay(self) -> int:
        """A sink delay for a test of samples, not of latency: four packets, at least 20 ms.

        The ALSA buffers and the backlog a sender keeps bear as much.
        """
        return max(4 * self.frames_per_packet, self.rate // 50)

    def name(self) -> str:
        """Short text of the case, such as `S24_3LE 48000 Hz 2 ch L24 1 ms`."""
        return (
            f"{self.form.name} {self.rate} Hz {self.channels} ch {self.codec} "
            f"{time_text(self.packet_ns)}"
            + (f" in {self.streams} streams" if self.streams > 1 else "")
        )


def frames_per_packet(rate: int, packet_ns: int) -> int:
    """Frames of a packet of `packet_ns` at `rate`, counted at 48 kHz times 1, 2, 4 or 8."""
    return max(1, round(packet_ns * 48_000 * _factor(rate) / 10**9))


def _factor(rate: int) -> int:
    return next(factor for factor in (1, 2, 4, 8) if rate <= 48_000 * factor)


def time_text(packet_ns: int) -> str:
    """`1 ms`, `125 us`."""
    return f"{packet_ns // 10**6} ms" if packet_ns >= 10**6 else f"{packet_ns // 1000} us"


def packet_time(text: str) -> int:
    """Nanoseconds of `1ms`, `125us`, `0.333ms`; Refused when it is none of the packet times."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|us|µs)\s*", text)
    known = ", ".join(time_text(value).replace(" ", "") for value in PACKET_TIMES_NS)
    if match is None:
        raise Refused("packet-time", text, f"a time such as 1ms or 125us: {known}")
    value = float(match[1]) * (10**6 if match[2] == "ms" else 10**3)
    for known_ns in PACKET_TIMES_NS:
        if abs(known_ns - value) < 1000:
            return known_ns
    raise Refused("packet-time", text, f"one of {known}")


def case(
    form: str, rate: int, channels: int, codec: str, packet: str, streams: int | None = None
) -> Case:
    """A checked case; `streams` None takes as few as fit the payload. Raises Refused."""
    checked = sample_format(form)
    if rate not in RATES:
        raise Refused("rate", rate, f"one of {', '.join(map(str, RATES))}")
    if not 1 <= channels <= MAX_CHANNELS:
        raise Refused("channels", channels, f"1 to {MAX_CHANNELS}")
    if codec not in WIRE_BITS:
        raise Refused("codec", codec, f"one of {', '.join(WIRE_BITS)}")
    packet_ns = packet_time(packet)
    frame_bytes = frames_per_packet(rate, packet_ns) * WIRE_BITS[codec] // 8
    fitting = [
        count
        for count in range(1, MAX_STREAMS + 1)
        if channels % count == 0 and channels // count * frame_bytes <= MAX_PAYLOAD_BYTES
    ]
    if not fitting:
        rule = f"one channel takes {frame_bytes} bytes a packet, more than {MAX_PAYLOAD_BYTES}"
        raise Refused("packet-time", packet, f"{rule}; choose a shorter one")
    if streams is None:
        streams = fitting[0]
    if streams not in fitting:
        raise Refused("sources", streams, f"one of {', '.join(map(str, fitting))} for this case")
    return Case(checked, rate, channels, codec, packet_ns, streams)


def source(case: Case, index: int, name: str = "selftest") -> dict[str, Any]:
    """Body of the request that creates stream `index` of a case."""
    first = index * case.stream_channels
    return {
        "enabled": True,
        "name": f"{name} {index}",
        "io": "Audio Device",
        "map": list(range(first, first + case.stream_channels)),
        "max_samples_per_packet": case.frames_per_packet,
        "codec": case.codec,
        "address": "",
        "ttl": 15,
        "payload_type": 98,
        "dscp": 34,
        "refclk_ptp_traceable": False,
    }


def sink(
    case: Case, index: int, sdp: str, delay_frames: int, name: str = "selftest"
) -> dict[str, Any]:
    """Body of the request that creates the sink receiving stream `index` of a case."""
    first = index * case.stream_channels
    return {
        "name": f"{name} {index}",
        "io": "Audio Device",
        "use_sdp": True,
        "source": "",
        "sdp": sdp,
        "delay": delay_frames,
        "ignore_refclk_gmid": True,
        "map": list(range(first, first + case.stream_channels)),
    }
