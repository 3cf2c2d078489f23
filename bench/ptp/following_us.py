"""`ptp-master`: ptp4l slaves follow our grandmaster, others at the same time a ptp4l's.

Slaves at the same place of their bridge are compared (a bridge serves one port after the other, so
each place has a bias of its own), by the rms error of their typical 10 s: a moment at which the
machine stands still throws one side's slaves off by tens of microseconds, whomever they follow.

`ptp-cpu`: share of a core that PTP takes, as a slave of a master that sends 8 Sync/s and allows 8
Delay_Req/s (2 to 4 are sent: one each time a locked slave wakes up).
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from aes67.clock.timebase import TAI_MINUS_UTC_S
from bench.ptp.contest import SLAVE_PPM, us
from bench.ptp.lab import lab, wait_until
from bench.ptp.truth import (
    GRID_NS,
    NS,
    Errors,
    Law,
    Recording,
    Times,
    disciplined,
    grid,
    rms,
    settled,
)
from bench.rounds import Effort, verdict

SLAVES = 3
"""On each side; the median of the pairs counts."""
WINDOW = 10 * NS // GRID_NS
LIMIT = 1.25
"""0.8 to 1.25 is as good; less is better."""
OUR_DELAY_RATE = 0
"""log2 of what our grandmaster asks for; the ptp4l master asks for the same."""


def measure(effort: Effort) -> dict[str, Any]:
    """`effort.seconds` of which the second half counts."""
    with lab() as place:
        zero = time.time_ns()
        slave = Law(zero, -456 * NS, SLAVE_PPM)
        out = place.folder / "ours.npz"
        logs: dict[str, list[Path]] = {"br0": [], "br1": []}
        for bridge, paths in logs.items():
            for number in range(SLAVES):
                log = place.folder / f"{bridge}-{number}"
                paths.append(log)
                place.ptp4l(place.plug(bridge), master=False, law=slave, log=log, delay=0)
        place.ours(place.plug("br0"), out, "--mode", "gm")
        place.wait_ready()
        place.ptp4l(place.plug("br1"), master=True, delay=OUR_DELAY_RATE)
        began = time.time_ns()
        wait_until(began + effort.seconds * NS)
        ended = time.time_ns()
        place.collect()
        found = Recording(out)
        whole = grid(began, ended)
        truth = {"br0": found.media(whole) - TAI_MINUS_UTC_S * NS, "br1": whole}
        errors = {
            bridge: [disciplined(slave, log, whole) - truth[bridge] for log in paths]
            for bridge, paths in logs.items()
        }
    late = max(settled(each) for some in errors.values() for each in some)
    start = max(len(whole) // 2, late)
    figures = {
        bridge: [typical_rms(each[start:]) for each in some] for bridge, some in errors.items()
    }
    plain = {bridge: [rms(each[start:]) for each in some] for bridge, some in errors.items()}
    ratio = statistics.median(
        ours / theirs for ours, theirs in zip(figures["br0"], figures["br1"], strict=True)
    )
    return {
        "counted_s": round((len(whole) - start) * GRID_NS / NS, 1),
        "following_us_rms_us": [us(each) for each in figures["br0"]],
        "following_ptp4l_rms_us": [us(each) for each in figures["br1"]],
        "following_us_rms_of_all_us": [us(each) for each in plain["br0"]],
        "following_ptp4l_rms_of_all_us": [us(each) for each in plain["br1"]],
        "ratio": verdict(ratio, LIMIT),
    }  # fmt: skip


def typical_rms(errors: Errors | Times) -> float:
    """Median of the rms of each 10 s, ns; whole ones only, unless there is none."""
    count = max(len(errors) // WINDOW, 1)
    parts = np.array_split(errors[: count * WINDOW], count)
    return statistics.median(rms(each) for each in parts)


def cpu(effort: Effort) -> dict[str, Any]:
    """CPU time of a process that is our timekeeper and nothing else."""
    with lab() as place:
        master, out = place.lone_slave("--plain")
        place.ptp4l(master, master=True)
        time.sleep(effort.seconds)
        place.collect()
        share = float(Recording(out).facts["cpu_share"])
    return {"percent_of_a_core": verdict(share * 100, 0.5)}
