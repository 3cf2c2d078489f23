"""The reference clock of a description, ts-refclk (RFC 7273, 4.8)."""

from __future__ import annotations

from dataclasses import dataclass

from aes67.config.clock import WITHOUT_PTP, media_profiles
from aes67.config.model import Config
from aes67.wire.sdp_stream import AudioStream

GPTP = "gptp"
"""Name of the profile."""
TRACEABLE = "ptp=IEEE1588-2008:traceable"


@dataclass(frozen=True)
class OtherClock:
    """The second clock domain as far as streams go; None is what is not known.

    `gmid` as a description has it; `ahead_ns` and `ahead_ppm`: of the media clock.
    """

    name: str
    gmid: str
    domain: int
    ahead_ns: int | None = None
    ahead_ppm: float | None = None


def keeps_to(audio: AudioStream, other: OtherClock | None) -> bool:
    """Whether a stream's timestamps are of the second clock, as its description says."""
    return other is not None and any(
        clock.kind == "ptp"
        and clock.gmid == other.gmid
        and clock.domain in (None, other.domain)
        for clock in audio.ref_clocks
    )


def keeps_to_note(audio: AudioStream, other: OtherClock | None, ours: str) -> str:
    """What is to be said of a sink whose stream keeps to the second clock; empty: nothing.

    Args:
        ours: name of the media clock.
    """
    if other is None or not keeps_to(audio, other):
        return ""
    apart = ""
    if other.ahead_ns is not None and other.ahead_ppm is not None:
        way = "ahead of" if other.ahead_ns >= 0 else "behind"
        apart = f", {abs(other.ahead_ns) / 1e9:.6g} s {way} ours and {other.ahead_ppm:+.3f} ppm"
    return (
        f"its sender runs on the clock {other.name}, not on {ours}{apart}: there is no resampling "
        "between clocks yet, so it is right only as far as both have the same time"
    )


def is_gptp(config: Config) -> bool:
    """Whether the media clock's time is that of an 802.1AS network and no other."""
    if config.clock_mode.startswith(WITHOUT_PTP):
        return False
    return all(profile.name == GPTP for profile in media_profiles(config))


def ptp_reference(gmid: str, domain: int, *, gptp: bool) -> str:
    """The value that names a grandmaster; with 802.1AS there is no domain in it."""
    return f"ptp=IEEE802.1AS-2011:{gmid}" if gptp else f"ptp=IEEE1588-2008:{gmid}:{domain}"
