"""The doctor's judgement on single findings, where the machine cannot be made ill."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from aes67.cli import main as cli
from aes67.cli.doctor import again, clocks, governor, interface, real_time, stream


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
        ("source", {"enabled": True, "counters": {"packets": 5}, "sending": True}, "good"),
        ("source", {"enabled": True, "counters": {"packets": 5}, "sending": False}, "bad"),
        ("source", {"enabled": True, "counters": {}}, "bad"),
        ("source", {"enabled": False, "counters": {}}, "good"),
        ("source", {"enabled": True, "counters": {"packets": 5, "skipped_packets": 1},
                    "sending": True}, "warning"),
        ("sink", {"counters": {"packets": 5, "lost": 0}}, "good"),
        ("sink", {"counters": {"packets": 5, "late": 2}}, "warning"),
        ("sink", {"counters": {"packets": 0}}, "bad"),
        ("sink", {"counters": {"packets": 5, "late": 2},
                  "flags": {"receiving_rtp_packet": False}}, "bad"),
        ("sink", {"counters": {"packets": 5}, "flags": {"receiving_rtp_packet": True}}, "good"),
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


def test_an_interface_for_nothing_but_time() -> None:
    row = {"name": "eth1", "roles": ["ptp"], "present": True, "running": True, "addresses": [],
           "groups": 0, "querier": "unknown"}  # fmt: skip
    assert interface(row).state == "bad", "PTP over UDP takes an address"
    assert interface(row, ethernet=True).state == "good"
    assert interface(row | {"roles": ["ptp", "discovery"]}, ethernet=True).state == "bad"
    assert interface(row | {"present": False}).cure.startswith("ptp_interfaces")
    assert interface(row | {"running": False}, ethernet=True).state == "bad"


@pytest.mark.parametrize(
    ("counters", "legs", "words", "cure"),
    [
        ({"packets": 5, "late": 2}, [], "2 packets lost, late", "late: a larger --delay"),
        ({"packets": 5, "lost": 1}, [], "1 packets lost, late", "lost: cable"),
        ({"packets": 5}, [{"margin_min_us": 5500.0}], "5.5 of 12.0 ms delay to spare", ""),
        ({"packets": 5}, [{"margin_min_us": 300.0}], "0.3 of 12.0 ms", "a larger --delay"),
        ({"packets": 5}, [{"margin_min_us": None}], "flows without loss", ""),
        ({"packets": 0}, [{"packets": 0}], "no packets come", "is the sender on"),
        ({"packets": 0}, [{"packets": 9}], "packets come, none can be heard", "the SDP"),
        ({"packets": 0, "wrong_payload_type": 7}, [], "heard: 7 wrong payload type", "the SDP"),
    ],
)
def test_a_sink_s_trouble_has_its_cure(
    counters: dict[str, int], legs: list[dict[str, object]], words: str, cure: str
) -> None:
    row = {"id": 1, "name": "x", "rate": 48000, "delay": 576, "counters": counters, "legs": legs}
    found = stream("sink", row)
    assert words in found.words
    assert cure in found.cure
    assert bool(found.cure) == (found.state != "good")


@pytest.mark.parametrize(
    ("clock", "found"),
    [
        ({"state": "locked"}, [("clock", "good", "")]),
        ({"state": "holdover"}, [("clock", "warning", "is a PTP master")]),
        ({"state": "unlocked", "masters": []}, [("clock", "bad", "clock_mode=gm")]),
        ({"state": "locking", "masters": [{"clock": "00-1D-C1", "domain": 5}]},
         [("clock", "bad", "heard: 00-1D-C1 in domain 5")]),
        ({"state": "locked", "second": {"state": "unlocked", "masters": []}},
         [("clock", "good", ""), ("second clock", "warning", "is a PTP master")]),
    ],
)  # fmt: skip
def test_a_clock_says_which_masters_are_heard(
    clock: dict[str, object], found: list[tuple[str, str, str]]
) -> None:
    said = list(clocks(clock))
    assert [(each.subject, each.state) for each in said] == [each[:2] for each in found]
    for each, (_, _, cure) in zip(said, found, strict=True):
        assert cure in each.cure
        assert bool(each.cure) == (each.state != "good")
