"""The status script as a real child: what it gets, in which order, and how it ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aes67.control import script
from aes67.control.script import BACKLOG, StatusScript
from sim.http_node import http_node
from sim.waiting import until


def write_script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


async def test_the_script_gets_the_state_and_little_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    facts = "$# $1 $(ls /proc/$$/fd | wc -l) $(ulimit -c) $(cat)"
    body = f'echo "{facts}" > {out}.new; mv {out}.new {out}'
    runner = StatusScript()
    runner.run(write_script(tmp_path / "s.sh", body), "locked")
    await until(out.exists)
    await runner.close()
    count, state, descriptors, core = out.read_text().split()
    assert (count, state, core) == ("1", "locked", "0")
    assert int(descriptors) <= 5


async def test_a_script_that_cannot_be_run_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no script")
    runner = StatusScript()
    for path in (str(tmp_path / "none"), str(plain), str(tmp_path)):
        caplog.clear()
        runner.run(path, "locked")
        await until(lambda: "cannot be run" in caplog.text)
    runner.run("", "locked")
    await runner.close()


async def test_a_script_that_hangs_ends_with_us(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    runner = StatusScript()
    runner.run(write_script(tmp_path / "s.sh", f"echo $$ > {pid}; sleep 600"), "locked")
    await until(lambda: pid.exists() and pid.read_text().endswith("\n"))
    await runner.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_every_change_is_told_in_order_and_never_two_at_once(tmp_path: Path) -> None:
    out, busy = tmp_path / "out", tmp_path / "busy"
    body = f"mkdir {busy} || echo two at once >> {out}; echo $1 >> {out}; rmdir {busy}"
    path = write_script(tmp_path / "s.sh", body)
    runner = StatusScript()
    told = ["unlocked", "locking", "locked", "unlocked", "locking", "locked"]
    for state in told:
        runner.run(path, state)
    await until(lambda: out.exists() and len(out.read_text().splitlines()) >= len(told))
    await runner.close()
    assert out.read_text().splitlines() == told


async def test_a_script_that_is_too_slow_misses_old_changes_but_never_the_newest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, go = tmp_path / "out", tmp_path / "go"
    body = f"echo $1 >> {out}; while [ ! -e {go} ]; do sleep 0.01; done"
    path = write_script(tmp_path / "s.sh", body)
    runner = StatusScript()
    runner.run(path, "first")
    await until(out.exists)
    for number in range(BACKLOG + 5):
        runner.run(path, f"state{number}")
    assert caplog.text.count("is too slow: left out for state") == 5
    go.touch()
    last = f"state{BACKLOG + 4}"
    await until(lambda: out.read_text().endswith(f"{last}\n"))
    await runner.close()
    assert out.read_text().split() == ["first", *(f"state{n}" for n in range(5, BACKLOG + 5))]


async def test_a_script_that_fails_or_takes_too_long_does_not_hold_the_next_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "TIMEOUT_S", 0.3)
    out = tmp_path / "out"
    body = f"echo $1 >> {out}; case $1 in unlocked) exec sleep 600;; locking) exit 3;; esac"
    path = write_script(tmp_path / "s.sh", body)
    runner = StatusScript()
    for state in ("unlocked", "locking", "locked"):
        runner.run(path, state)
    await until(lambda: out.exists() and out.read_text().endswith("\nlocked\n"))
    await runner.close()
    assert out.read_text().split() == ["unlocked", "locking", "locked"]
    assert "did not end within 0.3 s" in caplog.text
    assert "ended with code 3" in caplog.text


async def test_no_script_means_that_nothing_waits_any_more(tmp_path: Path) -> None:
    out, go = tmp_path / "out", tmp_path / "go"
    body = f"echo $1 >> {out}; while [ ! -e {go} ]; do sleep 0.01; done"
    path = write_script(tmp_path / "s.sh", body)
    runner = StatusScript()
    runner.run(path, "unlocked")
    await until(out.exists)
    runner.run(path, "locking")
    runner.run("", "locked")
    go.touch()
    runner.run(path, "unlocked")
    await until(lambda: len(out.read_text().split()) > 1)
    await runner.close()
    assert out.read_text().split() == ["unlocked", "unlocked"]


def snapshot(state: str, gmid: str) -> dict[str, object]:
    return {"state": state, "gmid": gmid, "reason": "as this test says"}


async def test_the_daemon_runs_it_on_each_change_of_state_or_grandmaster(tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = write_script(tmp_path / "s.sh", f"echo $1 >> {out}")
    first, second = "00-1D-C1-FF-FE-00-00-01", "00-1D-C1-FF-FE-00-00-02"
    async with http_node(tmp_path, ptp_status_script=path) as node:
        told = node.control.link._callbacks.ptp
        for state, gmid in [
            ("unlocked", ""), ("unlocked", ""), ("locking", first), ("locked", first),
            ("locked", first), ("locked", second), ("unlocked", ""),
        ]:  # fmt: skip
            told(snapshot(state, gmid))
        expected = ["unlocked", "locking", "locked", "locked", "unlocked"]
        await until(lambda: out.exists() and len(out.read_text().split()) >= len(expected))
        assert out.read_text().split() == expected
