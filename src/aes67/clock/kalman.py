"""The robust Kalman filter behind a master's estimated time: kernels on two small arrays.

State: offset (ns), frequency (ns/s = ppb) and path delay (ns) against CLOCK_MONOTONIC_RAW. A Sync
measures offset - delay, a Delay_Resp offset + delay; each is used alone the moment it is complete,
so a lost message costs only itself and the two may come at different rates. The integers of the
reference instant stay in `ints`, the small remainder in `floats`: double precision never sees an
epoch, and the result is the same bits on every run.

The noise of the measurements is not known at first either. So the first REPLAY of them are run
through anew whenever one arrives, each time with what is known of the noise by then: a filter that
started too sure of itself would carry its first errors for minutes.

Robustness: a residual beyond HUBER sigma has its variance inflated until it weighs like one at the
edge; only STEP_RUN huge residuals in a row, all saying the same, are a step of the master or of the
path. Then the phase is set anew and the frequency kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes67.clock.noise import PRIOR_SIGMA_NS, RING_INTS, WINDOW, ring_put, ring_sigma
from aes67.jit import kernel

DELAY_WALK_MIN = 20.0
DELAY_WALK_MAX = 300.0
"""Random walk of the path delay, ns/sqrt(s): half as large as the noise within these limits. With
less, an early error stays for minutes; with more, precise measurements are wasted."""
PHASE_WALK = 1.0
"""White frequency noise, ns^2/s."""
HUBER = 1.5
HUGE = 8.0
STEP_RUN = 6
"""Huge residuals in a row that are a step, when they agree with each other."""
STEP_RUN_ANY = 24
"""Huge residuals in a row that are taken for one even when they do not."""
STEP_FLOOR_NS = 1_000.0
STEPS_APART_S = 10.0
PRIOR_FREQUENCY_NS = 100_000.0
"""Standard deviation of the frequency before the second measurement: 100 ppm."""
PRIOR_DELAY_NS = 1_000_000.0
REPLAY = 48
"""Measurements of both directions together that are replayed; at most noise.WINDOW."""
BEHIND_NS = 2_000_000_000
"""Measurements older than this against the newest are ignored."""

# ints
RAW = 0
TIME = 1
"""Master's time at RAW, integer part."""
SYNCS = 2
DELAYS = 3
INFLATED = 4
STEPS = 5
IGNORED = 6
LAST_RAW = 7
FIRST_RAW = 8
RUN_SYNC = 9
RUN_DELAY = 10
VERIFY = 11
"""A step was seen in Syncs alone: the next Delay_Resp says whether it was the path's."""
STEP_RAW = 13
"""Instant of the newest step."""
REPLAYED = 12
"""1: the start is over, measurements are used once."""
SYNC_RING = 16
DELAY_RING = SYNC_RING + RING_INTS
INTS = DELAY_RING + RING_INTS

# floats
OFFSET = 0
FREQUENCY = 1
PATH_DELAY = 2
P00 = 3
P01 = 4
P02 = 5
P11 = 6
P12 = 7
P22 = 8
SIGMA_SYNC = 9
SIGMA_DELAY = 10
RESIDUAL = 11
LAST_STEP = 12
LAST_STEP_DELAY = 13
SPREAD = 15
"""Variance that was expected of RESIDUAL."""
WALK = 14
"""Random walk of the frequency, ns^2/s^3: set by the owner (1e-17 s^2/s^3 is 10 here)."""
SYNC_RUN_RESIDUALS = 16
DELAY_RUN_RESIDUALS = SYNC_RUN_RESIDUALS + STEP_RUN_ANY
FLOATS = DELAY_RUN_RESIDUALS + STEP_RUN_ANY

# what `update` did
USED = 0
STEPPED = 1
REJECTED = 2

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@kernel
def update(
    ints: IntArray, floats: FloatArray, direction: int, raw_ns: int, master_ns: int, fraction: float
) -> int:
    """Take one measurement in; USED, STEPPED or REJECTED (too old)."""
    if ints[SYNCS] + ints[DELAYS] == 0:
        ints[FIRST_RAW] = raw_ns
        ints[LAST_RAW] = raw_ns
        _begin(ints, floats, direction, raw_ns, master_ns)
    if raw_ns - ints[RAW] < -BEHIND_NS:
        ints[IGNORED] += 1
        return REJECTED
    if direction < 0:
        ints[SYNCS] += 1
        ring_put(ints[SYNC_RING:DELAY_RING], raw_ns, master_ns - raw_ns)
    else:
        ints[DELAYS] += 1
        ring_put(ints[DELAY_RING:INTS], raw_ns, master_ns - raw_ns)
    floats[SIGMA_SYNC] = ring_sigma(ints[SYNC_RING:DELAY_RING], floats[FREQUENCY], PRIOR_SIGMA_NS)
    floats[SIGMA_DELAY] = ring_sigma(ints[DELAY_RING:INTS], floats[FREQUENCY], floats[SIGMA_SYNC])
    ints[LAST_RAW] = max(ints[LAST_RAW], raw_ns)
    result = _apply(ints, floats, direction, raw_ns, master_ns, fraction, True)
    if ints[SYNCS] + ints[DELAYS] > REPLAY or result == STEPPED:
        ints[REPLAYED] = 1
    elif ints[REPLAYED] == 0:
        _replay(ints, floats)
    return result


