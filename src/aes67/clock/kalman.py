"""The robust Kalman filter behind a master's estimated time: kernels on arrays of `filter_state`.

State: offset (ns), frequency (ns/s = ppb) and path delay (ns) against CLOCK_MONOTONIC_RAW. A Sync
measures offset - delay, a Delay_Resp offset + delay; each is used alone the moment it is complete,
so a lost message costs only itself and the two may come at different rates. Where the path is
known otherwise (peer delay, a clock read directly) the direction is 0: the offset and nothing else.
The integers of the reference instant stay in `ints`, the small remainder in `floats`: double
precision never sees an epoch, and the result is the same bits on every run.

The noise of the measurements is not known at first either. So the first REPLAY of them are run
through anew whenever one arrives, each time with what is known of the noise by then: a filter that
started too sure of itself would carry its first errors for minutes. What turns out to have been
late by then (`lateness`) is left out of the replay.

Robustness: a residual beyond HUBER sigma has its variance inflated until it weighs like one at the
edge; only several huge ones that agree are a step (`steps`).
"""

from __future__ import annotations

import numpy as np

from aes67.clock.filter_state import (
    DELAY_RING,
    DELAYS,
    FIRST_RAW,
    FREQUENCY,
    IGNORED,
    INFLATED,
    INTS,
    LAST_RAW,
    NO_PATH,
    OFFSET,
    P00,
    P01,
    P02,
    P11,
    P12,
    P22,
    PATH_DELAY,
    RAW,
    REPLAYED,
    RESIDUAL,
    SIGMA_DELAY,
    SIGMA_SYNC,
    SPREAD,
    SYNC_RING,
    SYNCS,
    TIME,
    WALK,
    FloatArray,
    IntArray,
)
from aes67.clock.lateness import late_ones
from aes67.clock.noise import PRIOR_SIGMA_NS, WINDOW, ring_put, ring_sigma
from aes67.clock.steps import stepped
from aes67.jit import kernel

DELAY_WALK_MIN = 20.0
DELAY_WALK_MAX = 300.0
"""Random walk of the path delay, ns/sqrt(s): half as large as the noise within these limits. With
less, an early error stays for minutes; with more, precise measurements are wasted."""
PHASE_WALK = 1.0
"""White frequency noise, ns^2/s."""
HUBER = 1.5
PRIOR_FREQUENCY_NS = 100_000.0
"""Standard deviation of the frequency before the second measurement: 100 ppm."""
PRIOR_DELAY_NS = 1_000_000.0
REPLAY = 48
"""Measurements of both directions together that are replayed; at most noise.WINDOW."""
BEHIND_NS = 2_000_000_000
"""Measurements older than this against the newest are ignored."""

# what `update` did
USED = 0
STEPPED = 1
REJECTED = 2


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
    if direction <= 0:
        ints[SYNCS] += 1
        ints[NO_PATH] = direction + 1
        ring_put(ints[SYNC_RING:DELAY_RING], raw_ns, master_ns - raw_ns)
    else:
        ints[DELAYS] += 1
        ring_put(ints[DELAY_RING:INTS], raw_ns, master_ns - raw_ns)
    _measure_noise(ints, floats, 0, 0)
    ints[LAST_RAW] = max(ints[LAST_RAW], raw_ns)
    result = _apply(ints, floats, direction, raw_ns, master_ns, fraction, True)
    if ints[SYNCS] + ints[DELAYS] > REPLAY or result == STEPPED:
        ints[REPLAYED] = 1
    elif ints[REPLAYED] == 0:
        _replay(ints, floats)
    return result


@kernel
def _measure_noise(ints: IntArray, floats: FloatArray, late_syncs: int, late_delays: int) -> None:
    """The noise of both directions, from what is remembered less what was late (bits)."""
    rate = floats[FREQUENCY]
    sync = ring_sigma(ints[SYNC_RING:DELAY_RING], rate, PRIOR_SIGMA_NS, late_syncs)
    floats[SIGMA_SYNC] = sync
    floats[SIGMA_DELAY] = ring_sigma(ints[DELAY_RING:INTS], rate, sync, late_delays)


@kernel
def _replay(ints: IntArray, floats: FloatArray) -> None:
    """Run all measurements so far, in the order of their instants, through a fresh filter."""
    syncs = ints[SYNC_RING]
    delays = ints[DELAY_RING]
    late_syncs, late_delays = late_ones(ints[SYNC_RING:DELAY_RING], ints[DELAY_RING:INTS])
    _measure_noise(ints, floats, late_syncs, late_delays)
    s = 0
    d = 0
    begun = False
    while s < syncs or d < delays:
        sync_raw = ints[SYNC_RING + 2 + s]
        delay_raw = ints[DELAY_RING + 2 + d]
        if d >= delays or (s < syncs and sync_raw <= delay_raw):
            direction, raw_ns = ints[NO_PATH] - 1, sync_raw
            master_ns = raw_ns + ints[SYNC_RING + 2 + WINDOW + s]
            late = (late_syncs >> s) & 1
            s += 1
        else:
            direction, raw_ns = 1, delay_raw
            master_ns = raw_ns + ints[DELAY_RING + 2 + WINDOW + d]
            late = (late_delays >> d) & 1
            d += 1
        if late:
            continue
        if not begun:
            _begin(ints, floats, direction, raw_ns, master_ns)
            begun = True
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
    sigma = floats[SIGMA_SYNC] if direction <= 0 else floats[SIGMA_DELAY]
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
        if stepped(ints, floats, direction, residual, size, sigma):
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
