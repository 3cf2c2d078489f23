"""The clock's past for a graph: least, mean and greatest value of each bucket, in bounded memory.

One ring of buckets for each span. Times are given, in ns of a clock that never goes back; a bucket
in which nothing was heard stays empty, so a gap is a gap in the graph too.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from aes67.clock.timebase import NS

SERIES = (
    "offset_ns",
    "residual_ns",
    "uncertainty_ns",
    "rate_ppm",
    "path_delay_ns",
    "jitter_sync_ns",
    "jitter_delay_ns",
)
STATES = ("unlocked", "locking", "holdover", "locked")
"""From worse to better: a bucket keeps the worst one it saw."""
HOLD_NS = 5 * NS // 2
"""Snapshots come once a second: one stands for what follows, unless the next stays away so long."""
CHANGES = 64
"""Changes of state or grandmaster that are remembered."""
EMPTY = -1


@dataclass(frozen=True)
class Span:
    """How far back, and in how many buckets."""

    seconds: int
    buckets: int

    @property
    def bucket_ns(self) -> int:
        """Length of a bucket."""
        return self.seconds * NS // self.buckets


SPANS = {"1min": Span(60, 60), "1h": Span(3600, 360), "24h": Span(86_400, 480)}


@dataclass(frozen=True)
class Change:
    """The clock entered a state, or followed another grandmaster; `reason` as it was then."""

    at_ns: int
    state: str
    gmid: str
    reason: str


class Series:
    """One value over the buckets of a ring."""

    def __init__(self, buckets: int) -> None:
        self._least = array("d", bytes(8 * buckets))
        self._sum = array("d", bytes(8 * buckets))
        self._greatest = array("d", bytes(8 * buckets))
        self._count = array("q", bytes(8 * buckets))

    def clear(self, slot: int) -> None:
        """Forget what a bucket held."""
        self._least[slot], self._greatest[slot] = inf, -inf
        self._sum[slot] = 0.0
        self._count[slot] = 0

    def add(self, slot: int, value: float) -> None:
        """Take a value into a bucket."""
        self._least[slot] = min(self._least[slot], value)
        self._greatest[slot] = max(self._greatest[slot], value)
        self._sum[slot] += value
        self._count[slot] += 1

    def read(self, slots: list[int]) -> dict[str, list[float | None]]:
        """Least, mean and greatest of these buckets; None where nothing is known."""
        full = [slot if slot >= 0 and self._count[slot] else EMPTY for slot in slots]
        return {
            "least": [None if i < 0 else _short(self._least[i]) for i in full],
            "mean": [None if i < 0 else _short(self._sum[i] / self._count[i]) for i in full],
            "greatest": [None if i < 0 else _short(self._greatest[i]) for i in full],
        }


class Ring:
    """The newest buckets of one span; bucket k covers k to k + 1 bucket lengths of the clock."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self._number = array("q", [EMPTY]) * span.buckets
        self._state = array("b", bytes(span.buckets))
        self._series = {name: Series(span.buckets) for name in SERIES}

    def add(self, number: int, values: Mapping[str, float], state: int) -> None:
        """Take the values of an instant in bucket `number`, which is never older than the last."""
        slot = number % self.span.buckets
        if self._number[slot] != number:
            self._number[slot] = number
            self._state[slot] = state
            for series in self._series.values():
                series.clear(slot)
        self._state[slot] = min(self._state[slot], state)
        for name, value in values.items():
            self._series[name].add(slot, value)

    def read(self, now_ns: int) -> dict[str, Any]:
        """See `History.read`."""
        length, count = self.span.bucket_ns, self.span.buckets
        newest = now_ns // length
        numbers = range(newest - count + 1, newest + 1)
        slots = [n % count if n >= 0 and self._number[n % count] == n else EMPTY for n in numbers]
        return {
            "bucket_seconds": length / NS,
            "seconds_ago": [
                round(max(now_ns - n * length - length // 2, 0) / NS, 3) for n in numbers
            ],
            "state": [None if slot < 0 else STATES[self._state[slot]] for slot in slots],
            "series": {name: series.read(slots) for name, series in self._series.items()},
        }


class History:
    """Rings of all spans and the newest changes, fed with snapshots."""

    def __init__(self) -> None:
        self._changes: deque[Change] = deque(maxlen=CHANGES)
        self._rings = {name: Ring(span) for name, span in SPANS.items()}
        self._last: tuple[int, dict[str, float], int] | None = None

    def add(self, snapshot: Mapping[str, Any], now_ns: int) -> None:
        """Take a snapshot of the clock (see `ptp.snapshot`); what it does not know is left out."""
        self._note(snapshot, now_ns)
        name = snapshot.get("state")
        state = STATES.index(name) if name in STATES else 0
        values = _values(snapshot)
        for ring in self._rings.values():
            number = now_ns // ring.span.bucket_ns
            if self._last is not None and now_ns - self._last[0] <= HOLD_NS:
                before_ns, held, held_state = self._last
                for skipped in range(before_ns // ring.span.bucket_ns + 1, number):
                    ring.add(skipped, held, held_state)
            ring.add(number, values, state)
        self._last = (now_ns, values, state)

    def engine_gone(self, reason: str, now_ns: int) -> None:
        """There are no snapshots any more, and why."""
        self._note({"state": "unlocked", "reason": reason}, now_ns)
        self._last = None

    def changes(self, now_ns: int) -> list[dict[str, Any]]:
        """The newest changes of state or grandmaster, newest first."""
        return [
            {
                "seconds_ago": round((now_ns - each.at_ns) / NS, 3),
                "state": each.state,
                "gmid": each.gmid,
                "reason": each.reason,
            }
            for each in reversed(self._changes)
        ]

    def _note(self, snapshot: Mapping[str, Any], now_ns: int) -> None:
        made = Change(
            now_ns,
            str(snapshot.get("state", "")),
            str(snapshot.get("gmid") or ""),
            str(snapshot.get("reason", "")),
        )
        last = self._changes[-1] if self._changes else None
        if last is None or (last.state, last.gmid) != (made.state, made.gmid):
            self._changes.append(made)

    def read(self, span: str, now_ns: int) -> dict[str, Any]:
        """One span, its buckets from the oldest to the newest; None in buckets without a value.

        `seconds_ago` is the middle of each bucket; `state` the worst state in it; `series` has
        `least`, `mean` and `greatest` of each of SERIES.

        Raises:
            KeyError: `span` is none of SPANS.
        """
        return {"span": span, **self._rings[span].read(now_ns)}


def _values(snapshot: Mapping[str, Any]) -> dict[str, float]:
    jitter = snapshot.get("jitter_ns") or {}
    flat = {
        **{name: snapshot.get(name) for name in SERIES},
        "jitter_sync_ns": jitter.get("sync"),
        "jitter_delay_ns": jitter.get("delay"),
    }
    if snapshot.get("path_delay_ns") is None and snapshot.get("offset_ns") is None:
        flat["rate_ppm"] = None  # what the snapshot has then is a default, no estimate
    return {name: float(v) for name, v in flat.items() if isinstance(v, int | float)}


def _short(value: float) -> float:
    """Six digits after the point say more than anybody knows."""
    return round(value, 6)
