"""The PCM on clocks made to order: fast, frozen, slewed, stepped, over the RTP boundary."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aes67.shm import layout
from plugin.harness import Mock, random_frames
from plugin.test_plugin_bits import find, record_while

NS = 10**9


def played_stream(mock: Mock, frames: int) -> Any:
    stats = mock.wait_for(
        lambda stats: stats["streams"] and stats["streams"][0]["played"] >= frames
    )
    return stats["streams"][0]


def play(mock: Mock, seconds: int, *arguments: str) -> subprocess.Popen[bytes]:
    command = ["aplay", "-q", "-D", "aes67hw", "-f", "S16_LE", "-r", "48000", "-c", "2"]
    return mock.popen([*command, "-d", str(seconds), *arguments, "/dev/zero"])


def test_ten_times_as_fast(mocks: Callable[..., Mock]) -> None:
    """10 s of sound in 1 s, every sample in its place."""
    mock = mocks("--speed", "10", "--channels", "2")
    sent = random_frames(480000, 2)
    path = mock.folder / "sent.raw"
    path.write_bytes(sent)
    common = ["-D", "aes67hw", "-f", "S16_LE", "-r", "48000", "-c", "1"]
    large = ["--buffer-time=8000000", "--period-time=200000"]
    took = 0.0

    def run() -> None:
        nonlocal took
        started = time.monotonic()
        done = mock.run("aplay", "-q", "-t", "raw", *common, *large, str(path))
        took = time.monotonic() - started
        assert (done.returncode, done.stderr) == (0, "")

    find(record_while(mock, [*common, *large], run), sent)
    assert 0.95 < took < 6, "of ten"


@pytest.mark.parametrize("seconds", [2**32 / 48000, 2**31 / 48000 * 5])
def test_over_the_boundary_of_the_timestamp(seconds: float, mocks: Callable[..., Mock]) -> None:
    """Positions and anchors are 64 bits: 2^32 frames are no event."""
    ahead = 0.8  # the boundary comes while this plays
    mock = mocks("--media-ns", str(int((seconds * 8000 - ahead) * NS)), "--channels", "2")
    sent = random_frames(48000, 4)
    path = mock.folder / "sent.raw"
    path.write_bytes(sent)
    common = ["-D", "aes67hw", "-f", "S16_LE", "-r", "48000", "-c", "2"]

    def run() -> None:
        assert mock.run("aplay", "-q", "-t", "raw", *common, str(path)).returncode == 0

    find(record_while(mock, common, run), sent)


def test_anchor_lies_on_the_grid(mock: Mock) -> None:
    process = play(mock, 1)
    run = played_stream(mock, 1)["runs"][-1]
    assert run["anchor"] % 12 == 0, "250 us at 48 kHz"
    assert run["start_pos"] == 0
    assert run["state"] == layout.RUN_RUNNING
    process.kill()


def test_clock_that_stands_still_costs_nothing(mock: Mock) -> None:
    """No progress, no busy loop; and it goes on when the clock does."""
    process = play(mock, 1)
    played_stream(mock, 4800)
    mock.do("clock", speed=0)
    before = cpu_seconds(process)
    time.sleep(0.6)
    assert process.poll() is None
    assert cpu_seconds(process) - before < 0.1
    mock.do("clock", speed=1)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.parametrize("ppm", [-100, 100, 2000])
def test_slewed_clock_is_followed(ppm: int, mock: Mock) -> None:
    process = play(mock, 1)
    for step in range(20):
        mock.do("clock", speed=1 + (ppm if step % 2 else -ppm) / 1e6)
        time.sleep(0.02)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize("step_ns", [10 * NS, -10 * NS, 2_000_000])
def test_step_of_the_clock_is_one_xrun(step_ns: int, mock: Mock) -> None:
    process = play(mock, 1)
    first = played_stream(mock, 4800)["runs"][-1]
    mock.do("clock", step_ns=step_ns, epoch=True)
    stats = mock.wait_for(lambda stats: stats["streams"][0]["runs"][-1]["epoch"] == 1)
    second = stats["streams"][0]["runs"][-1]
    assert second["anchor"] != first["anchor"]
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.count(b"underrun!!!") == 1


def test_step_of_the_clock_while_draining_loses_nothing(mock: Mock, tmp_path: Path) -> None:
    path = tmp_path / "sent.raw"
    path.write_bytes(bytes(4 * 19200))
    command = "aplay -q -D aes67hw -t raw -f S16_LE -r 48000 -c 2 --buffer-size=24000"
    process = mock.popen([*command.split(), str(path)])
    played_stream(mock, 2400)
    mock.do("clock", step_ns=NS, epoch=True)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")


def test_bus_that_stops_is_an_xrun_not_a_hang(mock: Mock, semantics: Path) -> None:
    """The engine's clock runs, its bus does not: a fault, and no wait without end."""
    process = mock.popen([str(semantics), "aes67hw", "until", "xrun"])
    assert process.stdout
    assert process.stdout.readline() == b"running\n"
    mock.do("bus", on=False)
    out, _ = process.communicate(timeout=60)
    assert b" -32 XRUN" in out
    assert b"prepare 0" in out


def test_capture_does_not_outrun_a_late_engine(mock: Mock) -> None:
    """Heartbeat and bus both late (a stalled engine): data waits for it, no xrun, no error."""
    process = mock.popen(
        ["arecord", "-q", "-D", "aes67hw", "-f", "S16_LE", "-r", "48000", "-c", "2"]
        + ["-d", "1", "-t", "raw", "/dev/null"]
    )
    mock.wait_for(lambda stats: stats["messages"] and layout.MSG_SETUP in stats["messages"][0])
    mock.do("stall", on=True)
    time.sleep(0.3)
    mock.do("stall", on=False)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")


def test_application_that_stalls_has_one_xrun(mock: Mock) -> None:
    """SIGSTOP for longer than its buffer; the silence counted is the gap."""
    process = play(mock, 1, "--buffer-time=50000", "--period-time=10000")
    played_stream(mock, 2400)
    process.send_signal(19)
    time.sleep(0.2)
    process.send_signal(18)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.count(b"underrun!!!") >= 1
