"""Measurement noise of one direction, estimated without the filter's own innovations.

A filter that judges the noise by its innovations grows slower exactly when the oscillator moves,
and then calls its own lag noise. First differences of the raw offsets, with the current frequency
taken out, hold no such feedback; their median absolute value shrugs off spikes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes67.jit import kernel

WINDOW = 64
"""Measurements remembered in each direction."""
RING_INTS = 2 + 2 * WINDOW
"""int64 elements of a ring: count, next slot, then `raw_ns` and `master_ns - raw_ns` of each."""
PRIOR_SIGMA_NS = 2_000.0
"""Noise assumed before there are differences: typical of kernel software timestamps."""
PRIOR_WEIGHT = 2.0
NORMAL_MEDIAN = 1.4826
"""Standard deviation of normal noise over the median of its absolute values."""
FLOOR_SIGMA_NS = 20.0
"""Resolution and cross-reading of clocks; also keeps the filter from trusting anything wholly."""

IntArray = npt.NDArray[np.int64]


@kernel
def ring_put(ring: IntArray, raw_ns: int, difference_ns: int) -> None:
    """Remember one measurement, overwriting the oldest."""
    slot = ring[1]
    ring[2 + slot] = raw_ns
    ring[2 + WINDOW + slot] = difference_ns
    ring[1] = (slot + 1) % WINDOW
    if ring[0] < WINDOW:
        ring[0] += 1


@kernel
def ring_sigma(ring: IntArray, rate_ppb: float, prior_ns: float, late: int) -> float:
    """Standard deviation in ns of the measurements in `ring`, blended with a prior while few.

    What has its slot's bit in `late` is left out.
    """
    count = ring[0]
    if count < 2:
        return prior_ns
    steps = np.empty(WINDOW, np.float64)
    pairs = 0
    first = (ring[1] - count) % WINDOW
    old = -1
    for i in range(count):
        new = (first + i) % WINDOW
        if (late >> new) & 1:
            continue
        if old < 0:
            old = new
            continue
        elapsed = ring[2 + new] - ring[2 + old]
        step = ring[2 + WINDOW + new] - ring[2 + WINDOW + old]
        steps[pairs] = abs(float(step) - rate_ppb * 1e-9 * float(elapsed))
        pairs += 1
        old = new
    if pairs == 0:
        return prior_ns
    put_in_order(steps, pairs)
    middle = pairs // 2
    typical = steps[middle] if pairs % 2 else (steps[middle - 1] + steps[middle]) / 2.0
    sigma = NORMAL_MEDIAN * typical / np.sqrt(2.0)
    blended = (sigma * pairs + prior_ns * PRIOR_WEIGHT) / (pairs + PRIOR_WEIGHT)
    if pairs >= WINDOW // 4:
        blended = sigma
    return float(max(blended, FLOOR_SIGMA_NS))


@kernel
def put_in_order(values: npt.NDArray[np.float64], count: int) -> None:
    """Sort the first `count` elements in place (insertion sort: they are few)."""
    for i in range(1, count):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value
