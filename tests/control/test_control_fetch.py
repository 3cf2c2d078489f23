"""Fetching a description: bounded in every direction, from real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from aes67.control.fetch import CONCURRENT, MAX_BYTES, Fetches, fetch
from aes67.errors import Refused
from aes67.services.destinations import is_allowed, is_neighbour

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(
    answer: bytes | Handler, requests: list[bytes] | None = None
) -> AsyncIterator[str]:
    """A server on a free port that gives `answer` to whatever is asked, and notes what that was."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            if requests is not None:
                requests.append(request)
            if callable(answer):
                await answer(reader, writer)
            else:
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    tasks: set[asyncio.Task[None]] = set()
    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/sdp\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 5\r\n\r\nv=0\r\n and more",
        OK + b"\r\nv=0\r\n",
        b"HTTP/1.0 200 fine\r\n\r\nv=0\r\n",
    ],
)
async def test_a_description_is_fetched(answer: bytes) -> None:
    async with server(answer) as url:
        assert await fetch(f"{url}/some%20where?x=1") == "v=0\r\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 404 no\r\n\r\n", "the server answers 404"),
        (b"HTTP/1.1 302 elsewhere\r\nLocation: http://x/\r\n\r\n", "the server answers 302"),
        (b"hello\r\n\r\n", "the answer is no HTTP"),
        (b"", "the answer is no HTTP"),
        (b"x" * (MAX_BYTES * 2), "the answer is no HTTP"),
        (OK + b"Content-Length: 99\r\n\r\nv=0", "shorter"),
        (OK + b"Content-Length: 99999999\r\n\r\n", f"larger than {MAX_BYTES} bytes"),
        (OK + b"\r\n" + b"x" * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "transfer encoding"),
    ],
)
async def test_other_answers_are_refused_with_the_reason(answer: bytes, reason: str) -> None:
    async with server(answer) as url:
        with pytest.raises(Refused, match=reason) as caught:
            await fetch(url)
    assert caught.value.rule.startswith("cannot retrieve SDP: ")


async def test_a_description_is_fetched_over_rtsp() -> None:
    seen: list[bytes] = []
    answer = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    async with server(answer, seen) as url:
        rtsp = url.replace("http", "rtsp")
        assert await fetch(f"{rtsp}/by-name/Node%201 A") == "v=0\r\n"
        with pytest.raises(Refused, match="no HTTP"):
            await fetch(url)
    head = seen[0].decode().splitlines()
    assert head[0] == f"DESCRIBE {rtsp}/by-name/Node%201%20A RTSP/1.0"
    assert "CSeq: 1" in head
    assert "Accept: application/sdp" in head
    async with server(b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n") as url:
        with pytest.raises(Refused, match="the server answers 404"):
            await fetch(url.replace("http", "RTSP"))


async def test_a_server_that_drips_is_given_up_in_time() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"\r\n")
        while True:
            writer.write(b"v")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with server(drip) as url:
        with pytest.raises(Refused, match=r"no answer within 0\.1 s"):
            await fetch(url, timeout_s=0.1)


@pytest.mark.parametrize(
    "host",
    ["239.1.2.3", "0.0.0.0", "255.255.255.255", "169.254.169.254", "[ff02::1]", "[::]", "240.0.0.1",
     "[::ffff:169.254.169.254]", "[::ffff:224.0.0.1]"],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["http", "rtsp"])
async def test_destinations_that_no_source_has(scheme: str, host: str) -> None:
    with pytest.raises(Refused, match="cannot retrieve SDP: nothing is fetched from"):
        await fetch(f"{scheme}://{host}/x")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "169.254.3.4", "8.8.8.8",
                                     "fe80::1%2", "2001:db8::1"])  # fmt: skip
def test_destinations_of_sources(address: str) -> None:
    assert is_allowed(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.3.4", "8.8.8.8"])
def test_destinations_a_neighbour_may_name(address: str) -> None:
    assert is_neighbour(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "239.1.1.1", "169.254.169.254",
                                     "0.0.0.0", "255.255.255.255"])  # fmt: skip
def test_destinations_a_neighbour_may_not_name(address: str) -> None:
    assert not is_neighbour(address)


async def test_a_name_with_several_addresses_is_tried_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with server(OK + b"\r\nv=0\r\n") as url:
        port = int(url.rpartition(":")[2])
        places = [(0, 0, 0, "", (address, port)) for address in ("239.1.1.1", "::1", "127.0.0.1")]

        async def look_up(*_: object, **__: object) -> list[object]:
            return list(places)

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        assert await fetch(f"http://several.example:{port}/") == "v=0\r\n"


async def test_nobody_there() -> None:
    with pytest.raises(Refused, match="cannot retrieve SDP: "):
        await fetch("http://127.0.0.1:1/x")


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://h/", "https://h/", "http://", "http://:80/", "http://h:99999/", "http://[/",
     "http://a b/", "file:///etc/passwd"],
)  # fmt: skip
async def test_no_urls(url: str) -> None:
    with pytest.raises(Refused) as caught:
        await fetch(url)
    assert caught.value.rule == "invalid URL"


async def test_a_path_cannot_smuggle_a_header() -> None:
    seen: list[bytes] = []
    async with server(OK + b"Content-Length: 0\r\n\r\n", seen) as url:
        await fetch(f"{url}/a%0d%0aEvil:%20yes%20HTTP/1.1")
    (request,) = seen
    assert b"\r\nEvil" not in request
    assert request.count(b"\r\n") == 6


async def test_many_at_once_wait_for_each_other() -> None:
    at_once = peak = 0

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, peak
        at_once += 1
        peak = max(peak, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        writer.write(OK + b"Content-Length: 0\r\n\r\n")
        await writer.drain()

    fetches = Fetches()
    async with server(slow) as url:
        await asyncio.gather(*(fetches.get(url) for _ in range(30)))
    assert peak <= CONCURRENT


async def test_nobody_waits_for_a_fetch_when_the_daemon_ends() -> None:
    """Neither for those that run, nor for those that wait for their turn, nor for new ones."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    fetches = Fetches()
    requests: list[bytes] = []
    async with server(silent, requests) as url:
        waiting = [asyncio.create_task(fetches.get(f"{url}/{n}")) for n in range(CONCURRENT + 2)]
        while len(requests) < CONCURRENT:  # noqa: ASYNC110 (the server tells nothing)
            await asyncio.sleep(0.01)
        gone = asyncio.create_task(fetches.get(f"{url}/gone"))
        await asyncio.sleep(0)
        gone.cancel()  # its client has gone: that is another matter
        with pytest.raises(asyncio.CancelledError):
            await gone
        fetches.end()
        for each in waiting:
            with pytest.raises(Refused, match="the daemon is ending"):
                await each
        with pytest.raises(Refused, match="the daemon is ending"):
            await fetches.get(url)
