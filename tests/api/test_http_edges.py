"""HTTP around the routes: HEAD, OPTIONS, unknown paths, foreign writers, endless bodies, pages."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect

from aes67_api import connection
from aes67_api.guard import MAX_BODY_BYTES, own_names
from aes67_api.listener import Listener
from aes67_api.pages import file_in, web_directory
from sim.http_node import SOURCE, HttpNode, http_node, served


async def test_head_works_wherever_get_does(node: HttpNode) -> None:
    for path in ("/api/version", "/api/config", "/", "/Config", "/api/v1/status", "/docs"):
        get, head = await node.client.get(path), await node.client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(get.content)), path
    assert (await node.client.head("/api/nothing")).status_code == 404


async def test_options_answers_preflights_under_api_only(node: HttpNode) -> None:
    for path in ("/api/config", "/api/anything/at/all"):
        answer = await node.client.options(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["access-control-allow-methods"] == "GET, POST, PUT, DELETE, OPTIONS"
    assert (await node.client.options("/")).status_code == 404


async def test_unknown_paths_and_methods(node: HttpNode) -> None:
    for method in ("POST", "PUT", "PATCH"):
        answer = await node.client.request(method, "/api/nothing")
        assert (answer.status_code, answer.content) == (400, b"")
        answer = await node.client.request(method, "/api/nothing", content="x")
        assert (answer.status_code, answer.content) == (404, b"")
    assert (await node.client.request("BREW", "/api/config")).status_code == 400
    assert (await node.client.delete("/api/version")).status_code == 404


FOREIGN = [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:99"},
    {"Origin": "garbage"}, {"Host": "evil.example"}, {"Host": "evil.example:8080"},
    {"Host": "localhost", "Origin": "https://localhost"}, {"Host": "a@localhost"},
    {"Host": "local\u0068ost.evil.example"},
]  # fmt: skip


@pytest.mark.parametrize("headers", FOREIGN)
async def test_foreign_writers_get_403(node: HttpNode, headers: dict[str, str]) -> None:
    for method, path in (
        ("POST", "/api/config"), ("PUT", "/api/source/0"), ("DELETE", "/api/sink/0"),
        ("PUT", "/api/v1/sources/0"), ("PATCH", "/api/v1/config"),
    ):  # fmt: skip
        answer = await node.client.request(method, path, headers=headers, json={})
        assert answer.status_code == 403, path
        assert "refused" in answer.text
    assert (await node.client.get("/api/config", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"Origin": "http://localhost"}, {"Host": "10.1.2.3:8080"}, {"Host": "[::1]:8080"},
        {"Host": "10.1.2.3:8080", "Origin": "http://10.1.2.3:8080"}, {"Host": "LOCALHOST"},
        {"Host": socket.gethostname()}, {"Host": f"{socket.gethostname().split('.')[0]}.local"},
        {"Host": "studio.example.org", "Origin": "http://studio.example.org"},
        {"Host": "localhost", "Origin": "http://studio.example.org:3000"},
    ],
)  # fmt: skip
async def test_our_own_pages_and_names_may_write(tmp_path: Path, headers: dict[str, str]) -> None:
    async with http_node(tmp_path, http_allowed_hosts="studio.example.org, other") as node:
        answer = await node.client.put("/api/source/0", json=SOURCE, headers=headers)
        assert answer.status_code == 200, answer.text


def test_names_of_this_machine() -> None:
    found = own_names("Studio.corp.example", "nameserver 1.2.3.4\nsearch radio.example lan.\n")
    assert {"studio", "studio.local", "studio.corp.example", "studio.radio.example"} <= found
    assert "studio.evil.example" not in found


async def test_a_body_beyond_measure_is_refused(node: HttpNode) -> None:
    answer = await node.client.put("/api/source/0", content=b" " * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413
    large = b" " * 900_000 + b"{}"
    answer = await node.client.post("/api/config", content=large)
    assert answer.status_code == 200


async def test_idle_connections_delay_nobody(node: HttpNode) -> None:
    async with served(node) as url:
        port = int(url.rpartition(":")[2])
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        async with httpx.AsyncClient() as client:
            async with asyncio.timeout(2):
                answer = await client.get(f"{url}/api/version")
        for _, writer in idle:
            writer.close()
        assert answer.status_code == 200


async def test_who_asks_nothing_whole_is_let_go(
    node: HttpNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand of them would be all the connections there may be; who is answered, or watches,
    stays."""
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 0.3)
    answering = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/slow":
            await answering.wait()
            scope = dict(scope, path="/api/version")
        await node.app(scope, receive, send)

    listener = Listener(application, "127.0.0.1")
    await listener.open(0)
    base = f"127.0.0.1:{listener.port}"
    async with httpx.AsyncClient() as client, connect(f"ws://{base}/api/v1/events") as watching:
        slow = asyncio.create_task(client.get(f"http://{base}/slow", timeout=60))
        for sent in (b"", b"GET /api/ver", b"GET /api/version HTTP/1.1\r\nHost: x\r\nContent-"
                     b"Length: 9\r\n\r\n", b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\nGET"):
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(sent)
            async with asyncio.timeout(60):
                await reader.read()  # to its end
            writer.close()
        answering.set()
        assert (await slow).status_code == 200
        await (await watching.ping())
    await listener.close()


async def test_answers_do_not_wait_for_acknowledgements(node: HttpNode) -> None:
    """Header and body are two writes: with Nagle's algorithm the second waits 40 ms."""
    async with served(node) as url, httpx.AsyncClient() as client:
        await client.get(f"{url}/api/version")
        spent = []
        for _ in range(20):
            before = time.perf_counter()
            await client.get(f"{url}/api/version")
            spent.append(time.perf_counter() - before)
    assert min(spent) < 0.03


@pytest.mark.parametrize("text", [b"\0\xff\n\n", b"GET\r\n\r\n", b"x" * 100_000])
async def test_what_is_no_http_is_answered_or_dropped(node: HttpNode, text: bytes) -> None:
    async with served(node) as url:
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(text)
        async with asyncio.timeout(8):
            try:
                answer = await reader.read()
            except ConnectionError:
                answer = b""
        writer.close()
        assert answer == b"" or b" 400 " in answer
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{url}/api/version")).status_code == 200


async def test_deep_links_serve_the_index(node: HttpNode) -> None:
    for path in ("/", "/Config", "/PTP", "/Sources", "/Sinks", "/Browser"):
        answer = await node.client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert "access-control-allow-origin" not in answer.headers


async def test_the_users_pages_are_served_and_nothing_beside_them(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    (pages / "assets").mkdir(parents=True)
    (pages / "index.html").write_text("theirs")
    (pages / "assets" / "x.js").write_text("1")
    (pages / ".secret").write_text("no")
    (pages / "way-out").symlink_to("/etc/passwd")
    (tmp_path / "beside").write_text("no")
    async with http_node(tmp_path, http_base_dir=str(pages)) as node:
        assert (await node.client.get("/Sinks")).text == "theirs"
        answer = await node.client.get("/assets/x.js")
        assert answer.text == "1"
        assert "javascript" in answer.headers["content-type"]
        for path in ("/../beside", "/%2e%2e/beside", "/way-out", "/.secret", "/assets", "/a%00b",
                     "//etc/passwd", "/assets/../../beside"):  # fmt: skip
            assert (await node.client.get(path)).status_code == 404, path


def test_a_directory_without_an_index_serves_nothing(tmp_path: Path) -> None:
    assert web_directory("/") != Path("/")
    assert web_directory(str(tmp_path)) != tmp_path
    assert file_in(tmp_path, "../x") is None


async def test_docs_work_without_any_network(node: HttpNode) -> None:
    page = (await node.client.get("/docs")).text
    assert not re.findall(r"""(?:src|href|url)\s*[=:]\s*["'](?:https?:)?//[^"']*""", page)
    for url in re.findall(r"""(?:src|href)=["']([^"']+)["']""", page):
        answer = await node.client.get(url)
        assert answer.status_code == 200, url
        assert len(answer.content) > 500
    style = (await node.client.get("/docs/swagger-ui.css")).text
    assert "@import" not in style
    assert not re.findall(r"url\(\s*[\"']?https?://", style)
    assert (await node.client.get("/docs/../main.py")).status_code == 404
