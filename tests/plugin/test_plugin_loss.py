"""The engine is killed, stopped, restarted or reconfigured under running applications."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aes67.selftest import child
from aes67.shm import layout
from plugin.harness import Mock, Stalls

WAYS = ["write", "read", "wait", "avail", "nonblock", "drain"]
ENODEV = -19


def is_set_up(stats: Any) -> bool:
    """An application has got as far as hw_params."""
    return any(layout.MSG_SETUP in messages for messages in stats["messages"])


def start_until(mock: Mock, semantics: Path, device: str, way: str) -> subprocess.Popen[bytes]:
    process = mock.popen([str(semantics), device, "until", way])
    assert process.stdout
    assert process.stdout.readline() == b"running\n"
    time.sleep(0.1)  # the accident shall come in the middle of things
    return process


def ending(process: subprocess.Popen[bytes], since: float, timeout: float) -> tuple[float, int]:
    """ms from `since` (time.monotonic) to the error the application met, and its number."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    first, prepare = out.decode().splitlines()
    when, number, _ = first.split()
    assert prepare == f"prepare {ENODEV}"
    return float(when) - since * 1e3, int(number)


@pytest.mark.parametrize("way", WAYS)
def test_killed_engine_is_an_error_at_once(way: str, mock: Mock, semantics: Path) -> None:
    process = start_until(mock, semantics, "aes67hw:GRACE=0", way)
    with Stalls() as stalls:
        killed = time.monotonic()
        mock.kill()
        took, number = ending(process, killed, 60)
    assert number == ENODEV
    assert took < 150 + 2 * stalls.worst_ms


@pytest.mark.parametrize("way", WAYS)
def test_stopped_engine_is_an_error_after_a_second(way: str, mock: Mock, semantics: Path) -> None:
    process = start_until(mock, semantics, "aes67hw:GRACE=0", way)
    with Stalls() as stalls:
        stopped = time.monotonic()
        mock.signal(signal.SIGSTOP)
        took, number = ending(process, stopped, 60)
    assert number == ENODEV
    assert took < 1200 + 2 * stalls.worst_ms


@pytest.mark.parametrize("way", ["write", "read", "nonblock"])
def test_error_after_the_grace_time(way: str, mock: Mock, semantics: Path) -> None:
    process = start_until(mock, semantics, "aes67hw:GRACE=400", way)
    with Stalls() as stalls:
        killed = time.monotonic()
        mock.kill()
        took, number = ending(process, killed, 60)
    assert number == ENODEV
    assert 400 <= took < 550 + 2 * stalls.worst_ms


@pytest.mark.parametrize("way", ["write", "read", "avail"])
def test_reconfigured_device_is_an_error(way: str, mock: Mock, semantics: Path) -> None:
    process = start_until(mock, semantics, "aes67hw", way)
    with Stalls() as stalls:
        told = time.monotonic()
        mock.do("event", kind=layout.EVENT_RECONFIGURED)
        took, number = ending(process, told, 60)
    assert number == ENODEV
    assert took < 150 + 2 * stalls.worst_ms


def test_engine_that_hangs_up_is_found_again(mock: Mock, semantics: Path) -> None:
    """Only the connection breaks; the engine lives: nobody notices."""
    process = start_until(mock, semantics, "aes67hw", "write")
    mock.do("hang_up")
    mock.wait_for(lambda stats: len(stats["streams"]) == 1)
    assert process.poll() is None
    child.kill(process)


APPLICATIONS = {
    "aplay": "aplay -D aes67hw -f S16_LE -r 48000 -c 2 -d 2 /dev/zero",
    "aplay mmap": "aplay -M -D aes67hw -f S16_LE -r 48000 -c 2 -d 2 /dev/zero",
    "arecord": "arecord -D aes67hw -f S16_LE -r 48000 -c 2 -d 2 /dev/null",
    "arecord mmap": "arecord -M -D aes67hw -f S16_LE -r 48000 -c 2 -d 2 /dev/null",
    "ffmpeg": "ffmpeg -hide_banner -loglevel warning -nostdin -f alsa -sample_rate 48000"
    " -channels 2 -i aes67hw -t 2 -f null -",
    "gst-launch-1.0": "gst-launch-1.0 -q alsasrc device=aes67hw num-buffers=200 ! fakesink",
}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_application_survives_a_restart(name: str, mock: Mock) -> None:
    command = APPLICATIONS[name].split()
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    process = mock.popen(command)
    mock.wait_for(is_set_up)
    time.sleep(0.3)
    mock.kill()
    time.sleep(0.4)
    mock.start()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert b"run!!!" not in err  # aplay's "underrun!!!" and arecord's "overrun!!!"
    assert b"xrun" not in err


