"""A failing test is repeated when the machine stood still while it ran, and only then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

CONFTEST = """
import signal, time
import pytest
from standstill import Reruns, Standstill

reruns = Reruns(Standstill({bearable_ns}))

def pytest_configure(config):
    config.pluginmanager.register(reruns)

@pytest.fixture
def stall():
    def stall():
        for probe in reruns.machine.probes:
            probe.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        for probe in reruns.machine.probes:
            probe.send_signal(signal.SIGCONT)
    return stall
"""

TEST = """
attempts = []

def test_once_disturbed(stall):
    attempts.append(1)
    if len(attempts) == 1:
        stall()
        assert not "the first attempt"

def test_wrong():
    assert not "right"
"""


def outcome(folder: Path, bearable_ns: int, name: str) -> str:
    """What pytest prints about one of these tests."""
    (folder / "conftest.py").write_text(CONFTEST.format(bearable_ns=bearable_ns))
    (folder / "test_it.py").write_text(TEST)
    environment = {"PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    options = "-ra --rerun-show-tracebacks -p pytest_rerunfailures -c /dev/null --rootdir ."
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options.split(), f"test_it.py::{name}"],
        capture_output=True, text=True, check=False, cwd=folder, env=environment,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.root
def test_a_failure_of_a_machine_that_stood_still_is_repeated_and_told(tmp_path: Path) -> None:
    said = outcome(tmp_path, 150_000_000, "test_once_disturbed")
    assert "1 passed, 1 rerun" in said
    assert "the first attempt" in said
    assert "failed while the machine stood still" in said


@pytest.mark.root
def test_a_failure_of_a_machine_that_runs_is_final(tmp_path: Path) -> None:
    said = outcome(tmp_path, 10**12, "test_wrong")
    assert "1 failed" in said
    assert "RERUN" not in said
    assert "stood still" not in said
