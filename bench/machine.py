"""Facts about the machine that every figure is printed with."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def facts() -> dict[str, object]:
    """What a reader needs to compare: CPU, kernel, cores, load, date, versions."""
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "CPU part")):
            cpu = line.split(":", 1)[1].strip()
            break
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
    }


def steal_ticks() -> int:
    """Time the hypervisor took away since boot, in clock ticks, over all cores."""
    fields = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()
    return int(fields[8])


def busy_ticks() -> int:
    """Time anybody used the cores since boot, in clock ticks: all but idle and waiting."""
    fields = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()
    numbers = [int(field) for field in fields[1:9]]
    return sum(numbers) - numbers[3] - numbers[4]


class Disturbance:
    """How much else went on in the machine while a benchmark ran."""

    def __init__(self) -> None:
        self._load = os.getloadavg()[0]
        self._steal = steal_ticks()

    def report(self) -> dict[str, object]:
        """Load before and after, and what the hypervisor took away, in ms over all cores."""
        stolen = (steal_ticks() - self._steal) * 1000 // TICKS_PER_SECOND
        return {
            "load_before": round(self._load, 2),
            "load_after": round(os.getloadavg()[0], 2),
            "stolen_ms": stolen,
        }
