"""The contract's sink flags, from counters: latched until read, as the kernel driver's were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RECENT_NS = 100_000_000
"""A packet this young counts as being received, even for a reader who came a moment ago."""

STOPPED_NS = 1_000_000_000
"""A source whose newest packet is older has stopped: its clock is unlocked, or the engine hangs."""

GROWING = {
    "rtp_seq_id_error": "sequence_errors",
    "rtp_ssrc_error": "wrong_ssrc",
    "rtp_payload_type_error": "wrong_payload_type",
    "rtp_sac_error": "timestamp_errors",
    "receiving_rtp_packet": "packets",
    "some_muted": "",
    "all_muted": "silent_frames",
    "muted": "silent_frames",
}
"""Flag, in the contract's order: the counter whose growth since the last read sets it.

`some_muted` is set by `leg_missing`.
"""

NO_FLAGS = dict.fromkeys(GROWING, False)


def flags(
    counters: Mapping[str, int] | None,
    before: Mapping[str, int] | None,
    media_now_ns: int,
    missing: bool = False,
) -> dict[str, bool]:
    """Flags of a sink from its counters now and at the last read; `missing`: see `leg_missing`.

    Without counters (no engine yet) nothing is received and all is muted. Counters of another
    identity, or of an engine started since, are compared with zero.
    """
    if not counters:
        return NO_FLAGS | {"all_muted": True, "muted": True}
    if before is None or before["identity"] != counters["identity"]:
        before = {}
    grown = {
        flag: bool(name) and counters[name] > _base(before, counters, name)
        for flag, name in GROWING.items()
    }
    recent = counters["packets"] > 0 and (
        media_now_ns - counters["last_arrival_media_ns"] < RECENT_NS
    )
    grown["receiving_rtp_packet"] |= recent
    silent = bool(counters["muted"])
    grown["muted"] |= silent
    grown["all_muted"] |= silent
    grown["some_muted"] = missing and not silent
    return grown


def is_sending(
    counters: Mapping[str, int] | None, frames: int, rate: int, media_now_ns: int
) -> bool:
    """Whether a source's newest packet, of so many frames at `rate`, is of the last second."""
    if not counters or not counters["packets"]:
        return False
    end_ns = (counters["last_packet"] + 1) * frames * 10**9 // rate
    return media_now_ns - end_ns < STOPPED_NS


def leg_missing(legs: Sequence[Mapping[str, Any]], wanted: int, rate: int) -> bool:
    """Whether one of two legs (ST 2022-7) is silent while the other is heard.

    Args:
        legs: counters of the legs.
        wanted: how many the sink is to be received by.
    """
    if wanted < 2 or len(legs) < wanted:
        return False
    newest = [int(each["last_frame"]) if each["ssrc"] >= 0 else 0 for each in legs[:wanted]]
    return max(newest) - min(newest) > rate * RECENT_NS // 10**9


def _base(before: Mapping[str, int], now: Mapping[str, int], name: str) -> int:
    """The counter at the last read; 0 if it has been reset since."""
    base = before.get(name, 0)
    return base if base <= now[name] else 0


def minimum_time_ms(counters: Mapping[str, int] | None, rate: int) -> int:
    """`sink_min_time`: least time in ms between a packet's arrival and its time due; 0 unknown."""
    if not counters or not counters["packets"]:
        return 0
    frames = counters["margin_min_frames"]
    return 0 if frames >= 2**62 else max(0, frames * 1000 // rate)
