"""Counters of legs as they are shown, and what follows from them for the sink as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aes67.shm.layout import MAX_LEGS

NONE_YET = (1 << 63) - 1
"""A margin nobody has seen yet."""


def lost(leg: Mapping[str, Any]) -> int:
    """Packets that should have come on a leg and did not (RFC 3550, A.3); copies count against."""
    return max(0, int(leg["expected"]) - int(leg["packets"]))


def legs_of(number: int, legs: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The legs of a sink in their order, each with its loss; empty without an engine."""
    found = []
    for row in range(number * MAX_LEGS, (number + 1) * MAX_LEGS):
        if row in legs:
            found.append(dict(legs[row]) | {"lost": lost(legs[row])})
    return found


def summary(legs: list[dict[str, Any]]) -> dict[str, int]:
    """What a sink says of its arrivals: the least margin and the most jitter of its legs, and the
    margin of the newest packet."""
    heard = [each for each in legs if each["ssrc"] >= 0]
    newest = max(heard, key=lambda each: int(each["last_frame"]), default=None)
    return {
        "margin_frames": int(newest["margin_frames"]) if newest else 0,
        "margin_min_frames": min((int(each["margin_min_frames"]) for each in legs),
                                 default=NONE_YET),
        "jitter_q4": max((int(each["jitter_q4"]) for each in heard), default=0),
    }  # fmt: skip
