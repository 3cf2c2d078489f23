"""The benchmarks' command line: `python -m bench all`, or `python bench/run.py media-send --quick`.

Each prints one JSON line: its figures, its verdicts, facts about the machine and how disturbed it
was. They need root (namespaces, SCHED_FIFO). Limits are shown, not enforced: the exit code is 1
only when a benchmark could not run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import latency, machine, media, memory, pacing, scale, startup
from bench.rounds import Effort


@dataclass(frozen=True)
class Benchmark:
    """What runs it, its effort, its effort with --quick, what it measures."""

    measure: Callable[[Effort], Any]
    effort: Effort
    quick: Effort
    meaning: str


BENCHMARKS = {
    "media-send": Benchmark(
        lambda effort: media.measure("send", effort), Effort(5, 4), Effort(1, 1),
        "CPU per packet sent, as a ratio to the C loop",
    ),
    "media-receive": Benchmark(
        lambda effort: media.measure("receive", effort), Effort(5, 4), Effort(1, 1),
        "CPU per packet received, as a ratio to the C loop",
    ),
    "pacing": Benchmark(pacing.measure, Effort(5, 5), Effort(1, 1), "gaps between packets"),
    "latency": Benchmark(latency.measure, Effort(3, 10), Effort(1, 1), "writei to readi"),
    "startup": Benchmark(startup.measure, Effort(3, 0), Effort(1, 0), "daemon to first packet"),
    "memory": Benchmark(memory.measure, Effort(1, 5), Effort(1, 1), "resident memory"),
    "scale": Benchmark(scale.measure, Effort(1, 60), Effort(1, 3), "64 + 64 streams, real clients"),
}  # fmt: skip


def run(name: str, effort: Effort) -> dict[str, Any]:
    """One benchmark with everything a reader needs beside the figures."""
    facts, disturbance = machine.facts(), machine.Disturbance()
    figures = BENCHMARKS[name].measure(effort)
    return {
        "benchmark": name, **figures, "machine": facts, "disturbance": disturbance.report()
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 0: all ran, 1: one could not, 2: bad arguments."""
    words = "\n".join(f"  {name:14} {row.meaning}" for name, row in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="bench", description=f"Benchmarks, one JSON line each:\n{words}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("names", nargs="*", default=["all"], metavar="name",
                        help="all (default) or one or more of the above")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--rounds", type=int, help="instead of the benchmark's own number")
    parser.add_argument("--seconds", type=int, help="of each measurement")
    options = parser.parse_args(argv)
    names = list(BENCHMARKS) if "all" in options.names else options.names
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"{name}: is one of all, {', '.join(BENCHMARKS)}")
    if os.geteuid() != 0:
        print("bench: needs root for network namespaces and SCHED_FIFO", file=sys.stderr)
        return 1
    failed = False
    for name in names:
        own = BENCHMARKS[name].quick if options.quick else BENCHMARKS[name].effort
        effort = Effort(options.rounds or own.rounds, options.seconds or own.seconds)
        try:
            print(json.dumps(run(name, effort)), flush=True)
        except Exception:
            print(f"bench: {name} could not run", file=sys.stderr)
            traceback.print_exc()
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
