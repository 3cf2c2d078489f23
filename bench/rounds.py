"""Alternated rounds: what is compared runs by turns, so that a slow minute hits both alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Effort:
    """How long a benchmark takes: rounds, and seconds of each measurement."""

    rounds: int
    seconds: int


def alternate(first: Callable[[], Figures], second: Callable[[], Figures], rounds: int) -> tuple[
    list[Figures], list[Figures]
]:  # fmt: skip
    """Run both `rounds` times, by turns: first, second, second, first, first, ..."""
    found: tuple[list[Figures], list[Figures]] = ([], [])
    for number in range(rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        for which in order:
            found[which].append((first, second)[which]())
    return found


def ratios(ours: list[Figures], theirs: list[Figures], name: str) -> list[float]:
    """Ours over theirs, round by round, of one figure."""
    return [mine[name] / other[name] for mine, other in zip(ours, theirs, strict=True)]


def median(figures: list[Figures], name: str) -> float:
    """Median of one figure over the rounds."""
    return float(statistics.median(each[name] for each in figures))


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most of some ratios, to three digits."""
    return {
        "median": round(statistics.median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
    }


def verdict(value: float, limit: float, goal: float | None = None) -> dict[str, object]:
    """A figure against its limit and, if there is one, its goal: at most those."""
    found: dict[str, object] = {"value": round(value, 3), "limit": limit, "met": value <= limit}
    if goal is not None:
        found |= {"goal": goal, "goal_met": value <= goal}
    return found
