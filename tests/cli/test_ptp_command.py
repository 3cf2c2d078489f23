"""`aes67 ptp` over the real interface: the same snapshot as the API, live, and after an outage."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aes67.cli.clock_text import clock_line, duration, screen, sparkline
from aes67.clock.timebase import NS
from aes67.ptp.history import History
from aes67.ptp.snapshot import render
from aes67_api.listener import Listener
from sim.http_node import HttpNode, http_node
from sim.world import Master, Oscillator, World

NAME = "00-1D-C1-FF-FE-00-00-01"


def told(seconds: int = 20) -> list[dict[str, Any]]:
    """A clock that follows one master; there is a worse one, and one in domain 4."""
    world = World()
    law = Oscillator(ppm=30, start_ns=1_700_000_000 * NS)
    Master(world, law=law).start()
    Master(world, clock=b"\xdd" * 8, priority1=200, law=law).start()
    Master(world, clock=b"\xec" * 8, domain=4).start()
    clock = world.slave()
    found = []
    for second in range(1, seconds + 1):
        world.run(second)
        found.append(render(clock, world.local.at(world.now)))
    return found


def test_the_screen_says_everything() -> None:
    snapshots = told()
    history = History()
    for second, snapshot in enumerate(snapshots):
        history.add(snapshot, second * NS)
    spans = [history.read(span, 20 * NS) for span in ("1min", "1h", "24h")]
    text = screen(snapshots[-1], spans, history.changes(20 * NS))
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert rows["clock"] == ["clock", "locked"]
    assert rows["grandmaster"] == ["grandmaster", NAME]
    assert rows["rate"] == ["rate", f"{snapshots[-1]['rate_ppm']:.3f}", "ppm"]
    assert float(rows["Sync"][2]) == pytest.approx(16, abs=1), "both masters of the domain"
    assert rows[NAME][1] == "followed"
    assert " ".join(rows["DD-DD-DD-DD-DD-DD-DD-DD"][1:4]) == "not the best"
    assert " ".join(rows["EC-EC-EC-EC-EC-EC-EC-EC"][1:3]) == "other domain"
    for span in ("1min", "1h", "24h"):
        assert rows[span][1] == "unlocked", "the worst state of the span"
    assert "from the master" in text
    changed = [line for line in text.splitlines() if " ago  locked " in line]
    assert NAME in changed[0]
    assert "locked 1" in rows["time"][0] + text


def test_a_clock_without_an_engine_has_little_to_say() -> None:
    nothing = {"state": "unlocked", "reason": "the engine is not running"}
    text = screen(nothing, [History().read("1min", NS)], [])
    assert "the engine is not running" in text
    assert "master" not in text.replace("grandmaster", "").replace("from the master", "")
    assert clock_line(nothing).endswith("the engine is not running")


def test_ports_neighbours_and_references_are_named() -> None:
    clock = {
        "state": "locked", "reason": "", "ports": [
            {"interface": "eth0", "profile": "gptp", "port_state": "slave", "rung": "kernel"},
            {"interface": "eth1", "profile": "aes67", "port_state": "faulty", "rung": None,
             "trouble": "interface eth1 is gone"},
        ],
        "peer": {"neighbor": None, "as_capable": False, "objection": "nobody answers",
                 "link_delay_ns": None},
        "reference": {"clock": "/dev/ptp0", "method": "extended", "remark": ""},
    }  # fmt: skip
    text = screen(clock, [], [])
    for line in (
        "eth0, gptp, slave, kernel", "eth1, aes67, faulty, interface eth1 is gone",
        "none, unknown away, nobody answers", "/dev/ptp0, extended",
    ):  # fmt: skip
        assert line in text


def test_durations_and_bars() -> None:
    assert [duration(value) for value in (0.25, 59.6, 3_725, 90_061)] == [
        "0.2 s", "1 min", "1 h 2 min", "1 d 1 h",
    ]  # fmt: skip
    assert sparkline([None, None]) == ""


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpNode]:
    """A control process that was told of a clock, as if its engine were there."""
    async with http_node(tmp_path) as made:
        made.control.told.ptp = told()[-1]
        monkeypatch.setattr(type(made.control.link), "connected", True)
        yield made


def command(port: int, *words: str) -> list[str]:
    return [sys.executable, "-m", "aes67.cli.main", "--url", f"http://127.0.0.1:{port}", *words]


async def test_json_is_the_snapshot_of_the_interface(node: HttpNode) -> None:
    listener = Listener(node.app, "127.0.0.1")
    await listener.open(0)
    try:
        process = await asyncio.create_subprocess_exec(
            *command(listener.port, "--json", "ptp"), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    finally:
        await listener.close()
    ours, theirs = json.loads(output), (await node.client.get("/api/v1/clock")).json()
    ours.pop("age_seconds"), theirs.pop("age_seconds")
    assert ours == theirs
    assert {key: ours[key] for key in told()[-1]} == json.loads(json.dumps(told()[-1]))


async def test_a_watch_outlives_the_service(node: HttpNode) -> None:
    listener = Listener(node.app, "127.0.0.1")
    await listener.open(0)
    port = listener.port
    process = await asyncio.create_subprocess_exec(
        *command(port, "ptp", "--watch", "--interval", "0.05"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            assert (await process.stdout.readline()).startswith(b"locked")
            await listener.close()
            assert b"trying again" in await process.stderr.readline()
            listener = Listener(node.app, "127.0.0.1")
            await listener.open(port)
            while await process.stderr.read(1 << 16):
                if b"locked" in await process.stdout.readline():
                    break
    finally:
        process.kill()
        await process.wait()
        await listener.close()


async def test_on_a_terminal_it_is_a_screen_that_is_drawn_again(node: HttpNode) -> None:
    listener = Listener(node.app, "127.0.0.1")
    await listener.open(0)
    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"}
    process = await asyncio.create_subprocess_exec(
        *command(listener.port, "ptp", "--watch", "--interval", "0.05", "--count", "2"),
        stdout=theirs, env=environment,
    )  # fmt: skip
    os.close(theirs)
    output = bytearray()
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def readable() -> None:
        try:
            data = os.read(ours, 1 << 16)
        except OSError:  # EIO: the other end is closed
            data = b""
        output.extend(data)
        if not data:
            loop.remove_reader(ours)
            done.set_result(None)

    loop.add_reader(ours, readable)
    async with asyncio.timeout(30):
        await process.wait()
        await done
    os.close(ours)
    await listener.close()
    assert output.count(b"\x1b[H\x1b[J") == 2
    assert NAME.encode() in output
    assert b"Delay_Resp" in output
