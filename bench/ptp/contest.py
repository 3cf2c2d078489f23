"""`ptp-contest`: our clock and a real ptp4l slave follow one drifting ptp4l master at a time.

An unmodified ptp4l is the master, on a virtual oscillator (+30 ppm and a sine of 500 ns in 50 s).
Over a bridge each, another one follows it, which disciplines a virtual clock (-12 ppm), and we do.
Two such contests at once, 1 and 8 Sync/s, under three loads. The ratio of the true errors takes the
machine's noise out; it is of the last part of the run, long after everybody's convergence.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aes67.clock.lock import State
from bench.ptp.lab import Lab, lab, wait_until
from bench.ptp.truth import (
    NS,
    Law,
    Recording,
    disciplined,
    grid,
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
"""Packets a millisecond on each bridge, from the master."""
PORTS = ("p0", "p1")
SLAVE_PPM = -12.0


@dataclass(frozen=True)
class Bridge:
    """One contest: where the master will be, who lives on which clock, who writes what where."""

    master: str
    law: Law
    rival: Law
    log: Path
    out: Path


def measure(effort: Effort) -> dict[str, Any]:
    """`effort.rounds` loads; `effort.seconds` is the length of a run, the second half counts."""
    rows = [row for load in LOADS[: effort.rounds] for row in contest(load, effort.seconds)]
    ratios = [row["ratio"] for row in rows]
    mean = math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))
    fast = [row for row in rows if row["rate"] == "8 Sync/s" and row["load"] == "quiet"][0]
    return {
        "runs": rows,
        "ratio_geometric_mean": verdict(mean, 0.35, 0.25),
        "ratio_worst": verdict(max(ratios), 1.2, 1.0),
        "rms_8_sync_us": verdict(fast["ours_rms_us"], 0.8),
        "p99_8_sync_us": verdict(fast["ours_p99_us"], 2.0),
        "first_sync_to_10_us_s": verdict(fast["ours_to_10_us_s"], 2.0),
        "first_sync_to_1_us_s": verdict(fast["ours_to_1_us_s"], 20.0),
        "locked_late_s": verdict(fast["ours_locked_late_s"], 0.0),
    }


def contest(load: str, seconds: int) -> list[dict[str, Any]]:
    """Both rates under one load."""
    with lab() as place:
        bridges = {rate: _build(place, rate, number) for number, rate in enumerate(RATES)}
        # all listen before there is anything to hear
        place.wait_ready()
        for rate, bridge in bridges.items():
            log_rate = RATES[rate]
            place.ptp4l(
                bridge.master, master=True, law=bridge.law, sync=log_rate, delay=log_rate,
                interfaces=PORTS,
            )  # fmt: skip
            for port in PORTS if load in FLOOD else ():
                place.flood(bridge.master, port, FLOOD[load])
        hogs = place.hogs(0 if load == "quiet" else HOGS)
        began = time.time_ns()
        wait_until(began + seconds * NS)
        ended = time.time_ns()
        for process in hogs:
            place.stop(process)
        place.collect()
        return [
            {"load": load, "rate": rate, **judge(bridge, began, ended)}
            for rate, bridge in bridges.items()
        ]


def _build(place: Lab, rate: str, number: int) -> Bridge:
    """Namespaces and both slaves; the master comes when they are ready.

    The master has a port on the bridge of each slave: a bridge with three ports serves one after
    the other, which would make one way of each slave longer by a microsecond.
    """
    zero = time.time_ns()
    law = Law(zero, 123 * NS, 30.0, 500.0, 50.0)
    here, them = place.plug(f"a{number}"), place.plug(f"b{number}")
    master = place.plug(f"a{number}", interface=PORTS[0])
    place.plug(f"b{number}", master, PORTS[1])
    bridge = Bridge(
        master, law, Law(zero, -456 * NS, SLAVE_PPM), place.folder / f"rival-{number}",
        place.folder / f"ours-{number}.npz",
    )  # fmt: skip
    log_rate = RATES[rate]
    place.ours(here, bridge.out)
    place.ptp4l(them, master=False, law=bridge.rival, log=bridge.log, sync=log_rate, delay=log_rate)
    return bridge


def judge(bridge: Bridge, began: int, ended: int) -> dict[str, Any]:
    """Figures of one contest."""
    found = Recording(bridge.out)
    start = found.real_at(int(found.facts["first_sync_ns"]))
    whole = grid(start, ended)
    rival = disciplined(bridge.rival, bridge.log, whole) - bridge.law.at(whole)
    # a rival that has not even begun to steer shall not count
    begin = max(int(whole[settled(rival)]), (began + ended) // 2)
    counted = grid(begin, ended)
    truth = bridge.law.at(counted)
    ours = found.media(counted) - truth
    theirs = disciplined(bridge.rival, bridge.log, counted) - truth
    estimate = found.estimate(whole) - bridge.law.at(whole)
    locked, first, qualified = (
        found.entered(int(State.LOCKED)), start, found.real_at(int(found.facts["qualified_ns"])),
    )  # fmt: skip
    due = max(qualified + NS // 2, first + 2 * NS)
    return {
        "ours_rms_us": us(rms(ours)), "ptp4l_rms_us": us(rms(theirs)),
        "ratio": round(rms(ours) / rms(theirs), 3),
        "ours_p99_us": us(percentile(ours, 99)), "ptp4l_p99_us": us(percentile(theirs, 99)),
        "ours_bias_us": us(float(np.mean(ours))), "ptp4l_bias_us": us(float(np.mean(theirs))),
        "ours_to_10_us_s": reached(estimate, 10_000), "ptp4l_to_10_us_s": reached(rival, 10_000),
        "ours_to_1_us_s": reached(estimate, 1_000), "ptp4l_to_1_us_s": reached(rival, 1_000),
        "ours_locked_s": round((locked - first) / NS, 2),
        "ours_locked_late_s": round((locked - due) / NS, 2),
        "unlocks": found.states(locked).count(int(State.UNLOCKED)),
        "counted_s": round((ended - begin) / NS, 1),
        "cpu_percent": round(found.facts["cpu_share"] * 100, 2),
    }  # fmt: skip


def us(ns: float) -> float:
    """Microseconds to three digits after the point."""
    return round(ns / 1000, 3)
