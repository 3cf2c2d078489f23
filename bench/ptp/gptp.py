"""`ptp-gptp`: we and a real ptp4l as 802.1AS end stations of one drifting virtual oscillator.

As `contest`, but with peer delay, and over a cable each, since no plain bridge passes 802.1AS on.
A veth has an error of its own: a Pdelay_Req finds cold caches and its answer warm ones.
"""

from __future__ import annotations

import time
from typing import Any

from bench.ptp.contest import SLAVE_PPM, us
from bench.ptp.lab import lab, wait_until
from bench.ptp.truth import (
    GRID_NS,
    NS,
    Law,
    Recording,
    disciplined,
    drifting,
    grid,
    percentile,
    rms,
    settled,
)
from bench.rounds import Effort, verdict

LIMIT_US = 3.0
RATIO = 1.2
LEADS, FOLLOWS = 246, 250


def measure(effort: Effort) -> dict[str, Any]:
    """`effort.seconds` at 8 Sync/s, of which the second half counts."""
    with lab() as place:
        zero = time.time_ns()
        law, own = drifting(zero), Law(zero, -456 * NS, SLAVE_PPM)
        (ahead, here), (ahead_of_them, them) = place.link(), place.link()
        out, log = place.folder / "ours.npz", place.folder / "rival"
        place.ours(here, out, "--profile", "gptp")
        place.gptp4l(them, priority1=FOLLOWS, law=own, log=log)
        place.wait_ready()
        for space in (ahead, ahead_of_them):
            place.gptp4l(space, priority1=LEADS, law=law)
        began = time.time_ns()
        wait_until(began + effort.seconds * NS)
        ended = time.time_ns()
        place.collect()
        whole = grid(began, ended)
        theirs = disciplined(own, log, whole) - law.at(whole)
        counted = slice(max(settled(theirs), len(whole) // 2), None)
        ours = (Recording(out).media(whole) - law.at(whole))[counted]
    theirs = theirs[counted]
    return {
        "counted_s": round(len(ours) * GRID_NS / NS, 1),
        "rms_us": verdict(rms(ours) / 1000, LIMIT_US), "p99_us": us(percentile(ours, 99)),
        "bias_us": us(float(ours.mean())),
        "ptp4l_rms_us": us(rms(theirs)), "ptp4l_p99_us": us(percentile(theirs, 99)),
        "ptp4l_bias_us": us(float(theirs.mean())),
        "ratio": verdict(rms(ours) / rms(theirs), RATIO),
    }  # fmt: skip
