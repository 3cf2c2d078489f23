"""Whether the machine itself stood still while something was measured on it.

A virtual machine whose host takes the processor away for 20 ms loses sound, whatever runs on it.
The proof is a bare timer, none of our code, on each processor and above every thread of ours.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import pytest

from aes67.selftest.audio import Outcome
from standstill import STALL_NS, timers

Result = TypeVar("Result")

TRIES = 5

PROBE = """
import signal, sys, time
bearable = int(sys.argv[1])
ended, stalls = [], []
signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
print("ready", flush=True)
worst, lost, due = 0, 0, time.monotonic_ns()
while not ended:
    due += 1_000_000
    time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
    now = time.monotonic_ns()
    late = now - due
    worst = max(worst, late)
    lost += late if late > 1_000_000 else 0
    if late > bearable:
        stalls += (due, now)
    due = max(due, time.monotonic_ns())
print(worst, lost, *stalls)
"""
"""A timer of a millisecond until SIGTERM.

Prints how late it ever was, together how late it was whenever that was over a millisecond, and
from when until when it was late whenever that cannot be borne; ns, CLOCK_MONOTONIC.
"""


class Watch:
    """Runs the timers while a `with` block lasts; then `worst_ns` is how late one ever was.

    `lost_ns` is for how long one of them stood still altogether, `stalls` from when until when any
    of them was late by more than `bearable_ns` (CLOCK_MONOTONIC).
    """

    def __init__(self, bearable_ns: int = STALL_NS) -> None:
        self._bearable_ns = bearable_ns
        self._probes: list[subprocess.Popen[str]] = []
        self.worst_ns = self.lost_ns = 0
        self.stalls: list[tuple[int, int]] = []

    def __enter__(self) -> Watch:
        for command in timers(PROBE, str(self._bearable_ns)):
            self._probes.append(
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
                )
            )
        for probe in self._probes:
            assert probe.stdout is not None
            assert probe.stdout.readline() == "ready\n"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for probe in self._probes:
            probe.terminate()
        said = [
            [int(word) for word in probe.communicate(timeout=20)[0].split()]
            for probe in self._probes
        ]
        self.worst_ns = max((each[0] for each in said), default=0)
        self.lost_ns = max((each[1] for each in said), default=0)
        self.stalls = sorted(
            pair for each in said for pair in zip(each[2::2], each[3::2], strict=True)
        )


def without_stall(attempt: Callable[[], Result], fine: Callable[[Result], bool]) -> Result:
    """The result of an attempt that is fine, or failed though the machine ran all the time.

    Others are repeated. When every one of them was disturbed the test is skipped, with the proof.
    """
    stalls = []
    for _ in range(TRIES):
        with Watch() as watch:
            result = attempt()
        if fine(result) or watch.worst_ns < STALL_NS:
            return result
        stalls.append(f"{watch.worst_ns / 1e6:.0f}")
    pytest.skip(f"this machine stood still for {', '.join(stalls)} ms by a bare real-time timer")


def undisturbed(attempt: Callable[[], Outcome]) -> Outcome:
    """The outcome of a run that was good, or failed though the machine ran all the time."""
    return without_stall(attempt, lambda outcome: outcome.ok)
