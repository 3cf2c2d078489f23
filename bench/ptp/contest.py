"""`ptp-contest`: our clock and a real ptp4l slave follow one drifting virtual oscillator.

An unmodified ptp4l is the master, on an oscillator of +30 ppm and a sine of 500 ns in 50 s. Another
one follows it, which disciplines a virtual clock (-12 ppm), and we do, over a cable each and with
a master process each: of two Syncs in a row out of one process the second finds warm caches and is
2 us faster, a bias of 1 us for one of the rivals. Two such contests at once, 1 and 8 Sync/s, under
three loads. The ratio of the true errors takes the machine's noise out; it is of the last part of
the run, long after everybody's convergence. `path_bias` is what no slave could know: half of what
the way to the master took longer than the way from it.

`ptp-bridge` is our slave alone with a master over a bridge. There a packet takes 20 us of this
machine's own code after it was stamped, and 6 us if another one has just taken the same way: beside
other masters that would decide who wins.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aes67.clock.lock import State
from bench.ptp.lab import INTERFACE, Lab, lab, wait_until
from bench.ptp.truth import (
    NS,
    Law,
    Recording,
    Times,
    disciplined,
    drifting,
    grid,
    passages,
    percentile,
    reached,
    rms,
    settled,
)
from bench.rounds import Effort, verdict

LOADS = ("quiet", "cpu", "net")
RATES = {"1 Sync/s": 0, "8 Sync/s": -3}
HOGS = 4
FLOOD = {"net": 6}
"""Packets a millisecond on each bridge, from its master."""
SLAVE_PPM = -12.0


@dataclass(frozen=True)
class Rivals:
    """One contest: where the masters will be, who lives on which clock, who writes what where."""

    masters: tuple[str, str]
    law: Law
    rival: Law
    log: Path
    out: Path
    stamps: tuple[Path, Path]
    """Of the rival's master, and of the rival."""


def measure(effort: Effort) -> dict[str, Any]:
    """`effort.rounds` loads; `effort.seconds` is the length of a run, the second half counts."""
    rows = [row for load in LOADS[: effort.rounds] for row in contest(load, effort.seconds)]
    ratios = [row["ratio"] for row in rows]
    mean = math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))
    return {
        "runs": rows,
        "ratio_geometric_mean": verdict(mean, 0.35, 0.25),
        "ratio_worst": verdict(max(ratios), 1.2, 1.0),
    }


def measure_bridged(effort: Effort) -> dict[str, Any]:
    """Our slave at 8 Sync/s over a bridge; of `effort.seconds` the second half counts."""
    with lab() as place:
        ahead, out = place.lone_slave()
        began = time.time_ns()
        law = drifting(began)
        place.ptp4l(ahead, master=True, law=law)
        ended = began + effort.seconds * NS
        wait_until(ended)
        place.collect()
        found = Recording(out)
    start, begin = found.real_at(int(found.facts["first_sync_ns"])), (began + ended) // 2
    whole, counted = grid(start, ended), grid(begin, ended)
    estimate = found.estimate(whole) - law.at(whole)
    error = found.media(counted) - law.at(counted)
    _, late_s = _locked(found, start)
    return {
        "rms_8_sync_us": verdict(us(rms(error)), 0.8),
        "p99_8_sync_us": verdict(us(percentile(error, 99)), 2.0),
        "bias_us": us(float(np.mean(error))),
        "path_bias_us": path_bias(*found.passages(law), begin),
        "first_sync_to_10_us_s": verdict(reached(estimate, 10_000), 2.0),
        "first_sync_to_1_us_s": verdict(reached(estimate, 1_000), 20.0),
        "locked_late_s": verdict(late_s, 0.0),
    }


