"""Which `timing` of a sink fits what a description says of the sender's clock.

A sink with `direct` timing takes timestamps as PTP time and is sample-exact; `latched` measures the
offset from the first packets; `async` joins two unrelated clocks by resampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aes67.wire.sdp_stream import AudioStream

TRACEABLE_CLOCKS = ("gps", "gal", "glonass")
"""Reference clocks (RFC 7273) whose second is PTP's second, though we cannot compare the phase."""


@dataclass(frozen=True)
class TimingAdvice:
    """Which `timing` of a sink fits a stream, and why in words for the user."""

    timing: Literal["direct", "latched", "async"]
    reason: str


def timing_advice(stream: AudioStream) -> TimingAdvice:
    """Judge from the description alone whether the sender's media clock is PTP.

    `direct`: timestamps are PTP time plus a known offset. `latched`: PTP rate, offset not known.
    `async`: nothing ties the sender's clock to PTP.
    """
    clock = stream.media_clock
    ptp = next((each for each in stream.ref_clocks if each.kind == "ptp"), None)
    direct = clock is not None and clock.kind == "direct"
    if ptp is not None:
        which = f"PTP grandmaster {ptp.gmid}" if ptp.gmid else "PTP"
        which += f" domain {ptp.domain}" if ptp.domain is not None else ""
        if stream.timestamp_offset is not None and (direct or clock is None):
            return TimingAdvice(
                "direct", f"timestamps are {which} time with offset {stream.timestamp_offset}"
            )
        return TimingAdvice(
            "latched", f"the sender follows {which} but does not say its timestamp offset"
        )
    if not stream.ref_clocks:
        if direct or stream.sync_time is not None:
            return TimingAdvice(
                "latched", "a media clock offset is given, but no ts-refclk says to which clock"
            )
        return TimingAdvice("async", "the description names no reference clock")
    kinds = ", ".join(each.kind for each in stream.ref_clocks)
    if any(each.traceable or each.kind in TRACEABLE_CLOCKS for each in stream.ref_clocks):
        return TimingAdvice(
            "latched", f"the sender's clock ({kinds}) is traceable, so its rate is right, no more"
        )
    return TimingAdvice("async", f"the sender's clock ({kinds}) is not PTP")
