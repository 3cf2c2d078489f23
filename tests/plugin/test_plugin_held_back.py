"""An engine that is late by more than the application's buffer, or dies slowly: no overrun."""

from __future__ import annotations

import subprocess
import time

from aes67.shm import layout
from plugin.harness import Mock


def record(mock: Mock, *extra: str) -> subprocess.Popen[bytes]:
    """arecord with a buffer of 40 ms, known to run."""
    process = mock.popen(
        ["arecord", "-q", "-D", "aes67hw", "-f", "S16_LE", "-r", "48000", "-c", "2", "-t", "raw"]
        + ["--period-size=480", "--buffer-size=1920", *extra, "/dev/null"]
    )
    mock.wait_for(lambda stats: stats["messages"] and layout.MSG_SETUP in stats["messages"][0])
    return process


def test_an_engine_late_by_more_than_the_buffer_is_no_overrun(mock: Mock) -> None:
    process = record(mock, "-d", "1")
    mock.do("stall", on=True)
    time.sleep(0.15)
    mock.do("stall", on=False)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")


def test_an_application_that_stood_still_has_its_overrun_all_the_same(mock: Mock) -> None:
    process = record(mock, "-d", "1")
    time.sleep(0.1)
    process.send_signal(19)
    time.sleep(0.3)
    process.send_signal(18)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.count(b"overrun!!!") == 1