@kernel
def _replay(ints: IntArray, floats: FloatArray) -> None:
    """Run all measurements so far, in the order of their instants, through a fresh filter."""
    syncs = ints[SYNC_RING]
    delays = ints[DELAY_RING]
    s = 0
    d = 0
    while s < syncs or d < delays:
        sync_raw = ints[SYNC_RING + 2 + s]
        delay_raw = ints[DELAY_RING + 2 + d]
        if d >= delays or (s < syncs and sync_raw <= delay_raw):
            direction, raw_ns = -1, sync_raw
            master_ns = raw_ns + ints[SYNC_RING + 2 + WINDOW + s]
            s += 1
        else:
            direction, raw_ns = 1, delay_raw
            master_ns = raw_ns + ints[DELAY_RING + 2 + WINDOW + d]
            d += 1
        if s + d == 1:
            _begin(ints, floats, direction, raw_ns, master_ns)
        _apply(ints, floats, direction, raw_ns, master_ns, 0.0, False)


@kernel
def _apply(
    ints: IntArray,
    floats: FloatArray,
    direction: int,
    raw_ns: int,
    master_ns: int,
    fraction: float,
    live: bool,
) -> int:
    """Predict and correct; only a `live` measurement is counted and looked at for a step."""
    if raw_ns > ints[RAW]:
        predict(ints, floats, raw_ns)
    sigma = floats[SIGMA_SYNC] if direction < 0 else floats[SIGMA_DELAY]
    # the instant may lie a little before the reference: the filter does not run backwards, the
    # measurement looks there
    behind = float(raw_ns - ints[RAW]) * 1e-9
    value = float((master_ns - ints[TIME]) - (raw_ns - ints[RAW])) + fraction
    predicted = floats[OFFSET] + floats[FREQUENCY] * behind + direction * floats[PATH_DELAY]
    residual = value - predicted
    g0 = floats[P00] + behind * floats[P01] + direction * floats[P02]
    g1 = floats[P01] + behind * floats[P11] + direction * floats[P12]
    g2 = floats[P02] + behind * floats[P12] + direction * floats[P22]
    spread = g0 + behind * g1 + direction * g2 + sigma * sigma
    size = abs(residual) / np.sqrt(spread)
    if live:
        floats[RESIDUAL] = residual
        floats[SPREAD] = spread
        if _stepped(ints, floats, direction, residual, size, sigma):
            return STEPPED
        if size > HUBER:
            ints[INFLATED] += 1
    if size > HUBER:
        spread *= size / HUBER
    _correct(floats, g0, g1, g2, spread, residual)
    return USED


@kernel
def predict(ints: IntArray, floats: FloatArray, raw_ns: int) -> None:
    """Move the state to `raw_ns`, not before its reference instant."""
    elapsed = raw_ns - ints[RAW]
    t = float(elapsed) * 1e-9
    offset = floats[OFFSET] + floats[FREQUENCY] * t
    whole = int(np.floor(offset))
    ints[RAW] = raw_ns
    ints[TIME] += elapsed + whole
    floats[OFFSET] = offset - whole
    floats[P00] += (
        t * (2.0 * floats[P01] + t * floats[P11]) + PHASE_WALK * t + floats[WALK] * t * t * t / 3.0
    )
    floats[P01] += t * floats[P11] + floats[WALK] * t * t / 2.0
    floats[P02] += t * floats[P12]
    floats[P11] += floats[WALK] * t
    walk = min(max(0.5 * floats[SIGMA_DELAY], DELAY_WALK_MIN), DELAY_WALK_MAX)
    floats[P22] += walk * walk * t


@kernel
def sigma_at(ints: IntArray, floats: FloatArray, raw_ns: int) -> float:
    """Standard deviation in ns of the master's time as predicted for `raw_ns`."""
    t = max(float(raw_ns - ints[RAW]) * 1e-9, 0.0)
    variance = floats[P00] + t * (2.0 * floats[P01] + t * floats[P11])
    variance += PHASE_WALK * t + floats[WALK] * t * t * t / 3.0
    return float(np.sqrt(max(variance, 0.0)))


