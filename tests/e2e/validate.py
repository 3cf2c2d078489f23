"""`make validate`: the matrix of what is promised, a minute each, as a report in docs/validation.

Every case is one `aes67 selftest` or `aes67 latency`, as a user would type it. Results are kept in
a file of JSON lines; a case that is in it is not run again, so an interrupted run goes on where it
was. A case during which the machine kept the engine from running is tried again, and the report
says how often. Cases may run side by side, which is quicker and harder: each is a daemon of its own
in a network of its own, and they share the processors.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "validation"
TRIES = 3

WIRES = (
    ("S16_LE", "L16"), ("S16_LE", "L24"), ("S24_3LE", "L24"), ("S24_3LE", "L16"),
    ("S32_LE", "L24"), ("S32_LE", "AM824"),
)  # fmt: skip
"""Format and codec: equal widths, a wider codec, and a narrower one that cuts bits."""

LATENCIES = (
    ("48000", "48", "96", "1ms"), ("48000", "48", "144", "1ms"), ("48000", "12", "24", "125us"),
    ("48000", "24", "48", "250us"), ("96000", "96", "192", "1ms"),
)  # fmt: skip
"""Rate, period, buffer, packet time."""


def cases(seconds: int) -> Iterator[list[str]]:
    """Arguments of every self-test and latency test, the most usual ones first."""
    for master, packet, channels, rate, (form, codec) in itertools.product(
        ([], ["--ptp4l"]), ("1ms", "125us"), ("2", "8", "64"), ("48000", "96000"), WIRES
    ):
        period = str(int(rate) // 400)
        yield [
            "selftest", "--format", form, "--rate", rate, "--channels", channels,
            "--codec", codec, "--packet-time", packet, "--duration", str(seconds),
            "--period", period, "--buffer", str(4 * int(period)), *master,
        ]  # fmt: skip
    for (rate, period, buffer, packet), master in itertools.product(LATENCIES, ([], ["--ptp4l"])):
        yield [
            "latency", "--rate", rate, "--period", period, "--frames", buffer,
            "--packet-time", packet, "--duration", str(seconds), *master,
        ]  # fmt: skip


def attempt(arguments: Sequence[str]) -> dict[str, Any]:
    """Run one case; its result as the test printed it, or why there is none."""
    command = [sys.executable, "-m", "aes67.cli.main", *arguments, "--json"]
    load = os.getloadavg()[0]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        result = {"ok": False, "problems": [done.stderr.strip().splitlines()[0]]}
    return result | {"load_before": round(load, 2)}


def run(arguments: Sequence[str]) -> dict[str, Any]:
    """Run one case, again while the machine is to blame."""
    results = [attempt(arguments)]
    while len(results) < TRIES and not results[-1]["ok"] and results[-1].get("skipped_ticks"):
        results.append(attempt(arguments))
    return {"arguments": list(arguments), "tries": len(results), "result": results[-1]}


def known(path: Path) -> dict[str, dict[str, Any]]:
    """Results so far, by their arguments."""
    if not path.exists():
        return {}
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[" ".join(row["arguments"])] = row
    return found


def machine() -> list[str]:
    """Facts about this machine, a sentence each."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = next(
        int(line.split()[1]) // 1024
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        if line.startswith("MemTotal")
    )
    virtual = subprocess.run(
        ["systemd-detect-virt"], capture_output=True, text=True, check=False
    ).stdout.strip() if Path("/usr/bin/systemd-detect-virt").exists() else ""  # fmt: skip
    return [
        f"{os.cpu_count()} x {model}, {memory} MiB{f', {virtual}' if virtual else ''}",
        f"Linux {platform.release()}, {platform.machine()}, Python {platform.python_version()}",
    ]


