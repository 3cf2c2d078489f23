"""`ptp-accidents`: the master's time steps by 300 us, then the master dies.

`ptp-loss`: for minutes every fifth message is lost, every fiftieth late by 200 us on average.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from aes67.clock.lock import State
from bench.ptp.contest import us
from bench.ptp.lab import lab, wait_until
from bench.ptp.truth import NS, PPM, Recording, drifting, grid, percentile, reached, rms
from bench.rounds import Effort, verdict

STEP_NS = 300_000
SETTLE_S, RECOVER_S = 30, 15
"""Following before the step, and after it before the master dies."""
LOSS, SPIKES, SPIKE_NS = 0.36, 0.02, 200_000
"""A measurement takes two messages: with 20 % of each lost, 36 % of the measurements are."""


def step_and_silence(effort: Effort) -> dict[str, Any]:
    """Figures of the step, then of `effort.seconds` without a master."""
    with lab() as place:
        master, out = place.lone_slave()
        law = drifting(time.time_ns(), STEP_NS, float(SETTLE_S))
        gm = place.ptp4l(master, master=True, law=law)
        step = law.zero_ns + SETTLE_S * NS
        death = step + RECOVER_S * NS
        wait_until(death)
        place.stop(gm)
        silent = time.time_ns()
        wait_until(silent + effort.seconds * NS)
        ended = time.time_ns()
        place.collect()
        found = Recording(out)
    after, alone = grid(step, death), grid(silent, ended)
    estimate = (found.estimate(after) - law.at(after)).astype(float)
    media = found.media(after) - law.at(after)
    slew = np.diff(found.media(after) - after) / np.diff(after) * 1e6
    error = found.media(alone) - law.at(alone)
    return {
        "step_to_2_us_s": verdict(reached(estimate, 2_000), 2.0),
        "media_clock_to_2_us_s": reached(media, 2_000),
        "media_clock_slew_ppm": round(float(np.abs(slew - PPM).max()), 1),
        "epochs_by_step": verdict(_epochs(found, step, death), 0),
        "silence_s": effort.seconds,
        "silence_max_us": verdict(us(float(np.abs(error).max())), 5.0),
        "silence_unlocks": verdict(found.states(silent).count(int(State.UNLOCKED)), 0),
    }


def loss(effort: Effort) -> dict[str, Any]:
    """`effort.seconds` of a master whose messages are lost and late."""
    with lab() as place:
        master, out = place.lone_slave()
        law = drifting(time.time_ns())
        place.ptp4l(master, master=True, law=law, network=(LOSS, SPIKES, SPIKE_NS))
        wait_until(law.zero_ns + effort.seconds * NS)
        ended = time.time_ns()
        place.collect()
        found = Recording(out)
    locked = found.entered(int(State.LOCKED))
    if not locked:
        return {"unlocks": verdict(float("inf"), 0), "locked": False}
    counted = grid(max(locked, law.zero_ns + 30 * NS), ended)
    error = found.media(counted) - law.at(counted)
    return {
        "seconds": effort.seconds, "locked": True,
        "unlocks": verdict(found.states(locked).count(int(State.UNLOCKED)), 0),
        "rms_us": us(rms(error)), "p99_us": us(percentile(error, 99)),
        "max_us": us(float(np.abs(error).max())), "bias_us": us(float(np.mean(error))),
    }  # fmt: skip


def _epochs(found: Recording, start_ns: int, end_ns: int) -> int:
    """Discontinuities of the media clock between two instants."""
    raw = found.raw_at(np.array([start_ns, end_ns]))
    rows = found.published[
        (found.published[:, 0] >= raw[0]) & (found.published[:, 0] <= raw[1]), 5
    ]
    return int(rows[-1] - rows[0])
