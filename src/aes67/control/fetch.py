"""Fetch a session description over HTTP or RTSP: bounded in size, time and destination."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from urllib.parse import quote, unquote, urlsplit

from aes67.errors import Refused
from aes67.services.destinations import is_allowed

MAX_BYTES = 64 << 10
TIMEOUT_S = 10.0
CONCURRENT = 8
"""Of `Fetches` at once; the next one waits."""

INVALID_URL = "invalid URL"
CANNOT_RETRIEVE = "cannot retrieve SDP"


async def fetch(url: str, timeout_s: float = TIMEOUT_S) -> str:
    """The text at an http or rtsp URL.

    Raises:
        Refused: on field `source`; its rule begins with INVALID_URL or CANNOT_RETRIEVE.
    """
    try:
        parts = urlsplit(unquote(url))
        scheme = parts.scheme.lower()
        host = parts.hostname or ""
        port = parts.port or (554 if scheme == "rtsp" else 80)
    except ValueError:
        raise Refused("source", url, INVALID_URL) from None
    if scheme not in ("http", "rtsp") or not host or re.search(r"[\s\0]", host):
        raise Refused("source", url, INVALID_URL)
    target = parts.path or "/"
    if parts.query:
        target += "?" + parts.query
    target = quote(target, safe="/%?=&:;,+@!$'()*~#[]")
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = f"GET {target} HTTP/1.0\r\nHost: {name}\r\nConnection: close\r\n"
    if scheme == "rtsp":
        request = f"DESCRIBE rtsp://{name}{target} RTSP/1.0\r\nCSeq: 1\r\n"
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(host, port, request, scheme.upper())
    except TimeoutError:
        reason = f"no answer within {timeout_s:g} s"
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    except _Bad as error:
        reason = str(error)
    raise Refused("source", url, f"{CANNOT_RETRIEVE}: {reason}")


class Fetches:
    """Fetches on behalf of others, who are not kept waiting when the daemon ends."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[str]] = set()
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._ended = False

    async def get(self, url: str) -> str:
        """As `fetch`."""
        if not self._ended:
            task = asyncio.create_task(self._in_turn(url))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            try:
                return await task
            except asyncio.CancelledError:
                if not self._ended:
                    raise
        raise Refused("source", url, f"{CANNOT_RETRIEVE}: the daemon is ending")

    async def _in_turn(self, url: str) -> str:
        async with self._slots:
            return await fetch(url)

    def end(self) -> None:
        """Give up the ones that run, and begin none."""
        self._ended = True
        for task in self._running:
            task.cancel()


class _Bad(Exception):
    """The server's answer is none we take."""


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the first address that answers, looked up once so that it is the one that was checked."""
    loop = asyncio.get_running_loop()
    places = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(place[0]) for *_, place in places if is_allowed(str(place[0]))]
    if not addresses:
        raise _Bad(f"nothing is fetched from {host}")
    for address in addresses[:-1]:
        with contextlib.suppress(OSError):
            return await asyncio.open_connection(address, port, limit=MAX_BYTES)
    return await asyncio.open_connection(addresses[-1], port, limit=MAX_BYTES)


async def _ask(host: str, port: int, request: str, protocol: str) -> str:
    reader, writer = await _connect(host, port)
    try:
        request += "Accept: application/sdp\r\nUser-Agent: aes67\r\n\r\n"
        writer.write(request.encode("ascii"))
        await writer.drain()
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise _Bad(f"the answer is no {protocol}") from None
        status = re.match(protocol + r"/1\.[01] ([0-9]{3})\b", head)
        if status is None:
            raise _Bad(f"the answer is no {protocol}")
        if status[1] != "200":
            raise _Bad(f"the server answers {status[1]}")
        if re.search(r"^transfer-encoding\s*:", head, re.I | re.M):
            raise _Bad("the server answers HTTP/1.0 with a transfer encoding")
        return (await _body(reader, head, protocol)).decode("utf-8", "replace")
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader, head: str, protocol: str) -> bytes:
    length = re.search(r"^content-length\s*:\s*([0-9]{1,12})\s*$", head, re.I | re.M)
    if length is not None:
        if int(length[1]) > MAX_BYTES:
            raise _Bad(f"the description is larger than {MAX_BYTES} bytes")
        try:
            return await reader.readexactly(int(length[1]))
        except asyncio.IncompleteReadError:
            raise _Bad("the answer is shorter than it says") from None
    if protocol == "RTSP":
        return b""  # RFC 2326, 12.14: without a length there is no body
    data = b""
    while chunk := await reader.read(MAX_BYTES):
        data += chunk
        if len(data) > MAX_BYTES:
            raise _Bad(f"the description is larger than {MAX_BYTES} bytes")
    return data