def report(rows: Sequence[dict[str, Any]], facts: Sequence[str]) -> str:
    """The report as a page."""
    samples = [row for row in rows if row["arguments"][0] == "selftest"]
    delays = [row for row in rows if row["arguments"][0] == "latency"]
    passed = sum(bool(row["result"]["ok"]) for row in samples)
    lines = [
        "# Validation",
        "",
        "Printed by `make validate`. Machine: " + "; ".join(facts) + ".",
        "The load average stands beside each case: what else the machine was doing.",
        "",
        "## Every sample identical",
        "",
        f"{passed} of {len(samples)} cases. ALSA buffers of 10 ms, real aplay and arecord, "
        "every sample of the given time compared, no counter of loss grown, no xrun.",
        "",
        *head("format codec rate channels packet streams clock s result load tries"),
    ]
    lines += [sample_line(row) for row in samples]
    lines += [
        "",
        "## Latency from writing a frame to reading it",
        "",
        "In ms; period, buffer and packet in frames.",
        "",
        *head("rate period buffer packet clock floor min median p99 max xruns load"),
    ]
    lines += [delay_line(row) for row in delays]
    return "\n".join(lines) + "\n"


def head(words: str) -> list[str]:
    """The first two lines of a table with these columns."""
    names = words.split()
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]


def sample_line(row: dict[str, Any]) -> str:
    """A self-test as a line of the table."""
    result = row["result"]
    words = "identical" if result["ok"] else "; ".join(result["problems"])[:200].replace("|", "/")
    cells = [
        *(result.get(key, "") for key in
          ("format", "codec", "rate", "channels", "packet_frames", "streams")),
        master_of(row), result.get("seconds", ""), words, result["load_before"], row["tries"],
    ]  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def delay_line(row: dict[str, Any]) -> str:
    """A latency test as a line of the table."""
    result = row["result"]
    found = result.get("latency") or {}
    cells = [
        *(result.get(key, "") for key in
          ("rate", "period_frames", "buffer_frames", "packet_frames")),
        master_of(row), result.get("floor_ms", ""),
        *(found.get(key, "") for key in ("min_ms", "median_ms", "p99_ms", "max_ms")),
        result.get("xruns", ""), result["load_before"],
    ]  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def master_of(row: dict[str, Any]) -> str:
    """Who is the grandmaster of a case."""
    return "ptp4l" if "--ptp4l" in row["arguments"] else "own"


def is_due(arguments: Sequence[str], done: dict[str, dict[str, Any]], *, again: bool) -> bool:
    """Whether a case is to be run: it was not yet, or it failed and failures are repeated."""
    row = done.get(" ".join(arguments))
    return row is None or (again and not row["result"]["ok"])


def finished(cases: Iterable[Sequence[str]], jobs: int) -> Iterator[dict[str, Any]]:
    """Results of cases in the order in which they end; none is begun after an interruption."""
    with ThreadPoolExecutor(jobs) as executor:
        running = [executor.submit(run, each) for each in cases]
        try:
            for each in as_completed(running):
                yield each.result()
        finally:
            for each in running:
                each.cancel()


def main() -> int:
    """Run what has not been run, and print the report."""
    options = argparse.ArgumentParser(prog="make validate ARGS=...", description=__doc__)
    options.add_argument("--seconds", type=int, default=60, help="of audio in each case")
    options.add_argument("--only", default="", help="cases whose arguments contain this text")
    options.add_argument("--limit", type=int, default=10**6, help="so many cases in this run")
    options.add_argument("--jobs", type=int, default=1, help="so many self-tests side by side")
    options.add_argument("--again", action="store_true", help="repeat the ones that failed")
    options.add_argument("--results", type=Path, default=FOLDER / "samples.jsonl")
    options.add_argument("--report", type=Path, default=FOLDER / "samples.md")
    chosen = options.parse_args()
    chosen.results.parent.mkdir(parents=True, exist_ok=True)
    done = known(chosen.results)
    wanted = [each for each in cases(chosen.seconds) if chosen.only in " ".join(each)]
    left = [each for each in wanted if is_due(each, done, again=chosen.again)][: chosen.limit]
    samples = finished((each for each in left if each[0] == "selftest"), max(1, chosen.jobs))
    delays = finished((each for each in left if each[0] == "latency"), 1)
    for number, row in enumerate(itertools.chain(samples, delays), 1):
        name = " ".join(row["arguments"])
        done[name] = row
        with chosen.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        verdict = "ok" if row["result"]["ok"] else f"FAILED {row['result'].get('problems')}"
        print(f"[{number}/{len(left)}] {name}: {verdict}", flush=True)
        chosen.report.write_text(report(list(done.values()), machine()), encoding="utf-8")
    return 0 if all(row["result"]["ok"] for row in done.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
