"""Steps: when residuals that are huge say that the master's time or the path has jumped.

A step is STEP_RUN huge residuals in a row that agree with each other, or so many that disagree that
the network must have changed. What the two directions share is the master's time, what they differ
in is the path. The time is taken to have jumped only when that is more than the residuals scatter:
a burst of traffic moves the path. Syncs alone cannot tell the two; the next Delay_Resp can, and
takes back what was assumed.
"""

from __future__ import annotations

import numpy as np

from aes67.clock.filter_state import (
    DELAY_RUN_RESIDUALS,
    FINE_SYNCS,
    FLOATS,
    LAST_STEP,
    LAST_STEP_DELAY,
    OFFSET,
    P00,
    P11,
    P22,
    PATH_DELAY,
    RAW,
    RUN_DELAY,
    RUN_SYNC,
    SIGMA_DELAY,
    SIGMA_SYNC,
    STEP_RAW,
    STEP_RUN_ANY,
    STEPS,
    SYNC_RUN_RESIDUALS,
    VERIFY,
    FloatArray,
    IntArray,
)
from aes67.jit import kernel

HUGE = 8.0
STEP_RUN = 6
"""Huge residuals in a row that are a step, when they agree with each other."""
STEP_FLOOR_NS = 1_000.0
STEPS_APART_S = 10.0
FINE = 3
"""Syncs in between that are as predicted: only then Delays alone can be a step."""
SIGNIFICANT = 4.0
"""The master's time has jumped when that is so many standard deviations of the runs' means."""


@kernel
def stepped(
    ints: IntArray, floats: FloatArray, direction: int, residual: float, size: float, sigma: float
) -> bool:
    """Count huge residuals; move the phase when they are a step."""
    huge = size > HUGE and abs(residual) > STEP_FLOOR_NS
    if ints[VERIFY] and direction > 0:
        ints[VERIFY] = 0
        assumed = floats[LAST_STEP]
        if residual * assumed < 0.0 and abs(residual) > abs(assumed):
            _take_back(ints, floats, assumed)
            return True
        if huge:
            _move(ints, floats, residual / 2.0, residual / 2.0)
            _doubt(ints, floats, sigma, sigma)
            return True
        _doubt(ints, floats, floats[SIGMA_SYNC], floats[SIGMA_SYNC])
    if not _counted(ints, floats, direction, residual, huge):
        return False
    return _decide(ints, floats, direction)


@kernel
def _counted(
    ints: IntArray, floats: FloatArray, direction: int, residual: float, huge: bool
) -> bool:
    """Put a huge residual to its run, which one that is not or of the other sign ends."""
    counter = RUN_SYNC if direction <= 0 else RUN_DELAY
    start = SYNC_RUN_RESIDUALS if direction <= 0 else DELAY_RUN_RESIDUALS
    count = ints[counter]
    if not huge:
        ints[counter] = 0
        if direction <= 0:
            ints[FINE_SYNCS] += 1
        return False
    if count > 0 and (residual > 0) != (floats[start] > 0):
        count = 0
    if count == 0:
        # a run of Syncs begins: what the Delays said is of before
        if direction <= 0:
            ints[RUN_DELAY] = 0
        ints[FINE_SYNCS] = 0
    if count < STEP_RUN_ANY:
        floats[start + count] = residual
        ints[counter] = count + 1
    return True


@kernel
def _decide(ints: IntArray, floats: FloatArray, direction: int) -> bool:
    """Whether the runs are a step; move the phase if so."""
    syncs = ints[RUN_SYNC]
    delays = ints[RUN_DELAY]
    if syncs + delays < STEP_RUN or (syncs == 0 and ints[FINE_SYNCS] < FINE):
        return False
    sync_step, sync_agree, sync_sd = _agreement(
        floats[SYNC_RUN_RESIDUALS:DELAY_RUN_RESIDUALS], syncs, floats[SIGMA_SYNC]
    )
    delay_step, delay_agree, delay_sd = _agreement(
        floats[DELAY_RUN_RESIDUALS:FLOATS], delays, floats[SIGMA_DELAY]
    )
    agree = sync_agree and delay_agree
    if not agree and (syncs + delays < STEP_RUN_ANY or syncs == 0):
        return False
    if delays == 0 and direction < 0 and sync_sd <= HUGE * floats[SIGMA_SYNC]:
        _move(ints, floats, sync_step, 0.0)
        ints[VERIFY] = 1
        return True
    time_step, path_step, sd = sync_step, 0.0, sync_sd
    if delays > 0:
        time_step, path_step = (sync_step + delay_step) / 2.0, (delay_step - sync_step) / 2.0
        scatter = sync_sd * sync_sd / max(syncs, 1) + delay_sd * delay_sd / delays
        sd = np.sqrt(scatter) / 2.0
    elif direction < 0:
        time_step, path_step = 0.0, -sync_step
    if abs(time_step) < SIGNIFICANT * sd:
        time_step, sd = 0.0, 0.0
    _move(ints, floats, time_step, path_step)
    _doubt(ints, floats, sd, max(sync_sd, delay_sd))
    return True


@kernel
def _agreement(residuals: FloatArray, count: int, sigma: float) -> tuple[float, bool, float]:
    """Mean of a run, whether all of it lies within a quarter of that of the mean, and its scatter.

    The scatter is a standard deviation, at least `sigma`.
    """
    if count == 0:
        return 0.0, True, sigma
    total = 0.0
    for i in range(count):
        total += residuals[i]
    mean = total / count
    agree = True
    squares = 0.0
    for i in range(count):
        off = residuals[i] - mean
        agree = agree and abs(off) <= 0.25 * abs(mean)
        squares += off * off
    return mean, agree, max(np.sqrt(squares / max(count - 1, 1)), sigma)


@kernel
def _move(ints: IntArray, floats: FloatArray, time_step: float, path_step: float) -> None:
    """Move offset and delay; the frequency stays."""
    floats[LAST_STEP] = time_step
    floats[LAST_STEP_DELAY] = path_step
    floats[OFFSET] += time_step
    floats[PATH_DELAY] += path_step
    ints[RUN_SYNC] = 0
    ints[RUN_DELAY] = 0
    ints[STEPS] += 1


@kernel
def _take_back(ints: IntArray, floats: FloatArray, assumed: float) -> None:
    """It was the path, which the Syncs know better than the one answer that said so."""
    floats[LAST_STEP] = 0.0
    floats[LAST_STEP_DELAY] = -assumed
    floats[OFFSET] -= assumed
    floats[PATH_DELAY] -= assumed
    floats[P22] += floats[SIGMA_SYNC] * floats[SIGMA_SYNC]
    ints[STEP_RAW] = ints[RAW]


@kernel
def _doubt(ints: IntArray, floats: FloatArray, time_sd: float, path_sd: float) -> None:
    """What the last move may be wrong by; steps that follow each other are a rate that changed."""
    floats[P00] += time_sd * time_sd
    floats[P22] += path_sd * path_sd
    since = float(ints[RAW] - ints[STEP_RAW]) * 1e-9
    if ints[STEPS] > 1 and since < STEPS_APART_S:
        rate = floats[LAST_STEP] / max(since, 0.1)
        floats[P11] += rate * rate
    ints[STEP_RAW] = ints[RAW]
