"""The request for processors that wake up in time: held, changed, taken back, refused.

Whatever others on this machine hold: what counts is the file that is open, and what is written.
"""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aes67.engine.cpu_latency import DEVICE, MOST_US, CpuLatency
from aes67.selftest import child


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """In the device's place a file that keeps everything written."""
    path = tmp_path / "cpu_dma_latency"
    path.touch()
    return path


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    path = tmp_path / "current_driver"
    path.write_text("intel_idle\n")
    return path


def held(path: Path, pid: int | str = "self") -> int:
    """How often a process has a file open."""
    count = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += os.readlink(each) == str(path)
    return count


def written(path: Path) -> list[int]:
    return [value for (value,) in struct.iter_unpack("=i", path.read_bytes())]


def test_it_is_held_changed_and_taken_back(device: Path, driver: Path) -> None:
    latency = CpuLatency(device, driver)
    latency.request(None)
    assert held(device) == 0
    for limit_us in (0, 0, MOST_US, 50):
        latency.request(limit_us)
        assert held(device) == 1, "one file for all values: nothing is let go in between"
    assert written(device) == [0, MOST_US, 50]
    latency.request(None)
    assert held(device) == 0
    latency.request(0)
    latency.close()
    latency.close()
    assert held(device) == 0
    assert latency.problem == ""


def test_what_cannot_be_had_is_said_and_tried_again(tmp_path: Path, driver: Path) -> None:
    latency = CpuLatency(tmp_path / "late", driver)
    latency.request(0)
    assert latency.problem.startswith("cpu_latency_us = 0 is not in force: ")
    assert f"{tmp_path}/late: No such file or directory" in latency.problem
    assert "`aes67 service install` once more" in latency.problem
    latency.request(20)
    assert "cpu_latency_us = 20" in latency.problem
    (tmp_path / "late").touch()
    latency.request(20)
    assert (latency.problem, held(tmp_path / "late")) == ("", 1)
    latency.close()
    refused = CpuLatency(tmp_path, driver)
    refused.request(0)
    assert "Is a directory" in refused.problem
    refused.request(None)
    assert refused.problem == "", "nobody wants it any more"


def test_a_device_that_takes_no_value_is_let_go(driver: Path) -> None:
    full = Path("/dev/full")
    latency = CpuLatency(full, driver)
    latency.request(0)
    assert "No space left" in latency.problem
    assert held(full) == 0


def test_where_nobody_asks_the_kernel_it_is_said(device: Path, driver: Path) -> None:
    latency = CpuLatency(device, driver)
    driver.write_text("none\n")
    latency.request(0)
    assert "no cpuidle driver" in latency.problem
    assert "idle=poll" in latency.problem
    driver.unlink()
    latency.request(0)
    assert latency.problem == "", "a kernel that does not tell is taken at its word"
    latency.close()


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Without root's rights, if there are any."""
    uid = os.geteuid()
    if uid == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(uid)


def test_without_the_right_it_says_what_to_do(driver: Path) -> None:
    latency = CpuLatency(driver=driver)
    with nobody():
        if os.access(DEVICE, os.W_OK, effective_ids=True):
            pytest.skip("everybody may write it here")
        latency.request(0)
    assert str(DEVICE) in latency.problem
    assert "`aes67 service install`" in latency.problem
    assert "run the daemon as root" in latency.problem


@pytest.mark.root
def test_the_real_file_takes_it_and_it_goes_with_the_process() -> None:
    if not os.access(DEVICE, os.W_OK):
        pytest.skip("no /dev/cpu_dma_latency here")
    code = (
        "import sys; from aes67.engine.cpu_latency import CpuLatency; latency = CpuLatency(); "
        "latency.request(10_000); latency.request(9_999); "
        "print(latency._file >= 0, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "True\n"
            assert held(DEVICE, process.pid) == 1
            with DEVICE.open("rb", buffering=0) as file:
                (in_force_us,) = struct.unpack("=i", file.read(4))
            assert 0 <= in_force_us <= 9_999, "no more than ours, whatever others ask for"
        finally:
            child.kill(process)
