"""Idle processors for `aes67 doctor`: how they rest, and whether they are back in time."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from aes67.cli.finding import GOOD, WARNING, Finding

LIMIT = Path("dev/cpu_dma_latency")
"""Read: the strictest limit in force, in us; root only (Linux PM QoS)."""
NO_LIMIT_US = 2_000_000_000
"""PM_QOS_CPU_LATENCY_DEFAULT_VALUE."""
HYPERVISORS = ("sys/hypervisor/type", "sys/firmware/devicetree/base/hypervisor/compatible")
VENDORS = ("QEMU", "VMware", "Xen", "innotek", "Parallels", "Google Compute")
STALL_NS = 5_000_000
"""So late no tick of a processor that runs is."""
DEEP_US = 100
"""From such a sleep one comes back too late for the smallest packets' ticks of 125 us."""


@dataclass(frozen=True)
class Idle:
    """What the kernel tells of processors that have nothing to do."""

    virtual: bool
    """They are a host's."""
    driver: str
    """Of cpuidle; empty: there is none, so they halt."""
    deepest: str = ""
    """Name of the state that takes the longest to leave, of those in use."""
    wake_us: int = 0
    """How long that takes by what the driver says."""
    limit_us: int | None = NO_LIMIT_US
    """What somebody asks of them; None: it cannot be read."""


def read(root: Path = Path("/")) -> Idle:
    """Look; nothing is changed."""
    cpus = root / "sys/devices/system/cpu"
    driver = _text(cpus / "cpuidle/current_driver")
    states = [
        (int(_text(each / "latency") or 0), _text(each / "name"))
        for each in cpus.glob("cpu[0-9]*/cpuidle/state*")
        if _text(each / "disable") in ("", "0")
    ]
    wake_us, deepest = max(states, default=(0, ""))
    return Idle(_virtual(root), driver if driver != "none" else "", deepest, wake_us, _limit(root))


def judged(idle: Idle, late_ns: int) -> Finding:
    """The finding; `late_ns`: the greatest lateness of a running engine, 0 without one."""
    subject = "idle processors"
    words, limited = _words(idle), idle.driver and idle.limit_us not in (None, NO_LIMIT_US)
    if limited or not (idle.virtual or idle.wake_us >= DEEP_US):
        return Finding(subject, GOOD, words)
    cure = "aes67 config cpu_latency_us=0" if idle.driver else "idle=poll on its command line"
    if idle.virtual and late_ns >= STALL_NS:
        words += f"; the engine ran up to {late_ns / 1e6:.1f} ms late"
        return Finding(subject, WARNING, words, f"{cure} has them poll; docs/install.md says more")
    return Finding(subject, GOOD, words, f"if the self-test or xruns show stalls: {cure}")


def _words(idle: Idle) -> str:
    if idle.driver and idle.limit_us == 0:
        return "poll instead of sleeping: /dev/cpu_dma_latency is held at 0"
    if idle.driver and idle.limit_us not in (None, NO_LIMIT_US):
        limit = f"{idle.limit_us} us: /dev/cpu_dma_latency is held at that"
        return f"sleep no deeper than takes {limit}"
    if idle.virtual:
        words = "halt, and the host of this virtual machine says when they are back"
    elif idle.deepest:
        words = f"take up to {idle.wake_us} us to wake up from {idle.deepest}"
    else:
        words = "halt"
    if not idle.driver:
        return f"{words}; without a cpuidle driver cpu_latency_us is of no effect here"
    return words if idle.limit_us is not None else f"{words}, unless limited, which only root sees"


def _virtual(root: Path) -> bool:
    """Whether a hypervisor shows itself: to x86 as a flag, else in the firmware's tables."""
    for line in _text(root / "proc/cpuinfo").splitlines():
        if line.startswith("flags"):
            if "hypervisor" in line.split():
                return True
            break
    if any((root / each).exists() for each in HYPERVISORS):
        return True
    vendor = _text(root / "sys/class/dmi/id/sys_vendor")
    product = _text(root / "sys/class/dmi/id/product_name")
    return f"{vendor} {product}".startswith(VENDORS) or product == "Virtual Machine"


def _limit(root: Path) -> int | None:
    """The limit in force; None where it cannot be read."""
    try:
        file = os.open(root / LIMIT, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(file, 4)
    except OSError:
        return None
    finally:
        os.close(file)
    return int(struct.unpack("=i", data)[0]) if len(data) == 4 else None


def _text(path: Path) -> str:
    """What a file of the kernel says; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
