"""Ending the programs that were started, so that none is left, whatever happened."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from typing import Any

PATIENCE_S = 15.0


def stop(
    process: subprocess.Popen[Any], number: int = signal.SIGTERM, patience_s: float = PATIENCE_S
) -> int | None:
    """Ask a program to end, and kill it when it does not within `patience_s`.

    Returns:
        Its exit code as `subprocess` gives it, also when it has ended before; None when it had to
        be killed.
    """
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(patience_s)
    except subprocess.TimeoutExpired:
        kill(process)
        return None


def kill(process: subprocess.Popen[Any]) -> None:
    """End a program at once, if it has not ended; what it had still to say is lost."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # the rest of what it was to read
                pipe.close()
