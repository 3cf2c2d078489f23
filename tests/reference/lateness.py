"""Naive twin of `aes67.clock.lateness`: lists, and every rate at which the cost can be lowest."""

from __future__ import annotations

Points = list[tuple[int, int]]


def behind(points: Points, sign: int, rate_ppb: float) -> list[float]:
    """How late each (raw, master) is against the line through the first quartile."""
    (raw0, master0), *_ = points
    values = [
        sign * ((master - raw) - (master0 - raw0) - rate_ppb * 1e-9 * (raw - raw0))
        for raw, master in points
    ]
    line = sorted(values)[len(values) // 4]
    return [value - line for value in values]


def late_ones(syncs: Points, delays: Points) -> tuple[set[int], set[int]]:
    """Indices of the late ones of both directions, and of those that are as much too early."""
    if len(syncs) + len(delays) < 5:
        return set(), set()
    groups = [(p, sign) for p, sign in ((syncs, -1), (delays, 1)) if p]

    def all_behind(rate: float) -> list[float]:
        return [each for points, sign in groups for each in behind(points, sign, rate)]

    def cost(rate: float) -> float:
        return sum(each if each > 0 else -3 * each for each in all_behind(rate))

    # a convex function of straight pieces: the corners are where two of one direction swap places
    corners = {
        ((m2 - r2) - (m1 - r1)) * 1e9 / (r2 - r1)
        for points, _ in groups
        for r1, m1 in points
        for r2, m2 in points
        if r1 < r2
    }
    rates = sorted(max(-1e6, min(1e6, each)) for each in corners | {-1e6, 1e6})
    low, high = 0, len(rates) - 1
    while low < high:
        middle = (low + high) // 2
        if cost(rates[middle]) <= cost(rates[middle + 1]):
            high = middle
        else:
            low = middle + 1
    late = all_behind(rates[low])
    bound = limit(sorted(abs(each) for each in late))
    found = {i for i, each in enumerate(late) if abs(each) > bound}
    return {i for i in found if i < len(syncs)}, {i - len(syncs) for i in found if i >= len(syncs)}


def limit(sizes: list[float]) -> float:
    for _ in range(4):
        redundant = len(sizes) - 3
        typical = 2.32 * sizes[3 + (redundant - 1) // 3]
        if redundant < 16:
            typical = (typical * redundant + 2 * 2_000.0) / (redundant + 2)
        bound = 8.0 * max(typical, 20.0)
        sizes = sizes[:4] + [each for each in sizes[4:] if each <= bound]
    return bound
