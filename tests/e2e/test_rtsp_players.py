"""GStreamer and ffmpeg are given an rtsp:// URL of a daemon and play its source, nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from aes67.selftest import child
from aes67.selftest.node import Node
from aes67.selftest.plan import case, source
from sim.waiting import wait_until

pytestmark = pytest.mark.root
STEREO = case("S24_3LE", 48000, 2, "L24", "1ms")
WANTED_BYTES = 48_000 * 6


def gstreamer(url: str, recorded: Path) -> list[str]:
    return [
        "gst-launch-1.0", "-q", "rtspsrc", f"location={url}", "latency=50", "!", "rtpL24depay", "!",
        "filesink", f"location={recorded}", "sync=false", "buffer-mode=unbuffered",
    ]  # fmt: skip


def ffmpeg(url: str, recorded: Path) -> list[str]:
    return [
        "ffmpeg", "-nostdin", "-loglevel", "error", "-probesize", "2000", "-analyzeduration", "0",
        "-i", url, "-map", "0:a", "-c:a", "copy", "-flush_packets", "1",
        "-f", "s24be", str(recorded),
    ]  # fmt: skip


@pytest.mark.peer("gst-launch-1.0", "ffmpeg")
@pytest.mark.parametrize("player", [gstreamer, ffmpeg])
@pytest.mark.parametrize("way", ["by-name", "by-id"])
def test_a_player_plays_the_url(node: Node, tmp_path: Path, player: object, way: str) -> None:
    node.client.put("/api/v1/sources/0", source(STEREO, 0))
    status, config = node.status(), node.client.get("/api/v1/config")
    name = f"{status['node_id']} {status['sources'][0]['name']}"
    path = "0" if way == "by-id" else quote(name)
    url = f"rtsp://127.0.0.1:{config['rtsp_port']}/{way}/{path}"
    recorded = tmp_path / "recorded.raw"
    assert callable(player)
    program = subprocess.Popen(player(url, recorded), stdin=subprocess.DEVNULL)

    def enough() -> bool:
        assert program.poll() is None, f"ended with {program.returncode}"
        return recorded.exists() and recorded.stat().st_size >= WANTED_BYTES

    try:
        wait_until(enough)
    finally:
        child.stop(program)
    assert not any(recorded.read_bytes()), "nobody plays: the daemon sends silence"