@kernel
def _begin(
    ints: IntArray, floats: FloatArray, direction: int, raw_ns: int, master_ns: int
) -> None:
    """Priors: the first measurement fixes offset -/+ delay, the first of the other both."""
    ints[RAW] = raw_ns
    ints[TIME] = master_ns
    floats[OFFSET] = 0.0
    floats[FREQUENCY] = 0.0
    floats[PATH_DELAY] = 0.0
    floats[P00] = 2.0 * PRIOR_DELAY_NS * PRIOR_DELAY_NS
    floats[P01] = 0.0
    floats[P11] = PRIOR_FREQUENCY_NS * PRIOR_FREQUENCY_NS
    floats[P12] = 0.0
    floats[P22] = PRIOR_DELAY_NS * PRIOR_DELAY_NS
    # fully correlated: nothing but the delay makes the offset uncertain
    floats[P02] = -direction * PRIOR_DELAY_NS * PRIOR_DELAY_NS


@kernel
def _correct(
    floats: FloatArray, g0: float, g1: float, g2: float, spread: float, residual: float
) -> None:
    """The Kalman correction with gain g / spread."""
    floats[OFFSET] += g0 / spread * residual
    floats[FREQUENCY] += g1 / spread * residual
    floats[PATH_DELAY] += g2 / spread * residual
    floats[P00] -= g0 * g0 / spread
    floats[P01] -= g0 * g1 / spread
    floats[P02] -= g0 * g2 / spread
    floats[P11] -= g1 * g1 / spread
    floats[P12] -= g1 * g2 / spread
    floats[P22] -= g2 * g2 / spread


@kernel
def _stepped(
    ints: IntArray, floats: FloatArray, direction: int, residual: float, size: float, sigma: float
) -> bool:
    """Count huge residuals; restart the phase when they are a step."""
    huge = size > HUGE and abs(residual) > STEP_FLOOR_NS
    if ints[VERIFY] and direction > 0:
        ints[VERIFY] = 0
        if huge:
            _restart(ints, floats, 0.0, residual, sigma)
            return True
    counter = RUN_SYNC if direction < 0 else RUN_DELAY
    start = SYNC_RUN_RESIDUALS if direction < 0 else DELAY_RUN_RESIDUALS
    count = ints[counter]
    if not huge or (count > 0 and (residual > 0) != (floats[start] > 0)):
        ints[counter] = 0
        if not huge:
            if direction < 0:
                ints[RUN_DELAY] = 0
            return False
        count = 0
    if count < STEP_RUN_ANY:
        floats[start + count] = residual
        ints[counter] = count + 1
    syncs = ints[RUN_SYNC]
    delays = ints[RUN_DELAY]
    if syncs + delays < STEP_RUN:
        return False
    sync_step, sync_agree = _agreement(floats[SYNC_RUN_RESIDUALS:DELAY_RUN_RESIDUALS], syncs)
    delay_step, delay_agree = _agreement(floats[DELAY_RUN_RESIDUALS:FLOATS], delays)
    if not (sync_agree and delay_agree) and syncs + delays < STEP_RUN_ANY:
        return False
    if syncs == 0:
        return False
    if delays == 0:
        delay_step = sync_step
        ints[VERIFY] = 1
    _restart(ints, floats, sync_step, delay_step, sigma)
    return True


@kernel
def _agreement(residuals: FloatArray, count: int) -> tuple[float, bool]:
    """Mean of a run and whether all of it lies within a quarter of that of the mean."""
    if count == 0:
        return 0.0, True
    total = 0.0
    for i in range(count):
        total += residuals[i]
    mean = total / count
    agree = True
    for i in range(count):
        agree = agree and abs(residuals[i] - mean) <= 0.25 * abs(mean)
    return mean, agree


@kernel
def _restart(
    ints: IntArray, floats: FloatArray, sync_step: float, delay_step: float, sigma: float
) -> None:
    """Put offset and delay where the runs say they are now; the frequency stays, at first."""
    floats[LAST_STEP] = (sync_step + delay_step) / 2.0
    floats[LAST_STEP_DELAY] = (delay_step - sync_step) / 2.0
    floats[OFFSET] += floats[LAST_STEP]
    floats[PATH_DELAY] += floats[LAST_STEP_DELAY]
    variance = sigma * sigma
    floats[P00] += variance
    floats[P22] += variance
    # steps that follow each other are a rate that has changed
    since = float(ints[RAW] - ints[STEP_RAW]) * 1e-9
    if ints[STEPS] > 0 and since < STEPS_APART_S:
        rate = floats[LAST_STEP] / max(since, 0.1)
        floats[P11] += rate * rate
    ints[STEP_RAW] = ints[RAW]
    ints[RUN_SYNC] = 0
    ints[RUN_DELAY] = 0
    ints[STEPS] += 1
