"""Which of the first measurements were late: they queued, or a busy host stamped them too late.

Queueing only adds. So the quickest measurements of both directions lie along two lines of one rate,
and the late ones on one side of them. The lines are found from all measurements together, by
regression on a low quantile of the lateness: there a late one has no weight, however late it is and
wherever it stands, while a filter that takes one after the other would have believed it. What is
as far before its line cannot be either: it is from before the master's time was set.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes67.clock.noise import (
    FLOOR_SIGMA_NS,
    PRIOR_SIGMA_NS,
    PRIOR_WEIGHT,
    WINDOW,
    IntArray,
    put_in_order,
)
from aes67.jit import kernel

QUANTILE = 4
"""The line lies at the first quartile of the lateness, so that a third may be late."""
RATE_LIMIT_PPB = 1e6
"""The rate is looked for up to here: twice what a lock believes."""
SEARCH = 34
"""Steps of the search by golden section: to 0.2 ppb."""
SECTION = 0.6180339887498949
UNKNOWNS = 3
"""Offset, path and rate: three measurements always fit."""
FEWEST = 5
"""Of four measurements that disagree, any may be the late one."""
LATE = 8.0
"""Standard deviations behind the line that are late, and before it from another time."""
NORMAL_THIRD = 2.32
"""Standard deviation of normal noise over the first third of its absolute values."""
ENOUGH = WINDOW // 4
"""So many measurements tell their noise without a prior."""
ROUNDS = 4

FloatArray = npt.NDArray[np.float64]


@kernel
def late_ones(syncs: IntArray, delays: IntArray) -> tuple[int, int]:
    """Which slots of two rings were late or too early, as bits; rings that do not overwrite yet."""
    count = int(syncs[0] + delays[0])
    if count < FEWEST:
        return 0, 0
    late = np.empty(2 * WINDOW, np.float64)
    _cost(syncs, delays, _rate(syncs, delays, late), late)
    sizes = np.empty(2 * WINDOW, np.float64)
    for i in range(count):
        sizes[i] = abs(late[i])
    put_in_order(sizes, count)
    limit = _limit(sizes, count)
    bits = np.zeros(2, np.int64)
    for i in range(count):
        if abs(late[i]) > limit:
            if i < syncs[0]:
                bits[0] |= 1 << i
            else:
                bits[1] |= 1 << (i - syncs[0])
    return int(bits[0]), int(bits[1])


@kernel
def _rate(syncs: IntArray, delays: IntArray, late: FloatArray) -> float:
    """The rate of the lines in ppb: the cost is convex in it."""
    low, high = -RATE_LIMIT_PPB, RATE_LIMIT_PPB
    left, right = high - SECTION * (high - low), low + SECTION * (high - low)
    cost_left, cost_right = 0.0, 0.0
    for i in range(SEARCH):
        if i == 0 or cost_left < 0.0:
            cost_left = _cost(syncs, delays, left, late)
        if i == 0 or cost_right < 0.0:
            cost_right = _cost(syncs, delays, right, late)
        if cost_left <= cost_right:
            high, right, cost_right = right, left, cost_left
            left, cost_left = high - SECTION * (high - low), -1.0
        else:
            low, left, cost_left = left, right, cost_right
            right, cost_right = low + SECTION * (high - low), -1.0
    return (low + high) / 2.0


@kernel
def _cost(syncs: IntArray, delays: IntArray, rate_ppb: float, late: FloatArray) -> float:
    """Put to `late` how far each one is behind its line of that rate; what both lines cost."""
    cost = _behind(syncs, -1.0, rate_ppb, late)
    return float(cost + _behind(delays, 1.0, rate_ppb, late[syncs[0] :]))


@kernel
def _behind(ring: IntArray, sign: float, rate_ppb: float, late: FloatArray) -> float:
    """The same for one direction: a late Sync makes the master's time look early."""
    count = ring[0]
    ordered = np.zeros(WINDOW, np.float64)
    for i in range(count):
        elapsed = float(ring[2 + i] - ring[2])
        apart = float(ring[2 + WINDOW + i] - ring[2 + WINDOW])
        ordered[i] = sign * (apart - rate_ppb * 1e-9 * elapsed)
        late[i] = ordered[i]
    put_in_order(ordered, count)
    line = ordered[count // QUANTILE]
    cost = 0.0
    for i in range(count):
        late[i] -= line
        cost += late[i] if late[i] > 0.0 else (1.0 - QUANTILE) * late[i]
    return float(cost)


@kernel
def _limit(sizes: FloatArray, count: int) -> float:
    """How late is late, by what those within that limit scatter themselves.

    The third is low enough for two of four measurements more than the unknowns to be late.
    """
    kept = count
    limit = 0.0
    for _ in range(ROUNDS):
        redundant = kept - UNKNOWNS
        typical = NORMAL_THIRD * sizes[UNKNOWNS + (redundant - 1) // 3]
        if redundant < ENOUGH:
            typical = typical * redundant + PRIOR_SIGMA_NS * PRIOR_WEIGHT
            typical /= redundant + PRIOR_WEIGHT
        limit = LATE * max(typical, FLOOR_SIGMA_NS)
        while kept > UNKNOWNS + 1 and sizes[kept - 1] > limit:
            kept -= 1
    return limit