@pytest.mark.parametrize("name", ["aplay", "arecord", "ffmpeg", "gst-launch-1.0"])
@pytest.mark.parametrize("accident", [signal.SIGKILL, signal.SIGSTOP])
def test_application_ends_without_an_engine(
    name: str, accident: signal.Signals, mock: Mock
) -> None:
    command = APPLICATIONS[name].replace("aes67hw", "aes67hw:GRACE=100").split()
    command = ["30" if word == "2" and name != "ffmpeg" else word for word in command]
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    process = mock.popen([word.replace("num-buffers=200", "num-buffers=9999") for word in command])
    mock.wait_for(is_set_up)
    time.sleep(0.2)
    mock.signal(accident)
    started = time.monotonic()
    process.communicate(timeout=60)
    assert time.monotonic() - started < 4


def test_sound_goes_on_after_a_restart(mock: Mock) -> None:
    """What aplay had written ahead comes out of the new engine, in order, at its media time."""
    command = "aplay -D aes67hw -f S16_LE -r 48000 -c 2 -d 4 --buffer-size=24000 /dev/zero"
    process = mock.popen(command.split(" "))
    mock.wait_for(lambda stats: stats["streams"] and stats["streams"][0]["played"] > 9600)
    before = mock.do("stats")["streams"][0]["runs"][0]
    mock.kill()
    time.sleep(0.2)
    mock.start()
    stats = mock.wait_for(lambda stats: stats["streams"] and stats["streams"][0]["played"] > 9600)
    stream = stats["streams"][0]
    after = stream["runs"][0]
    assert after["run"] > before["run"]
    assert abs(after["anchor"] - before["anchor"]) <= 48, "media time went on: the anchor stays"
    assert after["start_pos"] > before["start_pos"]
    assert stream["silence"] == 0
    child.kill(process)


@pytest.mark.parametrize("other", [["--rate", "44100"], ["--channels", "1"]])
def test_another_device_after_a_restart_is_an_error(
    other: list[str], mock: Mock, semantics: Path
) -> None:
    """The new engine does not have what this PCM was set up for: no need to wait."""
    process = start_until(mock, semantics, "aes67hw:GRACE=9000", "write")
    mock.kill()
    mock.arguments = tuple(other)
    mock.start()
    with Stalls() as stalls:
        started = time.monotonic()
        took, number = ending(process, started, 60)
    assert number == ENODEV
    assert took < 200 + 2 * stalls.worst_ms


@pytest.mark.parametrize("accident", ["restart", "none"])
def test_engine_restarted_between_open_and_set_up(
    accident: str, mock: Mock, semantics: Path
) -> None:
    process = mock.popen([str(semantics), "aes67hw", "late"], stdin=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"running\n"
    if accident == "restart":
        mock.kill()
        mock.start()
    out, err = process.communicate(b"\n", timeout=10)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_killed_clients_leave_nothing(mocks: Callable[..., Mock]) -> None:
    mock = mocks()
    baseline = mock.do("stats")["fds"]
    for i in range(12):
        name = "aplay" if i % 2 else "arecord"
        process = mock.popen(APPLICATIONS[name].split())
        time.sleep(0.03 * (i % 5))
        child.kill(process)
    mock.wait_for(lambda stats: stats["clients"] == 0)
    assert mock.do("stats")["fds"] == baseline


def test_open_without_an_engine_says_why(mock: Mock) -> None:
    mock.kill()
    done = mock.run(*APPLICATIONS["aplay"].split())
    assert done.returncode == 1
    assert f"cannot reach the engine at {mock.socket}: Connection refused (left by" in done.stderr
    assert "audio open error: No such device" in done.stderr
    mock.socket.unlink()
    done = mock.run(*APPLICATIONS["aplay"].split())
    assert "No such file or directory" in done.stderr


@pytest.mark.parametrize("command", [APPLICATIONS["aplay"], "amixer -D aes67 contents"])
def test_open_without_the_right_to_names_the_group(mock: Mock, command: str) -> None:
    """As a user: root without its capabilities meets the same "permission denied"."""
    mock.socket.chmod(0)
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    done = mock.run(*bare, *command.split())
    assert done.returncode == 1
    assert f"no right to open {mock.socket}: a daemon of root's" in done.stderr
    assert "usermod -aG audio USER" in done.stderr
    assert "Permission denied" in done.stderr


def test_open_of_a_silent_engine_gives_up(mock: Mock) -> None:
    mock.do("answer", on=False)
    started = time.monotonic()
    done = mock.run(*APPLICATIONS["aplay"].split())
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert time.monotonic() - started < 3
