"""The streamer of a real node: what aplay plays is what ffmpeg, ffprobe and a browser hear."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest

from aes67.selftest import child
from aes67.selftest.node import Node, Settings
from e2e.places import Namespace
from sim.waiting import wait_until

pytestmark = [
    pytest.mark.root,
    pytest.mark.peer("ffmpeg"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed"),
]

HERTZ = (997, 1503)
LEVEL = 0.5012
"""-6 dBFS."""
SINK: dict[str, Any] = {"name": "A", "map": [2, 3], "delay": 960}


@pytest.fixture(scope="module")
def place() -> Iterator[Namespace]:
    with Namespace() as made:
        yield made


@pytest.fixture(scope="module")
def node(place: Namespace) -> Iterator[Node]:
    """A grandmaster with a source and a sink of it, its streamer on."""
    extra = (("streamer_enabled", True), ("streamer_files_num", 4))
    with Node(Settings(device_channels=64, extra=extra)) as made:
        made.wait_locked()
        connect(made)
        yield made


def connect(node: Node, **changes: Any) -> None:
    node.client.put("/api/v1/sources/0", {"name": "A", "map": [0, 1]})
    sdp = node.client.get("/api/source/sdp/0")
    node.client.put("/api/v1/sinks/0", SINK | {"sdp": sdp} | changes)
    node.wait_receiving(1)


@pytest.fixture(scope="module")
def playing(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """aplay plays two sines all the while, through the ALSA device."""
    file = tmp_path_factory.mktemp("sines") / "sines.wav"
    frames = np.arange(48000 * 240)
    both = np.stack([np.sin(2 * np.pi * hertz * (frames % 48000) / 48000) for hertz in HERTZ])
    samples = (both.T * LEVEL * 32767).round().astype("<i2")
    header = ["-f", "S16_LE", "-c", "2", "-r", "48000", "-t", "raw"]
    samples.tofile(file)
    player = subprocess.Popen(
        ["aplay", "-q", "-D", "aes67", *header, str(file)], env=node.environment
    )
    try:
        wait_until(lambda: bool(node.status()["pcms"]))
        yield node
    finally:
        child.kill(player)


def heard(node: Node, path: str, seconds: float) -> bytes:
    """What a live stream gives in a time, from a second after its beginning on."""
    content, end = b"", time.monotonic() + seconds
    with httpx.stream("GET", node.client.url + path, timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["transfer-encoding"] == "chunked"
        for chunk in answer.iter_bytes():
            content += chunk
            if time.monotonic() > end:
                return content
    return content


def sound(content: bytes) -> npt.NDArray[np.float32]:
    """As ffmpeg decodes it: [channels][frames]."""
    command = ["ffmpeg", "-v", "error", "-i", "-", "-f", "f32le", "-ac", "2", "-"]
    done = subprocess.run(command, input=content, capture_output=True, timeout=60, check=True)
    return np.frombuffer(done.stdout, "<f4").reshape(-1, 2).T


def is_ours(samples: npt.NDArray[np.float32]) -> None:
    """Frequency to 1 Hz, level to 0.4 dB, on both channels."""
    last = samples[:, -48000 - 4800 : -4800]
    assert last.shape[1] == 48000
    for channel, hertz in zip(last, HERTZ, strict=True):
        spectrum = np.abs(np.fft.rfft(channel * np.hanning(len(channel))))
        assert abs(int(np.argmax(spectrum)) - hertz) <= 1
        level = float(np.sqrt(2 * np.mean(channel**2)))
        assert abs(20 * np.log10(level / LEVEL)) < 0.4


@pytest.mark.parametrize(
    ("path", "codec"),
    [
        ("/api/v1/sinks/0/listen.wav", "pcm_s24le"),
        ("/api/v1/sinks/0/listen.opus", "opus"),
        ("/api/v1/sinks/0/listen.aac", "aac"),
    ],
)
def test_what_is_played_is_heard(playing: Node, path: str, codec: str) -> None:
    content = heard(playing, path, 3)
    probe = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", "-"]
    said = subprocess.run(probe, input=content, capture_output=True, timeout=60, check=True)
    (stream,) = json.loads(said.stdout)["streams"]
    assert (stream["codec_name"], stream["sample_rate"], stream["channels"]) == (codec, "48000", 2)
    is_ours(sound(content))


def info(node: Node, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = node.client.get(f"/api/streamer/info/{number}")
    return found


def test_a_player_by_the_contract_hears_it(playing: Node) -> None:
    wait_until(lambda: info(playing)["status"] == 0)
    found = info(playing)
    place, files, content = found["start_file_id"], found["files_num"], b""
    assert (found["rate"], found["channels"], found["format"], files) == (48000, 2, "s16", 4)
    counts = []
    for _ in range(4):
        wait_until(lambda place=place: info(playing)["current_file_id"] != place)  # type: ignore[misc]
        answer = httpx.get(f"{playing.client.url}/api/streamer/stream/0/{place}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/aac")
        counts.append(int(answer.headers["x-file-count"]))
        content += answer.content
        place = (place + 1) % files
    assert counts == list(range(counts[0], counts[0] + 4))
    samples = sound(content)
    assert samples.shape[1] == pytest.approx(4 * 48000, abs=3 * 1024)
    is_ours(samples)


def test_the_live_stream_of_the_contract(playing: Node) -> None:
    wait_until(lambda: info(playing)["status"] == 0)
    samples = sound(heard(playing, "/api/streamer/stream/0", 2))
    assert samples.shape[1] > 3 * 48000  # what was recorded before, at once
    is_ours(samples)


def test_sixteen_listeners_and_the_interface_answers(playing: Node) -> None:
    lost = playing.status()["sinks"][0]["counters"]["lost"]
    formats = ["opus", "aac", "wav", "opus"] * 4
    kinds = [f"{playing.client.url}/api/v1/sinks/0/listen.{each}" for each in formats]
    players = [
        subprocess.Popen(
            ["ffmpeg", "-v", "error", "-t", "4", "-i", url, "-f", "null", "-"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for url in kinds
    ]
    try:
        slowest = 0.0
        while any(player.poll() is None for player in players):
            begin = time.monotonic()
            playing.client.get("/api/version")
            slowest = max(slowest, time.monotonic() - begin)
            time.sleep(0.02)
        assert [player.communicate()[1] for player in players] == [b""] * len(players)
        assert [player.returncode for player in players] == [0] * len(players)
    finally:
        for player in players:
            child.kill(player)
    assert slowest < 1.0
    assert playing.status()["sinks"][0]["counters"]["lost"] == lost


def test_the_device_is_not_taken(playing: Node) -> None:
    with httpx.stream("GET", f"{playing.client.url}/api/v1/sinks/0/listen.wav") as answer:
        next(answer.iter_bytes())
        record = ["arecord", "-q", "-D", "aes67", "-d", "1", "-f", "S16_LE", "-c", "2"]
        done = subprocess.run(
            [*record, "-r", "48000", "-t", "raw"],
            env=playing.environment,
            capture_output=True,
            timeout=30,
            check=True,
        )
        assert len(done.stdout) == 48000 * 4
        directions = [pcm["direction"] for pcm in playing.status()["pcms"]]
        assert "capture" not in directions


@pytest.mark.peer("chromium")
@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
async def test_a_browser_plays_it(playing: Node) -> None:
    from sim.browser import chromium
    from sim.page_user import User

    async with chromium() as page:
        user = User(page)
        await page.open(playing.client.url + "/")
        (sink,) = playing.client.get("/api/v1/sinks")
        await user.presses(f"Listen to {sink['name']}", f"#sink-{sink['id']}")
        await user.reads(".player", "live")
        await asyncio.sleep(1)
        await user.reads(".player", "live")
        await user.presses("Stop", ".player")
        await user.sees("!document.querySelector('.player')")


def processes(node: Node, name: str) -> list[int]:
    """Of this node, by a part of their command line."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_bytes()
            fields = (directory / "stat").read_text().rsplit(")", 1)[1].split()
            session = (directory / "environ").read_bytes()
        except OSError:
            continue
        ours = str(node.directory).encode() in words + session
        if name.encode() in words and ours and fields[0] != "Z":
            found.append(int(directory.name))
    return found


