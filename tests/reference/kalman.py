"""Naive twin of `aes67.clock.kalman` and `noise`: matrices and lists, written for reading.

No steps (the twin is fed none) and no replay ring arithmetic: it keeps every measurement in a list
and computes with unbounded integers.
"""

from __future__ import annotations

import statistics

import numpy as np

from reference.lateness import late_ones

PRIOR_SIGMA = 2_000.0
PRIOR_WEIGHT = 2.0


class Twin:
    """One filter of the bank, its frequency walk `walk` in ns^2/s^3."""

    def __init__(self, walk: float) -> None:
        self.walk = walk
        self.history: dict[int, list[tuple[int, int]]] = {-1: [], 1: []}
        self.sigma = {-1: PRIOR_SIGMA, 1: PRIOR_SIGMA}
        self.begin(0, 0, -1)

    def begin(self, raw: int, master: int, direction: int) -> None:
        self.raw, self.base = raw, master - raw
        self.x = np.zeros(3)
        d = 1e12
        self.p = np.array([[2 * d, 0, -direction * d], [0, 1e10, 0], [-direction * d, 0, d]])

    def add(self, direction: int, raw: int, master: int) -> None:
        first = not (self.history[-1] or self.history[1])
        if first:
            self.begin(raw, master, direction)
        self.history[direction].append((raw, master))
        rate = self.x[1]
        self.sigma[-1] = self.noise(self.history[-1], rate, PRIOR_SIGMA)
        self.sigma[1] = self.noise(self.history[1], rate, self.sigma[-1])
        self.apply(direction, raw, master)
        if len(self.history[-1]) + len(self.history[1]) <= 48:
            late = dict(zip((-1, 1), late_ones(self.history[-1], self.history[1]), strict=True))
            used = {
                d: [each for i, each in enumerate(self.history[d]) if i not in late[d]]
                for d in (-1, 1)
            }
            rate = self.x[1]
            self.sigma[-1] = self.noise(used[-1], rate, PRIOR_SIGMA)
            self.sigma[1] = self.noise(used[1], rate, self.sigma[-1])
            merged = sorted(
                [(r, d, m) for d in (-1, 1) for r, m in used[d]],
                key=lambda each: (each[0], each[1]),
            )
            self.begin(merged[0][0], merged[0][2], merged[0][1])
            for r, d, m in merged:
                self.apply(d, r, m)

    def noise(self, points: list[tuple[int, int]], rate: float, prior: float) -> float:
        recent = points[-64:]
        if len(recent) < 2:
            return prior
        steps = [
            abs((m2 - r2) - (m1 - r1) - rate * 1e-9 * (r2 - r1))
            for (r1, m1), (r2, m2) in zip(recent, recent[1:], strict=False)
        ]
        sigma = 1.4826 * statistics.median(steps) / 2**0.5
        if len(steps) < 16:
            sigma = (sigma * len(steps) + prior * PRIOR_WEIGHT) / (len(steps) + PRIOR_WEIGHT)
        return max(sigma, 20.0)

    def apply(self, direction: int, raw: int, master: int) -> None:
        t = max(raw - self.raw, 0) * 1e-9
        f = np.array([[1, t, 0], [0, 1, 0], [0, 0, 1]])
        q = self.walk * np.array([[t**3 / 3, t**2 / 2, 0], [t**2 / 2, t, 0], [0, 0, 0]])
        q[0, 0] += t
        q[2, 2] = min(max(0.5 * self.sigma[1], 20.0), 300.0) ** 2 * t
        self.x, self.p = f @ self.x, f @ self.p @ f.T + q
        self.raw = max(raw, self.raw)
        row = np.array([1.0, (raw - self.raw) * 1e-9, direction])
        residual = (master - raw - self.base) - row @ self.x
        spread = row @ self.p @ row + self.sigma[direction] ** 2
        size = abs(residual) / spread**0.5
        if size > 1.5:
            spread *= size / 1.5
        gain = self.p @ row / spread
        self.x = self.x + gain * residual
        self.p = self.p - np.outer(gain, gain) * spread

    def master_minus_raw(self, raw: int) -> float:
        return self.base + self.x[0] + self.x[1] * (raw - self.raw) * 1e-9
