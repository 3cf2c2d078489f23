"""`pacing`: gaps between packets of a stream by kernel time stamps, the other core kept busy.

Beside the C loop with SCHED_FIFO in the same run, by turns. What counts is how far the p99 and
p99.9 gaps lie above the nominal one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from bench.media import CHANNELS, FRAMES, PRIORITY, RATE, START_SECONDS, answer, core_for
from bench.network import Link, inside, link
from bench.programs import HERE, program
from bench.rounds import Effort, Figures, alternate, median, ratios, spread, verdict

STREAMS = 8
NOMINAL_NS = FRAMES * 10**9 // RATE
LIMIT = 1.2
BUSY = "import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
LEAST_SPREAD_NS = 1000
"""Deviations are compared above this floor: below it the time stamps say nothing."""


def busy(seconds: float) -> subprocess.Popen[bytes]:
    """A process that keeps the other core busy for so long, or until it is killed."""
    core = core_for("generator")
    prefix = [] if core < 0 else ["taskset", "-c", str(core)]
    return subprocess.Popen([*prefix, sys.executable, "-c", BUSY.format(seconds=seconds)])


def judged(ends: Link, sender: list[str], ready: float, seconds: float) -> Figures:
    """Gaps of what `sender` sends, judged from `ready` seconds after its start on."""
    gaps = inside(ends.b, program("gaps"), ends.interface_b, str(STREAMS), str(round(seconds)))
    load = busy(START_SECONDS)
    sending = subprocess.Popen(sender, stdout=subprocess.PIPE, text=True, cwd=HERE.parent)
    try:
        assert sending.stdout is not None
        if ready < 0:
            sending.stdout.readline()  # the engine says when it sends
        found = answer(gaps, seconds + 20)
    finally:
        for process in (sending, load):
            process.kill()
            process.wait()
    return {
        "p50": found["p50_ns"] - NOMINAL_NS, "p99": found["p99_ns"] - NOMINAL_NS,
        "p999": found["p999_ns"] - NOMINAL_NS, "max": found["max_ns"] - NOMINAL_NS,
        "lost": found["lost"], "packets": found["packets"],
    }  # fmt: skip


def sides(ends: Link, seconds: float) -> tuple[Callable[[], Figures], Callable[[], Figures]]:
    """Measurements of both. Neither is bound to a core: where to run is part of the matter."""
    running = seconds + 60
    numbers = map(str, (STREAMS, CHANNELS, FRAMES, RATE, round(running), PRIORITY, CHANNELS))
    theirs = inside(ends.a, program("cloop"), "send", ends.interface_a, *numbers)
    ours = inside(
        ends.a, sys.executable, "-m", "bench.engine_side", "send", "--interface",
        ends.interface_a, "--address", "10.77.0.1", "--streams", str(STREAMS), "--announce",
        "--seconds", str(running), "--priority", str(PRIORITY),
    )  # fmt: skip
    return lambda: judged(ends, ours, -1, seconds), lambda: judged(ends, theirs, 0, seconds)


def summary(figures: list[Figures]) -> dict[str, Any]:
    """Medians over the rounds, in microseconds above the nominal gap."""
    names = ("p50", "p99", "p999", "max")
    found: dict[str, Any] = {f"{each}_us": round(median(figures, each) / 1000, 1) for each in names}
    return found | {"lost": sum(each["lost"] for each in figures)}


def measure(effort: Effort) -> dict[str, object]:
    """Deviations of both, their ratios, the verdicts."""
    with link() as ends:
        ours, theirs = alternate(*sides(ends, effort.seconds), effort.rounds)
    result: dict[str, object] = {
        "streams": STREAMS, "nominal_us": NOMINAL_NS / 1000,
        "rounds": effort.rounds, "seconds": effort.seconds,
        "engine": summary(ours), "c_loop": summary(theirs),
    }  # fmt: skip
    for name in ("p99", "p999"):
        limited: list[list[Figures]] = [
            [{name: max(each[name], LEAST_SPREAD_NS)} for each in figures]
            for figures in (ours, theirs)
        ]
        ratio = spread(ratios(limited[0], limited[1], name))
        result[f"{name}_ratio"] = ratio | verdict(ratio["median"], LIMIT)
    return result
