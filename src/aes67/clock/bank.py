"""Four filters side by side that differ in how restless they take the oscillator to be.

With software timestamps one value serves all; with hardware timestamps the measurements are good
enough to tell a calm oscillator from a restless one, and worth it. Each filter is weighted by its
likelihood: robust, slowly forgotten, and tempered, since the errors of real networks come in
series and a plain likelihood would count each series as many proofs. The variance of the mixture
holds what the filters disagree about, so 3 sigma stays honest.
"""

from __future__ import annotations

import numpy as np

from aes67.clock import filter_state as fs
from aes67.clock import kalman as k
from aes67.clock.filter_state import FloatArray, IntArray
from aes67.clock.steps import STEP_RUN
from aes67.jit import kernel

FREQUENCY_WALKS = (1.0, 10.0, 100.0, 10_000.0)
"""ns^2/s^3; 1e-18 to 1e-16 s^2/s^3, and 1e-14 for a crystal whose temperature changes, or a master
that is being pulled to its own reference."""
HANDICAP = (0.0, 0.0, 5.0, 25.0)
"""Evidence that a filter must have beyond that of the calm ones: the noise of software stamps comes
in series (a way that is warm for some seconds), which restless filters follow and calm ones do not.
The last one makes holdover short, too."""
FILTERS = 4
MIDDLE = 1
TEMPER = 0.3
FORGET = 0.998
EVIDENCE_GAP = 30.0
"""No filter falls further behind, so that one which has become right is heard within seconds."""
NEGLIGIBLE = 1e-3
"""A weight below this counts as none: a hopeless filter may be wrong by any amount."""
RHO_LIMIT = 8.0
"""One measurement says no more than this against a filter."""

# what `update` returns besides what the likeliest filter did
SUSPECTS = 4
"""A few huge residuals in a row."""
USABLE = 8
"""The path is known or both directions were measured."""
DID = 3

# the mixture, an array of MIXED doubles
MIXED_OFFSET = 0
"""Offset against filter 0's line at `raw_ns`."""
MIXED_FREQUENCY = 1
MIXED_DELAY = 2
MIXED_VARIANCE = 3
MIXED = 4


@kernel
def update(
    ints: IntArray,
    floats: FloatArray,
    evidence: FloatArray,
    direction: int,
    raw_ns: int,
    master_ns: int,
    fraction: float,
) -> int:
    """One measurement into all filters; what the likeliest of them did (DID), and how it stands.

    All is said in one number, since each look into an array costs Python more than this does.
    """
    results = np.zeros(FILTERS, np.int64)
    for i in range(FILTERS):
        results[i] = k.update(ints[i], floats[i], direction, raw_ns, master_ns, fraction)
        if results[i] != k.REJECTED:
            surprise = _surprise(floats[i][fs.RESIDUAL], floats[i][fs.SPREAD])
            evidence[i] = evidence[i] * FORGET - surprise
    best = likeliest(evidence)
    floor = evidence[best] - HANDICAP[best] - EVIDENCE_GAP
    for i in range(FILTERS):
        evidence[i] = max(evidence[i], floor + HANDICAP[i])
        # whether there was a step is for the likeliest alone to say; where another filter sees
        # one, it is the filter that was wrong
        if i != best and (results[best] == k.STEPPED or results[i] == k.STEPPED):
            walk = floats[i][fs.WALK]
            ints[i] = ints[best]
            floats[i] = floats[best]
            floats[i][fs.WALK] = walk
    seen = ints[MIDDLE]
    said = int(results[best])
    if seen[fs.RUN_SYNC] >= STEP_RUN // 2 or seen[fs.VERIFY] > 0:
        said |= SUSPECTS
    if seen[fs.SYNCS] > 0 and (seen[fs.DELAYS] > 0 or seen[fs.NO_PATH] > 0):
        said |= USABLE
    return said


@kernel
def likeliest(evidence: FloatArray) -> int:
    """Index of the filter with the most evidence; the middle one while there is none."""
    best = MIDDLE
    for i in range(FILTERS):
        if evidence[i] - HANDICAP[i] > evidence[best] - HANDICAP[best]:
            best = i
    return best


@kernel
def mix(
    ints: IntArray, floats: FloatArray, evidence: FloatArray, raw_ns: int, out: FloatArray
) -> None:
    """The weighted estimate for `raw_ns` into `out`."""
    weights = np.empty(FILTERS, np.float64)
    likely = likeliest(evidence)
    best = evidence[likely] - HANDICAP[likely]
    total = 0.0
    for i in range(FILTERS):
        weights[i] = np.exp(TEMPER * (evidence[i] - HANDICAP[i] - best))
        if weights[i] < NEGLIGIBLE:
            weights[i] = 0.0
        total += weights[i]
    offsets = np.empty(FILTERS, np.float64)
    out[:] = 0.0
    for i in range(FILTERS):
        weights[i] /= total
        t = float(raw_ns - ints[i][fs.RAW]) * 1e-9
        apart = (ints[i][fs.TIME] - ints[0][fs.TIME]) - (ints[i][fs.RAW] - ints[0][fs.RAW])
        offsets[i] = float(apart) + floats[i][fs.OFFSET] + floats[i][fs.FREQUENCY] * t
        out[MIXED_OFFSET] += weights[i] * offsets[i]
        out[MIXED_FREQUENCY] += weights[i] * floats[i][fs.FREQUENCY]
        out[MIXED_DELAY] += weights[i] * floats[i][fs.PATH_DELAY]
    for i in range(FILTERS):
        sigma = k.sigma_at(ints[i], floats[i], raw_ns)
        off = offsets[i] - out[MIXED_OFFSET]
        out[MIXED_VARIANCE] += weights[i] * (sigma * sigma + off * off)


@kernel
def _surprise(residual: float, spread: float) -> float:
    """Negative log-likelihood of a residual, Huber's rho in place of the square."""
    size = abs(residual) / np.sqrt(spread)
    rho = size * size / 2.0 if size <= k.HUBER else k.HUBER * size - k.HUBER * k.HUBER / 2.0
    return float(min(rho, RHO_LIMIT) + np.log(spread) / 2.0)
