"""Whether the machine stood still while a test ran, for as long as tests run.

A virtual machine whose host takes the processor away for 20 ms loses sound and time, whatever runs
on it. A bare timer, none of our code, runs on each processor above every thread of ours. A test
that fails while such a timer was late is run once or twice more, and the summary names it with its
failure and the stall; on a machine that keeps running no failure is ever repeated. Idle processors
poll meanwhile, where that is permitted: one that does not halt is not given back late.
"""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from aes67.selftest.place import tied_prefix

STALL_NS = 5_000_000
"""As much late as any stream or buffer of the tests bears."""
RERUNS = 2
PRIORITY = 98
"""Above every thread of ours."""

WAKE_UP_LIMIT = Path("/dev/cpu_dma_latency")
"""PM QoS: the time in us that a processor may take to wake up, while the file is held open."""

PROBE = """
import sys, time
bearable = int(sys.argv[1])
print("ready", flush=True)
due = time.monotonic_ns()
while True:
    due += 4_000_000
    time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
    late = time.monotonic_ns() - due
    if late > bearable:
        print(late, flush=True)
        due += late
"""
"""A timer of 4 ms that prints how late it was, in ns, whenever that cannot be borne."""


def timers(script: str, *arguments: str) -> list[list[str]]:
    """Commands that run a script of Python's as a bare timer, one for each processor."""
    return [
        [*tied_prefix(), "taskset", "-c", str(processor), "chrt", "-f", str(PRIORITY)]
        + [sys.executable, "-S", "-c", script, *arguments]
        for processor in sorted(os.sched_getaffinity(0))
    ]


@contextlib.contextmanager
def awake() -> Iterator[bool]:
    """Have idle processors poll instead of halting, as cyclictest does; whether that is permitted.

    A virtual processor that halts is given back by a busy host 10 to 30 ms late.
    """
    try:
        file = WAKE_UP_LIMIT.open("wb", buffering=0)
    except OSError:
        yield False
        return
    with file:
        file.write(struct.pack("i", 0))
        yield True


class Standstill:
    """A timer on every processor; `worst_ns` is how late one was since `begin`.

    Without the right to SCHED_FIFO there are none, and the machine is said to run always. Timers
    write to files, so that no memory is taken in the process whose tests may count it.
    """

    def __init__(self, bearable_ns: int = STALL_NS) -> None:
        self._bearable_ns = bearable_ns
        self._files: list[IO[bytes]] = []
        self._begun: list[int] = []
        self._awake = contextlib.ExitStack()
        self.probes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Begin; returns when every timer runs. Idle processors poll until `stop`."""
        self._awake.enter_context(awake())
        for command in timers(PROBE, str(self._bearable_ns)):
            file = tempfile.TemporaryFile()  # noqa: SIM115
            probe = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL
            )
            self._files.append(file)
            self.probes.append(probe)
            while probe.poll() is None and not size(file):
                time.sleep(0.01)
        self.begin()

    def stop(self) -> None:
        """End the timers."""
        self._awake.close()
        for probe in self.probes:
            probe.kill()
            probe.wait()
        for file in self._files:
            file.close()
        self.probes.clear()
        self._files.clear()
        self._begun.clear()

    def begin(self) -> None:
        """Forget what was before."""
        self._begun = [size(file) for file in self._files]

    @property
    def worst_ns(self) -> int:
        """How late a timer was since `begin`; 0 when that was bearable all the time."""
        time.sleep(0.01)  # one that is late now tells it first
        said = b"".join(
            os.pread(file.fileno(), size(file) - begun, begun)
            for file, begun in zip(self._files, self._begun, strict=True)
        )
        return max(map(int, said.split()), default=0)


def size(file: IO[bytes]) -> int:
    """Bytes in a file that another process writes."""
    return os.fstat(file.fileno()).st_size


class Reruns:
    """The part of pytest that repeats a test which failed while the machine stood still."""

    def __init__(self, machine: Standstill) -> None:
        self.machine = machine
        self._told: list[str] = []

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Every test is repeated on this condition and no other."""
        condition = self.stood_still
        item.add_marker(pytest.mark.flaky(reruns=RERUNS, condition=condition))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The timers run from the first test on; none when tests are only listed."""
        if session.items and not session.config.option.collectonly:
            self.machine.start()

    def pytest_unconfigure(self) -> None:
        """The timers end with the tests."""
        self.machine.stop()

    @pytest.hookimpl(tryfirst=True)  # before what a test sets up
    def pytest_runtest_setup(self) -> None:
        """Each attempt is judged by its own time."""
        self.machine.begin()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what stood still beside a failure, whether it is repeated or not."""
        if report.outcome in ("failed", "rerun") and (worst_ns := self.machine.worst_ns):
            self._told.append(f"{report.nodeid}: {worst_ns / 1e6:.0f} ms")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """How long the machine stood still in each attempt that failed."""
        if self._told:
            terminalreporter.section("failed while the machine stood still, by a bare timer")
            terminalreporter.write("".join(f"{line}\n" for line in self._told))

    def stood_still(self) -> bool:
        """Whether the failure that just came is one to repeat."""
        return self.machine.worst_ns > 0