def _locked(found: Recording, start: int) -> tuple[float, float]:
    """When it locked, in s after the first Sync (at `start`), and how much later than due."""
    locked = found.entered(int(State.LOCKED))
    qualified = found.real_at(int(found.facts["qualified_ns"]))
    due = max(qualified + NS // 2, start + 2 * NS)
    return round((locked - start) / NS, 2), round((locked - due) / NS, 2)


def contest(load: str, seconds: int) -> list[dict[str, Any]]:
    """Both rates under one load."""
    with lab() as place:
        contests = {rate: _build(place, rate, number) for number, rate in enumerate(RATES)}
        # all listen before there is anything to hear
        place.wait_ready()
        for rate, each in contests.items():
            log_rate = RATES[rate]
            for space, stamps in zip(each.masters, (None, each.stamps[0]), strict=True):
                place.ptp4l(
                    space, master=True, law=each.law, sync=log_rate, delay=log_rate, stamps=stamps
                )
                if load in FLOOD:
                    place.flood(space, INTERFACE, FLOOD[load])
        hogs = place.hogs(0 if load == "quiet" else HOGS)
        began = time.time_ns()
        wait_until(began + seconds * NS)
        ended = time.time_ns()
        for process in hogs:
            place.stop(process)
        place.collect()
        return [
            {"load": load, "rate": rate, **judge(each, began, ended)}
            for rate, each in contests.items()
        ]


def _build(place: Lab, rate: str, number: int) -> Rivals:
    """Namespaces and both slaves; the masters come when they are ready."""
    zero = time.time_ns()
    (here, ahead), (them, ahead_of_them) = place.link(), place.link()
    each = Rivals(
        (ahead, ahead_of_them),
        drifting(zero), Law(zero, -456 * NS, SLAVE_PPM),
        place.folder / f"rival-{number}", place.folder / f"ours-{number}.npz",
        (place.folder / f"to-{number}", place.folder / f"from-{number}"),
    )  # fmt: skip
    log_rate = RATES[rate]
    place.ours(here, each.out)
    place.ptp4l(
        them, master=False, law=each.rival, log=each.log, sync=log_rate, delay=log_rate,
        stamps=each.stamps[1],
    )  # fmt: skip
    return each


def judge(each: Rivals, began: int, ended: int) -> dict[str, Any]:
    """Figures of one contest."""
    found = Recording(each.out)
    start = found.real_at(int(found.facts["first_sync_ns"]))
    whole = grid(start, ended)
    rival = disciplined(each.rival, each.log, whole) - each.law.at(whole)
    # a rival that has not even begun to steer shall not count
    begin = max(int(whole[settled(rival)]), (began + ended) // 2)
    counted = grid(begin, ended)
    truth = each.law.at(counted)
    ours = found.media(counted) - truth
    theirs = disciplined(each.rival, each.log, counted) - truth
    estimate = found.estimate(whole) - each.law.at(whole)
    locked_s, late_s = _locked(found, start)
    master, slave = each.stamps
    ways = {
        "ours": found.passages(each.law),
        "ptp4l": (passages(master, slave), passages(slave, master)),
    }
    return {
        "ours_rms_us": us(rms(ours)), "ptp4l_rms_us": us(rms(theirs)),
        "ratio": round(rms(ours) / rms(theirs), 3),
        "ours_p99_us": us(percentile(ours, 99)), "ptp4l_p99_us": us(percentile(theirs, 99)),
        "ours_bias_us": us(float(np.mean(ours))), "ptp4l_bias_us": us(float(np.mean(theirs))),
        "ours_to_10_us_s": reached(estimate, 10_000), "ptp4l_to_10_us_s": reached(rival, 10_000),
        "ours_to_1_us_s": reached(estimate, 1_000), "ptp4l_to_1_us_s": reached(rival, 1_000),
        "ours_locked_s": locked_s,
        "ours_locked_late_s": late_s,
        "unlocks": found.states(found.entered(int(State.LOCKED))).count(int(State.UNLOCKED)),
        **{f"{name}_path_bias_us": path_bias(*both, begin) for name, both in ways.items()},
        "counted_s": round((ended - begin) / NS, 1),
        "cpu_percent": round(found.facts["cpu_share"] * 100, 2),
    }  # fmt: skip


def path_bias(there: Times, back: Times, begin_ns: int) -> float:
    """Half of what the median packet took longer to the master than from it, us."""
    late = [float(np.median(way[way[:, 0] >= begin_ns, 1])) for way in (there, back)]
    return us((late[1] - late[0]) / 2)


def us(ns: float) -> float:
    """Microseconds to three digits after the point."""
    return round(ns / 1000, 3)
