"""A self-test that is ended in the middle, by whatever signal, leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aes67.selftest import child

PROGRAMS = {
    "selftest": ["aes67.selftest.audio", "--duration", "60"],
    "latency": ["aes67.selftest.latency", "--duration", "60"],
    "demo": ["aes67.selftest.demo", "--duration", "60"],
    "run": ["aes67.selftest.run", "--port", "0"],
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Temporary files of the test's processes, by which they can be told from others' too."""
    with tempfile.TemporaryDirectory(prefix=f"end{os.getpid()}-") as name:
        yield Path(name)


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes whose temporary files are there."""
    found = []
    mark = f"TMPDIR={folder}".encode()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and mark in (entry / "environ").read_bytes().split(b"\0"):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if words != [b""]:  # a zombie
                    found.append(b" ".join(words).decode(errors="replace"))
        except OSError:
            continue
    return found


def until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("program", "number", "code"),
    [
        ("selftest", signal.SIGTERM, 143),
        ("selftest", signal.SIGINT, 130),
        ("selftest", signal.SIGHUP, 129),
        ("latency", signal.SIGTERM, 143),
        ("demo", signal.SIGTERM, 143),
        ("run", signal.SIGTERM, 0),
        ("run", signal.SIGINT, 0),
    ],
)
def test_nothing_is_left(program: str, number: signal.Signals, code: int, folder: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(folder)}
    if program == "run":  # it works on the host's loopback otherwise
        environment["AES67_SELFTEST_PLACE"] = "host"
    process = subprocess.Popen(
        [sys.executable, "-m", *PROGRAMS[program]], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: bool(list(folder.glob("aes67-selftest-*/run/alsa.sock"))))
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    finally:
        child.kill(process)
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert list(folder.iterdir()) == []
    until(lambda: not processes_of(folder), 5)


def test_a_self_test_that_is_killed_takes_its_daemon_along(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", *PROGRAMS["selftest"]], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    try:
        until(lambda: bool(list(folder.glob("aes67-selftest-*/run/alsa.sock"))))
    finally:
        child.kill(process)
    until(lambda: not processes_of(folder), 20)
