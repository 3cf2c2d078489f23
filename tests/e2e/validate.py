"""`make validate`: the matrix of what is promised, a minute each, as a report in docs/validation.

Every case is one `aes67 selftest` or `aes67 latency`, as a user would type it, beside timers that
tell whether the machine itself stood still; then it is tried again with larger buffers. Results are
kept in a file of JSON lines; a case that is in it is not run again, so an interrupted run goes on
where it was. Cases may run side by side, which is quicker and harder: each is a daemon of its own
in a network of its own, and they share the processors.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from aes67.selftest.place import cleaning_up, real_time_prefix, tied_prefix
from e2e.machine import Watch
from e2e.validate_plan import (
    NAMES,
    ROOMS,
    Room,
    Row,
    Try,
    cases,
    first_room,
    is_due,
    is_open,
    options,
    rest_of,
    time_text,
    urgency,
    verdict,
    with_least,
)
from e2e.validate_report import machine, report, stood_still
from standstill import PRIORITY, awake

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "validation"
PATIENCE_S = 30.0
"""A test that is ended takes its daemon and programs along, which takes this long at most."""


class Ended(Exception):
    """The whole run is being ended: nothing is begun any more."""


class Programs:
    """The tests that run, each the head of a process group of its own, so that all can be ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._ended = False

    def run(self, command: Sequence[str]) -> tuple[str, str, int]:
        """Run a program to its end: what it printed, what it said, its exit code; Ended when it
        was ended by us."""
        with self._lock:
            if self._ended:
                raise Ended
            process = subprocess.Popen(
                [*tied_prefix("TERM"), *command], cwd=ROOT, text=True, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            self._running.add(process)
        try:
            printed, said = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        if self._ended:
            raise Ended
        return printed, said, process.returncode

    def end(self) -> None:
        """End what runs and begin nothing more."""
        with self._lock:
            self._ended = True
            self._send(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_S
        while self._running and time.monotonic() < deadline:
            time.sleep(0.05)
        with self._lock:
            self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for process in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """What is started within it does not hear Ctrl-C: it is ended by us, in good order."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Trial:
    """Runs cases: each with as much room as it takes, or as the ones before it took."""

    def __init__(
        self, programs: Programs, known: Mapping[str, Row], *, from_least: bool, timers: bool
    ) -> None:
        self._programs = programs
        self._known = known
        self._from_least = from_least
        self._timers = timers
        self.awake = False
        self._rows: list[Row] = []

    def run(self, arguments: Sequence[str]) -> Row:
        """A case, with more room while the machine is to blame; only with the least where it is
        known that more is enough."""
        known = self._known.get(" ".join(arguments))
        if known is not None and known.is_samples and known.last.fine and is_open(known):
            return with_least(known, self._try(arguments, ROOMS[0]))
        samples = arguments[0] == "selftest"
        first, before = first_room(self._rows) if samples and not self._from_least else (0, ())
        tries = []
        for room in ROOMS[first:]:
            tries.append(self._try(arguments, room))
            if not samples or not tries[-1].excused:
                break
        row = Row(tuple(arguments), tuple(tries), before)
        if samples:
            self._rows.append(row)
        return row

    def _try(self, arguments: Sequence[str], room: Room) -> Try:
        load = round(os.getloadavg()[0], 2)
        with contextlib.ExitStack() as stack:
            watch = None
            if self._timers:
                with deaf():
                    watch = stack.enter_context(Watch())
            result = self._result(options(arguments, room))
        if watch is None:
            return Try(room.name, result, None, None, load, (), self.awake)
        worst, lost = round(watch.worst_ns / 1e6, 2), round(watch.lost_ns / 1e6, 1)
        return Try(room.name, result, worst, lost, load, tuple(watch.stalls), self.awake)

    def _result(self, arguments: Sequence[str]) -> dict[str, Any]:
        """What the test printed, or why there is nothing."""
        command = [sys.executable, "-m", "aes67.cli.main", *arguments, "--json"]
        printed, said, code = self._programs.run(command)
        try:
            result: dict[str, Any] = json.loads(printed)
        except ValueError:
            words = said.strip().splitlines()[:1] or [f"ended with {code} without a word"]
            return {"ok": False, "problems": words}
        return result

    def finished(self, cases: Sequence[Sequence[str]], jobs: int) -> Iterator[Row]:
        """Rows of cases in the order in which they end; the ones that run end with this."""
        with ThreadPoolExecutor(jobs) as executor:
            running = [executor.submit(self.run, each) for each in cases]
            try:
                for each in as_completed(running):
                    yield each.result()
            except BaseException:
                for each in running:
                    each.cancel()
                self._programs.end()
                raise


def known(path: Path) -> dict[str, Row]:
    """Results so far, by their names; a line that was cut off, or is none of ours, is left out."""
    found: dict[str, Row] = {}
    if not path.exists():
        return found
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            row = Row.of(json.loads(text))
            found[row.name] = row
    return found


def keep(path: Path, row: Row) -> None:
    """Append a row, on a line of its own even if the last one was cut off."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(json.dumps(row.as_json()).encode() + b"\n")


def told(row: Row) -> str:
    """A row in a line."""
    last = row.last
    words = verdict(row) if row.is_samples else measured(last.result)
    problems = "; ".join(last.result.get("problems", ()))[:300]
    problems = f": {problems}" if problems and not last.fine else ""
    skipped = f", not tried at {NAMES[0]}" if row.before else ""
    again = f" at try {len(row.tries)}" if len(row.tries) > 1 else ""
    still = f" (machine stood still: {stood_still(last)})"
    return f"{row.name}: {words}{again}{skipped}{still}{problems}"


def measured(result: Mapping[str, Any]) -> str:
    """What a latency test found."""
    if "latency" not in result:
        return "FAILED"
    return f"median {result['latency']['median_ms']:.2f} ms, {result['xruns'] or 'no'} xruns"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make validate ARGS=...", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="of audio in each case")
    parser.add_argument("--only", default="", help="cases whose arguments contain this text")
    parser.add_argument("--limit", type=int, default=10**6, help="so many cases in this run")
    parser.add_argument("--jobs", type=int, default=1, help="so many self-tests side by side")
    parser.add_argument(
        "--again", action="store_true",
        help=f"repeat the ones that failed, and at {NAMES[0]} those of which it is not known",
    )  # fmt: skip
    parser.add_argument("--results", type=Path, default=FOLDER / "samples.jsonl")
    parser.add_argument("--report", type=Path, default=FOLDER / "samples.md")
    return parser


def validate(chosen: argparse.Namespace) -> int:
    """Run what has not been run, and print the report after each case."""
    chosen.results.parent.mkdir(parents=True, exist_ok=True)
    done = known(chosen.results)
    every = list(cases(chosen.seconds))
    wanted = [each for each in every if chosen.only in " ".join(each)]
    due = [each for each in wanted if is_due(done.get(" ".join(each)), again=chosen.again)]
    due.sort(key=lambda each: urgency(done.get(" ".join(each))))
    left = due[: chosen.limit]
    timers = bool(real_time_prefix(PRIORITY))
    if not timers:
        print("no right to real-time timers: whether the machine stands still is not known, "
              "and nothing is tried twice", flush=True)  # fmt: skip
    trial = Trial(Programs(), dict(done), from_least=chosen.again, timers=timers)
    facts = machine()
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        trial.awake = stack.enter_context(awake())
        rows = stack.enter_context(
            contextlib.closing(all_finished(trial, left, max(1, chosen.jobs)))
        )
        for number, row in enumerate(rows, 1):
            keep(chosen.results, row)
            done[row.name] = row
            chosen.report.write_text(report(done, every, facts), encoding="utf-8")
            elapsed = time.monotonic() - begun
            rest = rest_of(elapsed, number, len(left) - number)
            print(f"[{number}/{len(left)}, {time_text(elapsed)}, about {time_text(rest)} left] "
              f"{told(row)}", flush=True)  # fmt: skip
    found = [done[name] for name in map(" ".join, wanted) if name in done]
    return 0 if all(row.last.fine for row in found) else 1


def all_finished(
    trial: Trial, cases: Sequence[Sequence[str]], jobs: int
) -> Generator[Row, None, None]:
    """Rows of cases in about their order: self-tests side by side, latency tests alone."""
    for kind, some in itertools.groupby(cases, lambda each: each[0]):
        yield from trial.finished(list(some), jobs if kind == "selftest" else 1)


def main() -> int:
    """Entry point; a signal ends the tests that run too, also where a shell had it ignored."""
    chosen = parser().parse_args()
    with cleaning_up():
        return validate(chosen)


if __name__ == "__main__":
    sys.exit(main())
