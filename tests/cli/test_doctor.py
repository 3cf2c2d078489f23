"""The doctor's judgement on single findings, where the machine cannot be made ill."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aes67.cli import idle
from aes67.cli import main as cli
from aes67.cli.doctor import (
    again,
    clocks,
    governor,
    idle_processors,
    interface,
    real_time,
    stream,
)
from aes67.cli.finding import Finding
from aes67.cli.idle import NO_LIMIT_US
from aes67.client import Client


def test_without_a_daemon_it_still_looks_at_the_machine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cli.main(["--url", "http://127.0.0.1:9", "doctor"])
    said = capsys.readouterr()
    assert said.err == ""
    for subject in (
        "ALSA device", "real-time", "locked memory", "PTP ports", "idle processors", "daemon",
    ):
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


def machine(
    root: Path,
    *,
    limit: int | None = None,
    driver: str = "intel_idle",
    states: tuple[tuple[str, int, int], ...] = (("POLL", 0, 0), ("C1", 2, 0), ("C6", 133, 0)),
    flags: str = "fpu sse",
    vendor: str = "",
) -> Path:
    """A kernel's files: `states` are name, latency in us, disabled; no `limit`: unreadable."""
    files = {
        "sys/devices/system/cpu/cpuidle/current_driver": driver,
        "proc/cpuinfo": f"processor\t: 0\nflags\t\t: {flags}\nprocessor\t: 1\n",
        "sys/class/dmi/id/sys_vendor": vendor,
    }
    for number, facts in enumerate(states):
        for name, value in zip(("name", "latency", "disable"), facts, strict=True):
            files[f"sys/devices/system/cpu/cpu0/cpuidle/state{number}/{name}"] = str(value)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    (root / "dev").mkdir()
    if limit is not None:
        (root / "dev/cpu_dma_latency").write_bytes(limit.to_bytes(4, sys.byteorder, signed=True))
    return root


@pytest.mark.parametrize(
    ("facts", "late_ms", "state", "words", "cure"),
    [
        ({"limit": NO_LIMIT_US}, 9, "good", "take up to 133 us to wake up from C6", "us=0"),
        ({"limit": None}, 0, "good", "only root sees", "if the self-test"),
        ({"limit": 0}, 9, "good", "poll instead of sleeping", ""),
        ({"limit": 20}, 9, "good", "sleep no deeper than takes 20 us", ""),
        ({"limit": NO_LIMIT_US, "states": (("C1", 2, 0), ("C6", 133, 1))}, 9, "good",
         "take up to 2 us to wake up from C1", ""),
        ({"limit": NO_LIMIT_US, "flags": "fpu hypervisor"}, 0, "good", "virtual machine",
         "if the self-test or xruns show stalls: aes67 config cpu_latency_us=0"),
        ({"limit": NO_LIMIT_US, "flags": "hypervisor"}, 9, "warning", "ran up to 9.0 ms late",
         "aes67 config cpu_latency_us=0 has them poll"),
        ({"limit": 0, "flags": "hypervisor"}, 9, "good", "poll instead of sleeping", ""),
        ({"limit": NO_LIMIT_US, "vendor": "QEMU", "states": ()}, 0, "good", "virtual", "us=0"),
        ({"limit": 0, "driver": "none", "states": (), "flags": "hypervisor"}, 9, "warning",
         "cpu_latency_us is of no effect", "idle=poll on its command line"),
        ({"limit": 0, "driver": "none", "states": ()}, 0, "good", "halt; without", ""),
    ],
)  # fmt: skip
def test_idle_processors(
    tmp_path: Path, facts: dict[str, Any], late_ms: int, state: str, words: str, cure: str
) -> None:
    found = idle.judged(idle.read(machine(tmp_path, **facts)), late_ms * 1_000_000)
    assert found.state == state
    assert words in found.words
    assert cure in found.cure
    assert bool(found.cure) == bool(cure)


@pytest.mark.parametrize(
    ("limit", "asked", "warnings", "connected", "state"),
    [
        (None, None, [], True, "warning"), (None, 0, [], True, "good"),
        (None, 50, [], True, "good"),
        (None, 0, ["cpu_latency_us = 0 is not in force: x"], True, "warning"),
        (None, 0, [], False, "warning"), (0, None, [], True, "good"),
        (NO_LIMIT_US, 0, [], True, "warning"),
    ],
)  # fmt: skip
def test_who_may_not_look_asks_the_daemon_what_holds(
    monkeypatch: pytest.MonkeyPatch, limit: int | None, asked: int | None, warnings: list[str],
    connected: bool, state: str,
) -> None:  # fmt: skip
    class Daemon(Client):
        def get(self, path: str) -> Any:
            return {"cpu_latency_us": asked}

    seen = idle.Idle(virtual=True, driver="haltpoll", limit_us=limit)
    monkeypatch.setattr(idle, "read", lambda: seen)
    engine = {"connected": connected, "warnings": warnings, "counters": {"late_max_ns": 9_000_000}}
    assert idle_processors(Daemon("http://x"), {"engine": engine}).state == state
    quiet = idle_processors(Daemon("http://x"), Finding("daemon", "warning", "not running"))
    assert quiet.state == "good"


def test_a_machine_that_tells_nothing_of_its_processors_is_none_of_our_business(
    tmp_path: Path,
) -> None:
    found = idle.judged(idle.read(tmp_path), 0)
    assert (found.state, found.cure) == ("good", "")


@pytest.mark.root
def test_looking_at_idle_processors_asks_nothing_of_them() -> None:
    """Of the real file, whatever others hold meanwhile: the tests themselves do."""

    def held() -> int:
        links = [each for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
        return [os.readlink(each) for each in links].count("/dev/cpu_dma_latency")

    if not os.access("/dev/cpu_dma_latency", os.R_OK):
        pytest.skip("no /dev/cpu_dma_latency here")
    before = held()
    limit_us = idle.read().limit_us
    assert held() == before
    assert limit_us is not None
    assert 0 <= limit_us <= NO_LIMIT_US
