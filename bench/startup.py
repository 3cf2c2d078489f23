"""`startup`: from starting the daemon to its first RTP packet, in mode `gm`, cold and warm.

Cold is the first start after installing without `aes67 warmup`: everything is compiled. Warm is any
later one: the benchmark checks that the cache has not changed by it.
"""

from __future__ import annotations

import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aes67.jit import LOCK
from aes67.selftest.node import Node, Settings
from bench.daemon import run_inside, source
from bench.rounds import Effort, verdict

GROUP, PORT = "239.1.0.1", 5004
LIMIT_SECONDS = 2.0
COLD_PATIENCE_SECONDS = 600.0
SILENCE_SECONDS = 0.3


def listener() -> socket.socket:
    """A member of the source's group on loopback."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((GROUP, PORT))
    member = struct.pack("=4s4si", socket.inet_aton(GROUP), bytes(4), socket.if_nametoindex("lo"))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    return sock


def drain(sock: socket.socket) -> None:
    """Read until nobody has sent anything for a while."""
    sock.settimeout(SILENCE_SECONDS)
    try:
        while True:
            sock.recv(2048)
    except TimeoutError:
        return


def start(node: Node, sock: socket.socket, environment: dict[str, str]) -> float:
    """Start the daemon, stop it at its first packet; the seconds between."""
    command = [
        sys.executable, "-m", "aes67.daemon",
        "-c", str(node.directory / "daemon.conf"), "--runtime-dir", str(node.runtime),
    ]  # fmt: skip
    drain(sock)
    sock.settimeout(COLD_PATIENCE_SECONDS)
    began = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        sock.recv(2048)
        return time.monotonic() - began
    finally:
        process.terminate()
        process.wait()


def contents(folder: Path) -> dict[str, int]:
    """Every file of the cache with the time it was written; the lock's is that of its last use."""
    return {
        str(each.relative_to(folder)): each.stat().st_mtime_ns
        for each in folder.rglob("*") if each.is_file() and each.name != LOCK
    }  # fmt: skip


def inside(effort: Effort) -> dict[str, Any]:
    """The benchmark, in its namespace."""
    with Node(Settings(clock_mode="gm")) as node, listener() as sock:
        node.client.put("/api/v1/sources/0", source(0))
        node.stop()
        with tempfile.TemporaryDirectory(prefix="bench-cache-") as folder:
            environment = {**node.environment, "AES67_CACHE_DIR": folder}
            for name in ("NUMBA_CACHE_DIR", "CACHE_DIRECTORY"):
                environment.pop(name, None)
            cold = start(node, sock, environment)
            before = contents(Path(folder))
            warm = [start(node, sock, environment) for _ in range(effort.rounds)]
            after = contents(Path(folder))
            size = sum(each.stat().st_size for each in Path(folder).rglob("*") if each.is_file())
    compiled = {name for name, when in after.items() if before.get(name) != when}
    return {
        "cold_s": round(cold, 2),
        "warm_s": verdict(statistics.median(warm), LIMIT_SECONDS),
        "warm_each_s": [round(each, 2) for each in warm],
        "compiled_by_later_starts": len(compiled),
        "examples": sorted(os.path.basename(name) for name in compiled)[:5],
        "cache_files": len(before), "cache_kb": size >> 10,
    }  # fmt: skip


def measure(effort: Effort) -> dict[str, Any]:
    """Seconds to the first packet, cold and warm; what the second start compiled."""
    return run_inside(__name__, effort)
