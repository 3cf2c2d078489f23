"""`memory`: resident memory of engine and control, without streams and with 64 + 64."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from aes67.selftest.node import Node, Settings
from bench.daemon import add_streams, processes, run_inside
from bench.rounds import Effort, verdict

LIMIT_MB = 250.0
STREAMS = 64
DELAY_FRAMES = 576
FIELDS = {"Rss:": "rss_mb", "Pss:": "pss_mb", "Pss_Shmem:": "shared_memory_mb"}


def memory_of(process: int) -> dict[str, float]:
    """Resident memory of a process in MB (10^6 bytes); PSS shares what several processes map."""
    found = {}
    text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    for line in text.splitlines():
        words = line.split()
        if words[0] in FIELDS:
            found[FIELDS[words[0]]] = round(int(words[1]) * 1024 / 1e6, 1)
    return found


def together(node: Node) -> dict[str, Any]:
    """All processes of the daemon, and the sum of engine and control."""
    found: dict[str, Any] = {
        name: memory_of(process) for name, process in processes(node).items()
    }
    for field in FIELDS.values():
        found[field] = round(found["engine"][field] + found["control"][field], 1)
    return found


def inside(effort: Effort) -> dict[str, Any]:
    """The benchmark, in its namespace."""
    with Node(Settings(device_channels=STREAMS * 8)) as node:
        node.wait_locked()
        time.sleep(effort.seconds)
        idle = together(node)
        add_streams(node, STREAMS, DELAY_FRAMES)
        time.sleep(effort.seconds)
        return {"idle": idle, "streams_64_64": together(node)}


def measure(effort: Effort) -> dict[str, Any]:
    """Both states against the limit, each page counted once (PSS) and once a process (RSS)."""
    found = run_inside(__name__, effort)
    for name in list(found):
        for way in ("rss", "pss"):
            found[f"{way}_{name}"] = verdict(found[name][f"{way}_mb"], LIMIT_MB)
    return found