def test_another_engine_is_heard_on_by_the_same_listener(node: Node) -> None:
    """Nothing is played; what counts is that bytes go on coming over the engine's restart."""
    wait_until(lambda: info(node)["status"] == 0)
    with httpx.stream("GET", f"{node.client.url}/api/v1/sinks/0/listen.wav", timeout=30) as answer:
        chunks = answer.iter_bytes()
        next(chunks)
        (engine,) = processes(node, "aes67.engine.main")
        generation = node.status()["engine"]["generation"]
        os.kill(engine, signal.SIGKILL)

        def another() -> bool:
            now = node.status()["engine"]
            return bool(now["connected"] and now["generation"] != generation)

        node.wait("another engine", another)
        node.wait_locked()
        node.wait_receiving(1)
        heard_bytes, end = 0, time.monotonic() + 2
        for chunk in chunks:
            heard_bytes += len(chunk)
            if time.monotonic() > end:
                break
        assert heard_bytes > 48000 * 6
    wait_until(lambda: info(node)["status"] == 0)


def test_settings_take_effect_and_ends_are_told(node: Node) -> None:
    wait_until(lambda: info(node)["status"] == 0)
    with httpx.stream("GET", f"{node.client.url}/api/v1/sinks/0/listen.wav", timeout=30) as answer:
        chunks = answer.iter_bytes()
        next(chunks)
        node.client.delete("/api/v1/sinks/0")
        for _ in chunks:
            pass
    assert info(node)["status"] == 6
    connect(node, map=[0, 9])
    assert info(node)["status"] == 2
    httpx.post(f"{node.client.url}/api/config", content=b'{"streamer_channels": 10}')
    wait_until(lambda: info(node)["status"] == 3)
    httpx.post(f"{node.client.url}/api/config", content=b'{"streamer_enabled": false}')
    assert info(node)["status"] == 4
    wait_until(lambda: not processes(node, "aes67.streamer.main"))
    httpx.post(f"{node.client.url}/api/config", content=b'{"streamer_enabled": true}')
    wait_until(lambda: info(node)["status"] == 3)


def test_an_unlocked_clock_stops_the_files_only(node: Node) -> None:
    """As a slave of nobody the clock is unlocked: no files, but what comes can be heard."""
    httpx.post(f"{node.client.url}/api/config", content=b'{"streamer_enabled": true}')
    node.client.patch("/api/v1/config", {"clock_mode": "ptp-slave", "ptp_domain": 99})
    try:
        node.wait("unlocking", lambda: node.status()["clock"]["state"] == "unlocked", 60)
        wait_until(lambda: info(node)["status"] == 1)
        refused = httpx.get(f"{node.client.url}/api/streamer/stream/0")
        assert refused.text == "failed to init streamer 0 : (daemon) not running, check PTP lock"
        assert len(heard(node, "/api/v1/sinks/0/listen.wav", 1)) > 24000 * 6
    finally:
        node.client.patch("/api/v1/config", {"clock_mode": "gm", "ptp_domain": 0})
    node.wait_locked()
