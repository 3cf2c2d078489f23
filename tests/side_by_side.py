"""`make test`: what only calculates is tested beside what takes real time, on time left over.

Most of the suite's time is spent waiting for clocks, sockets and sound cards while processors are
idle. So two pytests run at once: one for the tests that need their processor in time, as ever; and
one at SCHED_IDLE, in a network of its own, for those that only calculate. What the latter prints
comes after the former has ended. `CALCULATING` is the one definition of which is which; `Half`
makes pytest take one half, so that each test is in one of them and never in both.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path, PurePath
from types import FrameType
from typing import IO

import pytest

from aes67.selftest.place import tied_prefix

CALCULATING = (
    "tests/api/test_contract_settings.py",
    "tests/api/test_hostile_bodies.py",
    "tests/api/test_metrics.py",
    "tests/api/test_native.py",
    "tests/api/test_openapi.py",
    "tests/cli",
    "tests/clock",
    "tests/config",
    "tests/discovery",
    "tests/media",
    "tests/plugin/test_plugin_fuzz.py",
    "tests/plugin/test_plugin_pure.py",
    "tests/ptp",
    "tests/selftest",
    "tests/session",
    "tests/shm",
    "tests/sim",
    "tests/streamer",
    "tests/test_architecture.py",
    "tests/test_docs.py",
    "tests/test_interop.py",
    "tests/test_jit.py",
    "tests/test_setup.py",
    "tests/test_side_by_side.py",
    "tests/wire",
)
"""Folders and files whose tests wait for no clock, and whose outcome no delay changes."""
TIMED_AMONG_THEM = (
    "tests/cli/test_quick_help.py",
    "tests/ptp/test_bmca_contests.py",
    "tests/ptp/test_timestamping.py",
)
"""Files in these folders that do take, or measure, real time."""
TIMED, BESIDE = "timed", "calculating"
PATIENCE_S = 300
"""Limit of each calculating test, in s: what has the lowest priority may be kept waiting."""
DISPLAY = re.compile(r"--(durations|durations-min|tb|color)=\S+|-[vq]+")
"""Arguments of pytest that choose no tests; with any other there is one plain pytest."""
OUTPUT = Path("build/calculating-tests.txt")


def calculates(file: PurePath) -> bool:
    """Which half a test file is in, named as seen from the project's folder."""
    return is_in(file, CALCULATING) and not is_in(file, TIMED_AMONG_THEM)


def is_in(file: PurePath, places: Sequence[str]) -> bool:
    return any(file.is_relative_to(place) for place in places)


class Half:
    """The part of pytest that takes one half of the files and counts what came of it."""

    def __init__(self, config: pytest.Config) -> None:
        self._root = config.rootpath
        self._calculating = config.getoption("half") == BESIDE
        self._tally = Path(config.getoption("tally"))

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave the other half's files to the other half."""
        if collection_path.is_dir():
            return None
        file = collection_path.relative_to(self._root)
        return True if calculates(file) != self._calculating else None

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Be patient with what is served last."""
        if self._calculating:
            item.add_marker(pytest.mark.timeout(PATIENCE_S), append=False)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write how many tests had which outcome."""
        stats = terminalreporter.stats.items()
        counted = {kind: len(found) for kind, found in stats if kind and kind != "deselected"}
        self._tally.write_text(json.dumps(counted))


def add_options(parser: pytest.Parser) -> None:
    """The options by which `main` calls each half."""
    parser.addoption("--half", choices=(TIMED, BESIDE), help="one half of the tests")
    parser.addoption("--tally", default=os.devnull, help="file for the numbers of outcomes")


def own_network() -> list[str]:
    """Command prefix for a network where nobody hears the other half's; empty without the right."""
    begin = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    try:
        subprocess.run([*begin, "true"], capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return []
    return begin


class Both:
    """The two pytests; `codes` are their exit codes once they have ended."""

    def __init__(self, apart: list[str], arguments: Sequence[str], folder: Path) -> None:
        self._arguments, self._folder = arguments, folder
        self.codes: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self._began = time.time()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupt)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        OUTPUT.parent.mkdir(exist_ok=True)
        self.output = OUTPUT.open("w+b")
        idle = [*apart, "chrt", "--idle", "0", "nice", "-n", "19"]
        self._start(BESIDE, idle, self.output, "-o", "cache_dir=.pytest_cache/calculating")
        self._start(TIMED, [], None)

    def _start(self, half: str, prefix: list[str], output: IO[bytes] | None, *more: str) -> None:
        """In a process group of its own, so that Ctrl-C comes once, from here."""
        options = [f"--half={half}", f"--tally={self._folder / half}", *more, *self._arguments]
        self._children[half] = subprocess.Popen(
            [*tied_prefix(), *prefix, sys.executable, "-m", "pytest", *options],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0,
        )  # fmt: skip

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """As Ctrl-C: pytest takes down what its tests have set up."""
        for child in self._children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGINT)

    def wait(self, half: str) -> None:
        code = self._children[half].wait()
        self.codes[half] = code if code >= 0 else 128 - code
        tally = self._folder / half  # written when it came to its end, maybe long before this
        ended = tally.stat().st_mtime if tally.exists() else time.time()
        self.seconds[half] = ended - self._began

    def tally(self) -> dict[str, int]:
        """Outcomes of both; a half that did not come to its end adds none."""
        total: dict[str, int] = {}
        for half in self.codes:
            file = self._folder / half
            for kind, count in json.loads(file.read_text() if file.exists() else "{}").items():
                total[kind] = total.get(kind, 0) + count
        return total


def run_both(apart: list[str], arguments: Sequence[str]) -> int:
    """Run them, print everything, and return the worse of the two exit codes."""
    with tempfile.TemporaryDirectory(prefix="aes67-tests-") as folder:
        both = Both(apart, arguments, Path(folder))
        print(f"tests that only calculate run beside these; what they print: {OUTPUT}", flush=True)
        both.wait(TIMED)
        print("\nthe tests that only calculate:\n", flush=True)
        both.wait(BESIDE)
        both.output.seek(0)
        shutil.copyfileobj(both.output, sys.stdout.buffer)
        both.output.close()
        said = ", ".join(f"{count} {kind}" for kind, count in sorted(both.tally().items()))
    halves = ", ".join(
        f"{half} {seconds:.0f} s{' FAILED' * bool(both.codes[half])}"
        for half, seconds in both.seconds.items()
    )
    print(f"\naltogether: {said or 'nothing'} ({halves})", flush=True)
    return max(both.codes.values())


def main(arguments: Sequence[str]) -> int:
    """Both halves, or one plain pytest where tests are chosen or halves would hear each other."""
    chosen = not all(DISPLAY.fullmatch(argument) for argument in arguments)
    apart = [] if chosen else own_network()
    if apart:
        return run_both(apart, arguments)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
