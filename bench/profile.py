"""How a thread's CPU time divides between user space and the kernel, by perf's sampling clock.

`/proc` cannot say: without precise accounting the kernel samples at its own tick, in step with
timers like ours. perf slows what it watches down, so only the share is used, never the time.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

PROFILE_HZ = 4999


def user_share(task: int, seconds: float, *, process: bool) -> float | None:
    """Share of a thread's (or process's) CPU time outside the kernel; None without perf."""
    which = "-p" if process else "-t"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        data = str(Path(folder) / "perf.data")
        record = ["perf", "record", "-q", "-o", data, "-e", "cpu-clock", "-F", str(PROFILE_HZ)]
        script = ["perf", "script", "-i", data, "-F", "ip"]
        try:
            subprocess.run(
                [*record, which, str(task), "--", "sleep", str(seconds)],
                check=True, capture_output=True,
            )  # fmt: skip
            listed = subprocess.run(script, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError):
            return None
    addresses = [int(line, 16) for line in listed.stdout.split()]
    if not addresses:
        return None
    return sum(1 for address in addresses if not address >> 63) / len(addresses)
