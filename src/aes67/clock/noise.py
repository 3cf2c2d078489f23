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
def ring_sigma(ring: IntArray, rate_ppb: float, prior_ns: float) -> float:
    """Standard deviation in ns of the measurements in `ring`, blended with a prior while few."""
    count = ring[0]
    if count < 2:
        return prior_ns
    steps = np.empty(WINDOW, np.float64)
    pairs = 0
    first = (ring[1] - count) % WINDOW
    for i in range(1, count):
        old = (first + i - 1) % WINDOW
        new = (first + i) % WINDOW
        elapsed = ring[2 + new] - ring[2 + old]
        step = ring[2 + WINDOW + new] - ring[2 + WINDOW + old]
        steps[pairs] = abs(float(step) - rate_ppb * 1e-9 * float(elapsed))
        pairs += 1
    sigma = 1.4826 * _median(steps, pairs) / np.sqrt(2.0)
    blended = (sigma * pairs + prior_ns * PRIOR_WEIGHT) / (pairs + PRIOR_WEIGHT)
    if pairs >= WINDOW // 4:
        blended = sigma
    return float(max(blended, FLOOR_SIGMA_NS))


@kernel
def _median(values: npt.NDArray[np.float64], count: int) -> float:
    """Median of the first `count` elements, which are sorted in place (insertion sort)."""
    for i in range(1, count):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value
    middle = count // 2
    if count % 2:
        return float(values[middle])
    return float((values[middle - 1] + values[middle]) / 2.0)
