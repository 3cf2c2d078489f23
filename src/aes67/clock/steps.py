"""Steps: when residuals that are huge say that the master's time or the path has jumped.

A step is STEP_RUN huge residuals in a row that agree with each other. Syncs alone cannot tell the
master's time from a longer path; the next Delay_Resp can, and corrects what was assumed.
"""

from __future__ import annotations

from aes67.clock.filter_state import (
    DELAY_RUN_RESIDUALS,
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


@kernel
def stepped(
    ints: IntArray, floats: FloatArray, direction: int, residual: float, size: float, sigma: float
) -> bool:
    """Count huge residuals; restart the phase when they are a step."""
    huge = size > HUGE and abs(residual) > STEP_FLOOR_NS
    if ints[VERIFY] and direction > 0:
        ints[VERIFY] = 0
        if huge:
            _restart(ints, floats, 0.0, residual, sigma)
            return True
    counter = RUN_SYNC if direction <= 0 else RUN_DELAY
    start = SYNC_RUN_RESIDUALS if direction <= 0 else DELAY_RUN_RESIDUALS
    count = ints[counter]
    if not huge or (count > 0 and (residual > 0) != (floats[start] > 0)):
        ints[counter] = 0
        if not huge:
            if direction <= 0:
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
        ints[VERIFY] = -direction
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
