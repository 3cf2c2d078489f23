"""Whether the machine itself stood still while something was measured on it.

A virtual machine whose host takes the processor away for 20 ms loses sound, whatever runs on it.
The proof is a bare timer, none of our code, on each processor and above every thread of ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
from types import TracebackType

PROBE = """
import signal, time
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
print("ready", flush=True)
worst, due = 0, time.monotonic_ns()
while not ended:
    due += 1_000_000
    time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
    worst = max(worst, time.monotonic_ns() - due)
    due = max(due, time.monotonic_ns())
print(worst)
"""
"""A timer of a millisecond until SIGTERM; prints how late it ever was, in ns."""
PRIORITY = "98"


class Watch:
    """Runs the timers while a `with` block lasts; then `worst_ns` is how late one ever was."""

    def __init__(self) -> None:
        self._probes: list[subprocess.Popen[str]] = []
        self.worst_ns = 0

    def __enter__(self) -> Watch:
        for processor in sorted(os.sched_getaffinity(0)):
            command = ["taskset", "-c", str(processor), "chrt", "-f", PRIORITY]
            self._probes.append(
                subprocess.Popen(
                    [*command, sys.executable, "-S", "-c", PROBE],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                )
            )  # fmt: skip
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
        self.worst_ns = max(int(probe.communicate(timeout=20)[0]) for probe in self._probes)
