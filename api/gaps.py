"""Distribution of the time between packets on each leg, as Prometheus wants a histogram.

The engine counts classes. Their sum is made here: between two packets that were counted the newest
packet's time advances by just the time between them, so each scrape adds by how much that time has
advanced since the last one. What lay before the first scrape of a leg is taken from its classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aes67.shm.layout import GAP_SHARE

LEAST_SECONDS = 1 / GAP_SHARE
"""Upper limit of the first class; each further one is twice as wide."""

Labels = tuple[str, ...]
"""Id of the sink and number of the leg."""


@dataclass(frozen=True)
class Gaps:
    """One leg's histogram. `seconds` is the sum of all times."""

    labels: Labels
    counts: tuple[int, ...]
    seconds: float

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulated, as Prometheus wants them."""
        total, found = 0, []
        for place, count in enumerate(self.counts):
            total += count
            last = place == len(self.counts) - 1
            limit = "+Inf" if last else repr(LEAST_SECONDS * (1 << place))
            found.append((limit, float(total)))
        return found


@dataclass(frozen=True)
class _Seen:
    identity: int
    total: int
    last_frame: int
    seconds: float


class GapSums:
    """Remembers each leg from scrape to scrape."""

    def __init__(self) -> None:
        self._seen: dict[Labels, _Seen] = {}

    def read(self, legs: Iterable[tuple[Labels, Mapping[str, Any]]], rate: int) -> list[Gaps]:
        """The histograms of all legs there are now, at `rate` in Hz."""
        before, self._seen, found = self._seen, {}, []
        for labels, leg in legs:
            if "gaps" not in leg:
                continue
            counts = tuple(int(count) for count in leg["gaps"])
            now = self._seen[labels] = _next(before.get(labels), leg, counts, rate)
            found.append(Gaps(labels, counts, now.seconds))
        return found


def _next(
    before: _Seen | None, leg: Mapping[str, Any], counts: tuple[int, ...], rate: int
) -> _Seen:
    identity, total, last = int(leg["identity"]), sum(counts), int(leg["last_frame"])
    if before is None or before.identity != identity or total < before.total:
        seconds = sum(count * _middle(place) for place, count in enumerate(counts))
    elif total == before.total:
        seconds = before.seconds  # nothing was counted, at most another sender began
    else:
        seconds = before.seconds + max(last - before.last_frame, 0) / rate
    return _Seen(identity, total, last, seconds)


def _middle(place: int) -> float:
    """Of a class, in seconds: three quarters of its upper limit."""
    return LEAST_SECONDS * (1 << place) * (0.75 if place else 0.5)
