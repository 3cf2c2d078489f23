"""The websocket: a snapshot, then what changes; slow clients, foreign pages, many at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from aes67.control.watch import PARTS_MAX, Watch, differing, parts
from aes67_api.v1 import events
from sim.http_node import SINK, SOURCE, HttpNode, served
from sim.waiting import until


@pytest.fixture
async def url(node: HttpNode) -> AsyncIterator[str]:
    async with served(node) as base:
        yield base.replace("http:", "ws:") + "/api/v1/events"


async def received(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message of a kind."""
    async with asyncio.timeout(10):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message["type"] == kind:
                return message


async def test_first_a_snapshot_then_what_changes(node: HttpNode, url: str) -> None:
    async with connect(url) as socket:
        first = json.loads(await socket.recv())
        assert (first["type"], first["serial"]) == ("snapshot", 1)
        status = (await node.client.get("/api/v1/status")).json()
        assert set(status) <= set(first["status"])
        assert first["status"]["sources"] == []
        assert first["config"]["clock_mode"] == "free"
        assert first["remote_sources"] == []
        await node.client.put("/api/v1/sources/3", json=SOURCE)
        told = await received(socket, "source")
        view = (await node.client.get("/api/v1/sources/3")).json()
        view.pop("counters")
        assert (told["id"], told["value"]) == (3, view)
        await node.client.delete("/api/v1/sources/3")
        gone = await received(socket, "source")
        assert (gone["id"], gone["value"]) == (3, None)
        assert gone["serial"] > told["serial"]


async def test_configuration_sinks_and_counters_are_told(node: HttpNode, url: str) -> None:
    await node.client.put("/api/v1/sources/0", json=SOURCE)
    sdp = (await node.client.get("/api/source/sdp/0")).text
    async with connect(url) as socket:
        await received(socket, "snapshot")
        await node.client.put("/api/v1/sinks/1", json=SINK | {"sdp": sdp})
        assert (await received(socket, "sink"))["value"]["session"]
        await node.client.patch("/api/v1/config", json={"ptp_priority2": 7})
        assert (await received(socket, "config"))["value"]["ptp_priority2"] == 7


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null", "http://127.0.0.1:1"])
async def test_a_foreign_page_cannot_watch(url: str, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(url, additional_headers={"Origin": origin}):
            pass
    assert refusal.value.response.status_code == 403


async def test_nor_one_that_has_a_foreign_name_lead_here(url: str) -> None:
    port = int(url.split(":")[2].split("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET /api/v1/events HTTP/1.1\r\nHost: elsewhere.example\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert (await reader.readline()).split()[1] == b"403"
    writer.close()
    await writer.wait_closed()


async def test_our_own_page_can(url: str) -> None:
    origin = url.replace("ws:", "http:").removesuffix("/api/v1/events")
    async with connect(url, origin=websockets.Origin(origin)) as socket:
        await received(socket, "snapshot")


async def test_what_a_client_says_is_not_looked_at_and_never_long(url: str) -> None:
    async with connect(url) as socket:
        await socket.send("[" * 1000)
        await socket.send(b"\x00\xff")
        await received(socket, "snapshot")
        await socket.send("x" * 100_000)
        await socket.wait_closed()
        assert socket.close_code == 1009


async def test_watchers_leave_nothing_behind(node: HttpNode, url: str) -> None:
    watch: Watch = node.app._app.state.watch  # type: ignore[attr-defined]
    for _ in range(5):
        async with connect(url) as socket:
            await received(socket, "snapshot")
    await until(lambda: not len(watch))
    assert watch._task is None


async def test_there_is_a_limit(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "WATCHERS_MAX", 1)
    async with connect(url) as socket:
        await received(socket, "snapshot")
        with pytest.raises(InvalidStatus):
            async with connect(url):
                pass


def status_with(sources: int, packets: int) -> dict[str, Any]:
    views = [{"id": n, "name": f"S{n}", "counters": {"packets": packets}} for n in range(sources)]
    engine = {"connected": True, "counters": {"ticks": packets}}
    return {"engine": engine, "clock": {"page": packets}, "sources": views, "sinks": []}


async def test_counters_are_a_part_of_their_own() -> None:
    before, after = (parts(status_with(2, packets), []) for packets in (1, 2))
    assert differing(before, after) == {("counters", -1)}
    assert after["counters", -1]["sources"] == {"0": {"packets": 2}, "1": {"packets": 2}}


async def test_who_is_slow_gets_the_newest_and_who_missed_much_a_snapshot() -> None:
    now = [0, 0]
    watch = Watch(lambda: status_with(*now), lambda: [], lambda: {})
    watcher = watch.begin()
    try:
        assert [each["type"] for each in await watcher.next()] == ["snapshot"]
        for packets in range(1, 50):
            now[1] = packets
            watch.look()
        (message,) = await watcher.next()
        assert message["value"]["engine"] == {"ticks": 49}
        for number in range(PARTS_MAX + 1):
            now[0] = number + 1
            watch.look()
        (message,) = await watcher.next()
        assert (message["type"], message["serial"]) == ("snapshot", 3)
        assert len(message["status"]["sources"]) == PARTS_MAX + 1
    finally:
        watch.end(watcher)
