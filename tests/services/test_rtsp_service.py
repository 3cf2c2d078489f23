"""RTSP on real sockets: a node's descriptions fetched, pushed, and clients that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from aes67.control.fetch import fetch
from aes67.errors import WireError
from aes67.services.rtsp import RtspService, follow
from aes67.wire.rtsp import RtspUrl
from sim.http_node import SOURCE, HttpNode, http_node
from sim.netns import namespaces
from sim.waiting import until


@pytest_asyncio.fixture
async def alone(tmp_path: Path) -> AsyncIterator[HttpNode]:
    """A node on the lo of a namespace, with discovery."""
    with namespaces(1) as [where], where.entered():
        async with http_node(tmp_path, custom_node_id="Box", mdns_enabled=False) as node:
            await node.control.discovery.start()
            yield node


@pytest.mark.root
async def test_descriptions_are_fetched_by_name_and_id_and_pushed_when_they_change(
    alone: HttpNode,
) -> None:
    node = alone.control.node
    for number in (0, 1):
        await alone.client.put(f"/api/source/{number}", json=SOURCE | {"name": f"S {number}"})
    assert await fetch("rtsp://127.0.0.1:8854/by-id/1") == node.description(1)
    heard: list[tuple[str, bytes]] = []
    url = RtspUrl("127.0.0.1", 8854, "/by-name/Box S 0")
    task = asyncio.create_task(follow(url, lambda *found: heard.append(found)))
    await until(lambda: len(heard) == 1)
    assert heard[0] == ("", node.description(0).encode())
    await alone.client.put("/api/source/1", json=SOURCE | {"name": "S 1", "ttl": 3})
    await alone.client.put("/api/source/0", json=SOURCE | {"name": "S 2", "ttl": 3})
    await until(lambda: len(heard) == 2)
    assert heard[1] == ("Box S 2", node.description(0).encode())
    await alone.client.post("/api/config", json={"rtsp_port": 8855})
    await asyncio.wait_for(task, 5)  # the server has moved, and says so
    assert await fetch("rtsp://127.0.0.1:8855/by-id/0") == node.description(0)


async def test_a_busy_port_is_said_and_taken_when_it_is_free() -> None:
    first, second = RtspService(lambda path: None), RtspService(lambda path: None)
    await first.configure("127.0.0.1", 0)
    port = first.port
    await second.configure("127.0.0.1", port)
    assert str(port) in second.problem
    await first.close()
    await second.configure("127.0.0.1", port)
    assert (second.problem, second.port) == ("", port)
    await second.close()


async def test_rubbish_is_answered_once_and_200_connections_do_no_harm() -> None:
    service = RtspService(lambda path: (1, "v=0\n"))
    await service.configure("127.0.0.1", 0)
    idle = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(200)]
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(b"\x00\xffrubbish\r\n\r\n")
    assert await asyncio.wait_for(reader.read(), 5) == b"RTSP/1.0 400 Bad Request\r\n\r\n"
    heard: list[bytes] = []
    url = RtspUrl("127.0.0.1", service.port, "/by-id/1")
    task = asyncio.create_task(follow(url, lambda name, text: heard.append(text)))
    await until(lambda: heard == [b"v=0\n"])
    for _, each in [*idle, (reader, writer)]:
        each.close()
    await service.close()
    await asyncio.wait_for(task, 5)


async def test_a_server_without_an_answer_is_given_up() -> None:
    service = RtspService(lambda path: None)
    await service.configure("127.0.0.1", 0)
    with pytest.raises(WireError, match="404"):
        await follow(RtspUrl("127.0.0.1", service.port, "/by-id/1"), lambda name, text: None)
    port = service.port
    await service.close()
    with pytest.raises(OSError, match=r"refused|Connect"):
        await follow(RtspUrl("127.0.0.1", port, "/by-id/1"), lambda name, text: None)
