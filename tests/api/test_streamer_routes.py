"""The streamer's routes without an engine: every answer of the contract, and our own problems."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aes67.control import streaming
from sim.http_node import SINK, SOURCE, HttpNode, http_node

ZERO = {
    "file_duration": 0, "files_num": 0, "player_buffer_files_num": 0, "start_file_id": 0,
    "current_file_id": 0, "channels": 0, "format": "", "rate": 0,
}  # fmt: skip
NO_ROUTE = ["/api/streamer/info/x", "/api/streamer/stream/-1", "/api/streamer/stream/0/x"]


async def with_sink(node: HttpNode) -> HttpNode:
    await node.client.put("/api/v1/sources/0", json=SOURCE)
    sdp = (await node.client.get("/api/source/sdp/0")).text
    await node.client.put("/api/v1/sinks/0", json=SINK | {"sdp": sdp})
    return node


@pytest.fixture
async def off(node: HttpNode) -> HttpNode:
    return await with_sink(node)


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[HttpNode]:
    async with http_node(tmp_path, streamer_enabled=True) as node:
        yield await with_sink(node)


async def status(node: HttpNode, number: str) -> int:
    answer = await node.client.get(f"/api/streamer/info/{number}")
    assert answer.status_code == 200
    found = answer.json()
    assert list(found) == ["status", *ZERO]
    code = int(found.pop("status"))
    assert found == ZERO
    return code


async def refusal(node: HttpNode, path: str) -> str:
    answer = await node.client.get(f"/api/streamer/stream/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain")
    assert answer.headers["access-control-allow-origin"] == "*"
    return answer.text


async def test_off(off: HttpNode) -> None:
    assert [await status(off, each) for each in ("0", "1", "64")] == [4, 4, 4]
    assert await refusal(off, "0") == "streamer not enabled"
    assert await refusal(off, "0/1") == "streamer not enabled"
    answer = await off.client.get("/api/v1/sinks/0/listen.opus")
    assert (answer.status_code, "streamer_enabled" in answer.json()["detail"]) == (409, True)


async def test_on_but_not_running(on: HttpNode) -> None:
    assert [await status(on, each) for each in ("0", "1", "64", "9" * 12)] == [1, 6, 5, 5]
    waits = "0 : (daemon) not running, check PTP lock"
    assert await refusal(on, "000") == f"failed to init streamer {waits}"
    assert await refusal(on, "0/1") == f"failed to fetch stream {waits}"
    gone = "failed to retrieve sink 5 : (daemon) stream not in use"
    assert [await refusal(on, each) for each in ("5", "5/0")] == [gone, gone]
    strange = "failed to retrieve sink 64 : (daemon) invalid stream id"
    assert await refusal(on, "64") == strange
    assert await refusal(on, "99999999999") == "failed to convert id"
    assert await refusal(on, "0/99999999999") == "failed to convert id"


@pytest.mark.parametrize("path", NO_ROUTE)
async def test_paths_that_do_not_exist(on: HttpNode, path: str) -> None:
    answer = await on.client.get(path)
    assert (answer.status_code, answer.content) == (404, b"")


async def test_our_own_says_what_is_wrong(on: HttpNode) -> None:
    for path, code, field in (
        ("5/listen.wav", 404, "id"),
        ("64/listen.wav", 400, "id"),
        ("0/listen.mp3", 400, "format"),
        ("0/listen.wav?channels=x", 400, "channels"),
        ("0/listen.wav?channels=1,,2", 400, "channels"),
        ("0/listen.wav?channels=" + ",".join("0" * 65), 400, "channels"),
        ("0/listen.wav", 409, ""),
    ):
        answer = await on.client.get(f"/api/v1/sinks/{path}")
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, answer.json()["field"]) == (code, field), path


async def test_without_pyav(on: HttpNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "find_spec", lambda name: None)
    assert (await on.client.get("/api/streamer/info/0")).status_code == 404
    assert await refusal(on, "0") == "streamer support not compiled-in"
    await on.client.patch("/api/v1/config", json={"streamer_files_num": 5})
    warnings = (await on.client.get("/api/v1/status")).json()["engine"]["warnings"]
    assert any("aes67[streamer]" in each for each in warnings)


async def test_the_worker_comes_and_goes_with_the_setting(off: HttpNode) -> None:
    from sim.waiting import until

    streamer = off.control.streaming
    assert streamer.process_id is None
    await off.client.post("/api/config", json={"streamer_enabled": True})
    await until(lambda: streamer.process_id is not None)
    assert await status(off, "0") == 1
    await off.client.post("/api/config", json={"streamer_enabled": False})
    await until(lambda: streamer.process_id is None)
    assert await status(off, "0") == 4
