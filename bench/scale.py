"""`scale`: 64 sources and 64 sinks of 8 channels with real ALSA clients, through the whole daemon.

Eight aplay and eight arecord of 64 channels each keep 512 channels busy both ways over loopback.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from aes67.selftest.node import Node, Settings
from bench.daemon import add_streams, processes, run_inside
from bench.machine import TICKS_PER_SECOND
from bench.rounds import Effort

STREAMS = 64
CLIENTS, CLIENT_CHANNELS = 8, 64
DELAY_FRAMES = 576
PERIOD_FRAMES, BUFFER_FRAMES = 480, 1920
SETTLE_SECONDS = 3
SINK_COUNTERS = ("lost", "late", "early", "silent_frames", "duplicate", "packets")
SOURCE_COUNTERS = ("packets", "send_errors", "skipped_packets")
ENGINE_COUNTERS = ("ticks", "late_ticks", "skipped_ticks", "late_max_ns", "receive_budget_hits")


def client(node: Node, program: str, number: int) -> subprocess.Popen[bytes]:
    """aplay of zeros or arecord to nowhere on 64 channels; its complaints go to a file."""
    device = f"aes67hw:CHANNELS={CLIENT_CHANNELS},FIRST={number * CLIENT_CHANNELS}"
    words = [
        program, "-q", "-D", device, "-t", "raw", "-f", "S32_LE", "-r", "48000",
        "-c", str(CLIENT_CHANNELS), f"--period-size={PERIOD_FRAMES}",
        f"--buffer-size={BUFFER_FRAMES}", "/dev/zero" if program == "aplay" else "/dev/null",
    ]  # fmt: skip
    with (node.directory / f"{program}-{number}.log").open("wb") as log:
        return subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
            env={**os.environ, **node.environment},
        )  # fmt: skip


def counted(node: Node) -> dict[str, int]:
    """Sums over all streams of what the daemon counts."""
    status = node.status()
    found = {
        f"sinks_{name}": sum(row["counters"][name] for row in status["sinks"])
        for name in SINK_COUNTERS
    }
    found |= {
        f"sources_{name}": sum(row["counters"][name] for row in status["sources"])
        for name in SOURCE_COUNTERS
    }
    return found | {name: status["engine"]["counters"][name] for name in ENGINE_COUNTERS}


def cpu_seconds(process: int) -> float:
    """CPU time of a process with all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def tick_seconds(engine: int) -> float:
    """CPU time of the engine's real-time thread, as the scheduler counts it."""
    for task in Path(f"/proc/{engine}/task").iterdir():
        if (task / "comm").read_text().strip() == "aes67-tick":
            return int((task / "schedstat").read_text().split()[0]) / 1e9
    return 0.0


def times(named: dict[str, int], clients: list[subprocess.Popen[bytes]]) -> dict[str, float]:
    """CPU time of everything so far."""
    found = {name: cpu_seconds(process) for name, process in named.items()}
    found["tick"] = tick_seconds(named["engine"])
    found["clients"] = sum(cpu_seconds(each.pid) for each in clients)
    return found


def xruns(node: Node, program: str) -> int:
    """How often a program has complained of an xrun."""
    words = "underrun" if program == "aplay" else "overrun"
    logs = node.directory.glob(f"{program}-*.log")
    return sum(each.read_text(errors="replace").count(words) for each in logs)


def run(node: Node, seconds: float) -> dict[str, Any]:
    """Streams, clients, a while of everything, the differences."""
    add_streams(node, STREAMS, DELAY_FRAMES)
    clients = [client(node, name, n) for n in range(CLIENTS) for name in ("aplay", "arecord")]
    try:
        time.sleep(SETTLE_SECONDS)
        named = processes(node)
        before, cpu = counted(node), times(named, clients)
        xruns_before = {name: xruns(node, name) for name in ("aplay", "arecord")}
        began = time.monotonic()
        time.sleep(seconds)
        after, cpu_after = counted(node), times(named, clients)
        elapsed = time.monotonic() - began
        alive = sum(each.poll() is None for each in clients)
    finally:
        for each in clients:
            each.terminate()
        for each in clients:
            each.wait()
    grown = {name: after[name] - before[name] for name in after}
    grown["late_max_ns"] = after["late_max_ns"]
    return {
        "seconds": round(elapsed, 1), "clients_alive": alive, "counters": grown,
        "xruns": {name: xruns(node, name) - count for name, count in xruns_before.items()},
        "cpu_percent_of_a_core": {
            name: round(100 * (cpu_after[name] - cpu[name]) / elapsed, 1) for name in cpu
        },
    }  # fmt: skip


def inside(effort: Effort) -> dict[str, Any]:
    """The benchmark, in its namespace."""
    with Node(Settings(device_channels=STREAMS * 8)) as node:
        node.wait_locked()
        return run(node, effort.seconds)


def measure(effort: Effort) -> dict[str, Any]:
    """One run; perfect when nothing was lost, late or silent and nobody had an xrun."""
    found = run_inside(__name__, effort)
    counters = found["counters"]
    names = ("sinks_lost", "sinks_late", "sinks_silent_frames", "sources_skipped_packets")
    found["perfect"] = not any(counters[name] for name in names) and not any(
        found["xruns"].values()
    )
    return found
