"""The benchmarks' command line: `python -m bench all`, or `python bench/run.py media-send --quick`.

Each prints one JSON line: its figures, its verdicts, facts about the machine and how disturbed it
was. They need root (namespaces, SCHED_FIFO). Limits are shown, not enforced: the exit code is 1
only when a benchmark could not run.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import latency, machine, media, memory, pacing, recovery, scale, startup
from bench import page as bench_page
from bench.ptp import accidents, bmca, contest, following_us, gptp, page, report, second
from bench.rounds import Effort


@dataclass(frozen=True)
class Benchmark:
    """What runs it, its effort, its effort with --quick, what it measures."""

    measure: Callable[[Effort], Any]
    effort: Effort
    quick: Effort
    meaning: str
    beside: str = "no"
    """`long`: takes minutes and little of the machine, so others may run meanwhile, those that are
    `tolerant`; with --quick both run beside those that want the machine to themselves."""


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
    "recovery": Benchmark(
        recovery.measure, Effort(5, 0), Effort(1, 0), "links, addresses, reboots: seconds away"
    ),
    "scale": Benchmark(scale.measure, Effort(1, 60), Effort(1, 3), "64 + 64 streams, real clients"),
    "ptp-contest": Benchmark(
        contest.measure, Effort(3, 145), Effort(1, 90), "true error, beside a real ptp4l slave"
    ),
    "ptp-bridge": Benchmark(
        contest.measure_bridged, Effort(1, 145), Effort(1, 90), "our true error over a bridge"
    ),
    "ptp-accidents": Benchmark(
        accidents.step_and_silence, Effort(1, 60), Effort(1, 5), "a step of the master; its death",
        "tolerant",
    ),
    "ptp-loss": Benchmark(
        accidents.loss, Effort(1, 600), Effort(1, 60), "every fifth message lost, and spikes",
        "long",
    ),
    "ptp-master": Benchmark(
        following_us.measure, Effort(1, 140), Effort(1, 90), "ptp4l following us", "tolerant"
    ),
    "ptp-gptp": Benchmark(
        gptp.measure, Effort(1, 145), Effort(1, 90), "as ptp-contest, by IEEE 802.1AS", "tolerant"
    ),
    "ptp-cpu": Benchmark(following_us.cpu, Effort(1, 60), Effort(1, 22), "PTP's share of a core"),
    "ptp-second-clock": Benchmark(
        second.measure, Effort(3, 15), Effort(1, 5), "a second clock beside the first"
    ),
    "ptp-bmca": Benchmark(bmca.measure, Effort(1, 0), Effort(1, 0), "same winner as ptp4l"),
    "ptp-read": Benchmark(page.measure, Effort(9, 0), Effort(3, 0), "clock page to RTP timestamp"),
}  # fmt: skip
GROUPS = {
    "all": [name for name in BENCHMARKS if not name.startswith("ptp-")],
    "ptp": [name for name in BENCHMARKS if name.startswith("ptp-")],
}


def run(name: str, effort: Effort) -> dict[str, Any]:
    """One benchmark with everything a reader needs beside the figures."""
    facts, disturbance = machine.facts(), machine.Disturbance()
    figures = BENCHMARKS[name].measure(effort)
    return {
        "benchmark": name, **figures, "machine": facts, "disturbance": disturbance.report()
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 0: all ran, 1: one could not, 2: bad arguments."""
    parser = _parser()
    options = parser.parse_args(argv)
    names: list[str] = []
    for name in options.names:
        if name not in BENCHMARKS and name not in GROUPS:
            parser.error(f"{name}: is one of {', '.join([*GROUPS, *BENCHMARKS])}")
        names += GROUPS.get(name, [name])
    if os.geteuid() != 0:
        print("bench: needs root for network namespaces and SCHED_FIFO", file=sys.stderr)
        return 1
    lines, failed = _run_all(names, options)
    if len(names) > 1 and any(name.startswith("ptp-") for name in names):
        print(report.table(lines), file=sys.stderr)
    if options.report:
        words = ["python", "-m", "bench", *(sys.argv[1:] if argv is None else argv)]
        render = report.page if all(name.startswith("ptp-") for name in names) else bench_page.page
        Path(options.report).write_text(render(lines, shlex.join(words)), encoding="utf-8")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    words = "\n".join(f"  {name:16} {row.meaning}" for name, row in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="bench", description=f"Benchmarks, one JSON line each:\n{words}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("names", nargs="*", default=["all"], metavar="name",
                        help="all (default: all but ptp-*), ptp (all ptp-*), or some")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--rounds", type=int, help="instead of the benchmark's own number")
    parser.add_argument("--seconds", type=int, help="of each measurement")
    parser.add_argument("--report", metavar="FILE", help="write a page of figures there")
    return parser


def _run_all(names: list[str], options: argparse.Namespace) -> tuple[list[dict[str, Any]], bool]:
    """Every line, in the order in which they were ready, and whether one could not run."""
    lines: list[dict[str, Any]] = []
    failed = False
    for alone, beside in _parts(names, quick=options.quick):
        with ThreadPoolExecutor() as pool:
            begun = {name: pool.submit(_in_a_process, name, options) for name in beside}
            for name in [*alone, *beside]:
                try:
                    if name in begun:
                        line = begun[name].result()
                    else:
                        line = run(name, _effort(name, options))
                except Exception:
                    print(f"bench: {name} could not run", file=sys.stderr)
                    traceback.print_exc()
                    failed = True
                    continue
                lines.append(line)
                print(json.dumps(line), flush=True)
    return lines, failed


def _parts(names: list[str], *, quick: bool) -> list[tuple[list[str], list[str]]]:
    """What is run one after the other, each with what is run in processes beside it."""
    kinds: dict[str, list[str]] = {"no": [], "tolerant": [], "long": []}
    for name in names:
        kinds[BENCHMARKS[name].beside].append(name)
    if len(names) == 1:
        return [(names, [])]
    if quick:
        return [(kinds["no"], kinds["tolerant"] + kinds["long"])]
    return [(kinds["no"], []), (kinds["tolerant"], kinds["long"])]


def _effort(name: str, options: argparse.Namespace) -> Effort:
    own = BENCHMARKS[name].quick if options.quick else BENCHMARKS[name].effort
    return Effort(options.rounds or own.rounds, options.seconds or own.seconds)


def _in_a_process(name: str, options: argparse.Namespace) -> dict[str, Any]:
    effort = _effort(name, options)
    command = [sys.executable, "-m", "bench", name]
    command += ["--rounds", str(effort.rounds), "--seconds", str(effort.seconds)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, text=True, cwd=Path(__file__).parent.parent
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
