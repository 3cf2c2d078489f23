"""Control beside an engine that is there and stands still (SIGSTOP): who waits, and who not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

import sim
from sim.http_node import SOURCE, HttpNode, http_node
from sim.waiting import until

LONG_SECONDS = 60.0
"""The stand-in has to be imported; nothing is compiled."""
ENGINE = """
import asyncio, sys
from sim.engine_sockets import build

async def main():
    house = await build(sys.argv[1])
    await asyncio.Event().wait()

asyncio.run(main())
"""


class StoppedEngine:
    """A stand-in engine in a process of its own, which can be stopped and continued."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self.process.pid}/stat")
        await until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", LONG_SECONDS)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[HttpNode]:
    async with http_node(tmp_path) as made:
        yield made


@pytest.fixture
async def engine(tmp_path: Path, node: HttpNode) -> AsyncIterator[StoppedEngine]:
    """Connected, and with the state in force."""
    patient(node, LONG_SECONDS)
    tests = str(Path(next(iter(sim.__path__))).parent)
    environment = {**os.environ, "PYTHONPATH": tests, "NUMBA_DISABLE_JIT": "1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ENGINE, str(tmp_path)), env=environment
    )
    try:
        await until(lambda: node.control.link.connected, LONG_SECONDS)
        assert (await put(node, 0)) == 200
        yield StoppedEngine(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def patient(node: HttpNode, seconds: float) -> None:
    """How long the node waits for the engine's answers from now on."""
    link = node.control.link
    link.apply = partial(type(link).apply, link, within_seconds=seconds)  # type: ignore[method-assign]


async def put(node: HttpNode, number: int) -> int:
    body = SOURCE | {"name": f"S{number}"}
    return (await node.client.put(f"/api/source/{number}", json=body)).status_code


async def test_a_stopped_engine_delays_only_what_needs_it(
    node: HttpNode, engine: StoppedEngine
) -> None:
    await engine.stop()
    changes = [asyncio.create_task(put(node, number)) for number in (1, 2)]
    for path in ("/api/sources", "/api/v1/status", "/api/ptp/status", "/api/source/sdp/0"):
        assert (await node.client.get(path)).status_code == 200
    sources = (await node.client.get("/api/sources")).json()["sources"]
    assert [each["id"] for each in sources] == [0], "what the engine has not taken is not in force"
    await node.control.node.change_controls({"playback_volume": 3})
    assert node.status_file["controls"] == {"playback_volume": 3}
    assert not any(change.done() for change in changes)
    engine.go_on()
    assert await asyncio.gather(*changes) == [200, 200], "each in its turn"
    assert [each["id"] for each in node.status_file["sources"]] == [0, 1, 2]

    await engine.stop()
    patient(node, 0.2)
    refused = await asyncio.gather(put(node, 3), put(node, 4))
    assert refused == [500, 500], "both, when the engine is found silent"
    assert list(node.control.node.sources) == [0, 1, 2]
    patient(node, LONG_SECONDS)
    engine.go_on()
    await until(lambda: node.control.node.in_force.refusal is None, LONG_SECONDS)
    assert await asyncio.gather(put(node, 3), put(node, 4)) == [200, 200]
