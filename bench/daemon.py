"""A daemon on the loopback of a namespace of its own, for benchmarks of the whole.

`run_inside` starts one of the functions of this package's modules in such a namespace and reads
what it returns, so that nothing of the machine's network is touched and nothing is left over.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from aes67.selftest.node import Node
from aes67.selftest.place import prepare_loopback
from bench.media import answer
from bench.rounds import Effort

PATIENCE_SECONDS = 900
CHANNELS, FRAMES = 8, 48


def run_inside(module: str, effort: Effort) -> dict[str, Any]:
    """Result of `module.inside(effort)`, run in a new network namespace with loopback."""
    words = [str(effort.rounds), str(effort.seconds)]
    command = ["unshare", "--net", sys.executable, "-m", "bench.daemon", module, *words]
    return answer(command, PATIENCE_SECONDS)


def source(index: int) -> dict[str, Any]:
    """Body of a request for source `index`: its own 8 channels at 1 ms."""
    first = index * CHANNELS
    return {
        "enabled": True, "name": f"bench {index}", "io": "Audio Device",
        "map": list(range(first, first + CHANNELS)), "max_samples_per_packet": FRAMES,
        "codec": "L24", "address": "", "ttl": 15, "payload_type": 98, "dscp": 34,
        "refclk_ptp_traceable": False,
    }  # fmt: skip


def sink(index: int, sdp: str, delay_frames: int) -> dict[str, Any]:
    """Body of a request for sink `index`, which takes what source `index` sends."""
    first = index * CHANNELS
    return {
        "name": f"bench {index}", "io": "Audio Device", "use_sdp": True, "source": "", "sdp": sdp,
        "delay": delay_frames, "ignore_refclk_gmid": True,
        "map": list(range(first, first + CHANNELS)),
    }  # fmt: skip


def add_streams(node: Node, count: int, delay_frames: int) -> None:
    """So many sources, and a sink for each; returns when all sinks hear their source."""
    for index in range(count):
        node.client.put(f"/api/v1/sources/{index}", source(index))
    for index in range(count):
        sdp = str(node.client.get(f"/api/source/sdp/{index}"))
        node.client.put(f"/api/v1/sinks/{index}", sink(index, sdp, delay_frames))
    node.wait_receiving(count)


def processes(node: Node) -> dict[str, int]:
    """Process numbers of `parent`, `engine` and `control`."""
    assert node.process is not None
    parent = node.process.pid
    found = {"parent": parent}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        if int(status[1]) == parent:
            found["engine" if b"aes67.engine.main" in command else "control"] = int(folder.name)
    return found


def die_with_parent() -> None:
    """A killed benchmark takes its daemon with it."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def main() -> int:
    """Entry point inside the namespace: module name, rounds, seconds."""
    import importlib

    module, rounds, seconds = sys.argv[1:4]
    die_with_parent()
    os.environ.pop("NUMBA_CACHE_DIR", None)
    prepare_loopback()
    found = importlib.import_module(module).inside(Effort(int(rounds), int(seconds)))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
