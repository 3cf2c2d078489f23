"""The doctor's judgement on single findings, where the machine cannot be made ill."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from aes67.cli import main as cli
from aes67.cli.doctor import again, governor, interface, real_time, stream


def test_without_a_daemon_it_still_looks_at_the_machine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cli.main(["--url", "http://127.0.0.1:9", "doctor"])
    said = capsys.readouterr()
    assert said.err == ""
    for subject in ("ALSA device", "real-time", "locked memory", "PTP ports", "daemon"):
        assert subject in said.out


def test_looking_for_real_time_rights_does_not_take_them() -> None:
    before = os.sched_getscheduler(0)
    real_time()
    assert os.sched_getscheduler(0) == before


def test_a_command_to_type_runs_without_this_user_s_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    sudo, *command = shlex.split(again("alsa install", True))
    assert (sudo, command[1:]) == ("sudo", ["alsa", "install"])
    assert again("alsa install", False) == shlex.join(command)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert again("alsa install", True) == shlex.join(command), "root needs no sudo"
    done = subprocess.run([command[0], "--version"], env={}, capture_output=True, text=True)
    assert done.stdout.startswith("aes67 ")


@pytest.mark.parametrize(
    ("names", "state"), [((), "good"), (("performance",) * 2, "good"), (("powersave",), "warning")]
)
def test_governors(tmp_path: Path, names: tuple[str, ...], state: str) -> None:
    for number, name in enumerate(names):
        folder = tmp_path / f"cpu{number}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{name}\n")
    assert governor(tmp_path).state == state


@pytest.mark.parametrize(
    ("kind", "row", "state"),
    [
        ("source", {"enabled": True, "counters": {"packets": 5}}, "good"),
        ("source", {"enabled": True, "counters": {}}, "bad"),
        ("source", {"enabled": False, "counters": {}}, "good"),
        ("source", {"enabled": True, "counters": {"packets": 5, "skipped_packets": 1}}, "warning"),
        ("sink", {"counters": {"packets": 5, "lost": 0}}, "good"),
        ("sink", {"counters": {"packets": 5, "late": 2}}, "warning"),
        ("sink", {"counters": {"packets": 0}}, "bad"),
        ("sink", {"counters": {"packets": 5}, "note": "other grandmaster"}, "warning"),
    ],
)
def test_streams(kind: str, row: dict[str, object], state: str) -> None:
    assert stream(kind, {"id": 1, "name": "x"} | row).state == state


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "good"), ({"querier": "waiting"}, "good"), ({"querier": "unknown"}, "good"),
        ({"querier": "none"}, "warning"), ({"querier": "none", "groups": 0}, "good"),
        ({"querier": "none", "name": "lo"}, "good"), ({"running": False}, "bad"),
        ({"present": False}, "bad"), ({"addresses": []}, "bad"),
    ],
)  # fmt: skip
def test_interfaces(changes: dict[str, object], state: str) -> None:
    row = {
        "name": "eth0", "present": True, "running": True, "addresses": ["10.0.0.1"], "groups": 2,
        "querier": "heard",
    }  # fmt: skip
    assert interface(row | changes).state == state
