"""Fetch a session description over HTTP: bounded in size and time, no redirects, nothing else."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import quote, unquote, urlsplit

from aes67.errors import Refused

MAX_BYTES = 64 << 10
TIMEOUT_S = 10.0
CONCURRENT = 8
"""Fetches at once; the next one waits."""

INVALID_URL = "invalid URL"
CANNOT_RETRIEVE = "cannot retrieve SDP"

_slots = asyncio.Semaphore(CONCURRENT)


async def fetch(url: str, timeout_s: float = TIMEOUT_S) -> str:
    """The text at an http URL.

    Raises:
        Refused: on field `source`; its rule begins with INVALID_URL or CANNOT_RETRIEVE.
    """
    try:
        parts = urlsplit(unquote(url))
        scheme = parts.scheme.lower()
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:
        raise Refused("source", url, INVALID_URL) from None
    if scheme not in ("http", "rtsp") or not host or re.search(r"[\s\0]", host):
        raise Refused("source", url, INVALID_URL)
    if scheme == "rtsp":
        raise Refused("source", url, f"{CANNOT_RETRIEVE}: rtsp is not available yet, use http")
    target = parts.path or "/"
    if parts.query:
        target += "?" + parts.query
    target = quote(target, safe="/%?=&:;,+@!$'()*~#[]")
    try:
        async with _slots, asyncio.timeout(timeout_s):
            return await _get(host, port, target)
    except TimeoutError:
        reason = f"no answer within {timeout_s:g} s"
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    except _Bad as error:
        reason = str(error)
    raise Refused("source", url, f"{CANNOT_RETRIEVE}: {reason}")


class _Bad(Exception):
    """The server's answer is none we take."""


async def _get(host: str, port: int, target: str) -> str:
    reader, writer = await asyncio.open_connection(host, port, limit=MAX_BYTES)
    try:
        name = f"[{host}]" if ":" in host else host
        request = (
            f"GET {target} HTTP/1.0\r\nHost: {name}:{port}\r\nAccept: application/sdp\r\n"
            "User-Agent: aes67\r\nConnection: close\r\n\r\n"
        )
        writer.write(request.encode("ascii"))
        await writer.drain()
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise _Bad("the answer is no HTTP") from None
        status = re.match(r"HTTP/1\.[01] ([0-9]{3})\b", head)
        if status is None:
            raise _Bad("the answer is no HTTP")
        if status[1] != "200":
            raise _Bad(f"the server answers {status[1]}")
        if re.search(r"^transfer-encoding\s*:", head, re.I | re.M):
            raise _Bad("the server answers HTTP/1.0 with a transfer encoding")
        return (await _body(reader, head)).decode("utf-8", "replace")
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader, head: str) -> bytes:
    length = re.search(r"^content-length\s*:\s*([0-9]{1,12})\s*$", head, re.I | re.M)
    if length is not None:
        if int(length[1]) > MAX_BYTES:
            raise _Bad(f"the description is larger than {MAX_BYTES} bytes")
        try:
            return await reader.readexactly(int(length[1]))
        except asyncio.IncompleteReadError:
            raise _Bad("the answer is shorter than it says") from None
    data = b""
    while chunk := await reader.read(MAX_BYTES):
        data += chunk
        if len(data) > MAX_BYTES:
            raise _Bad(f"the description is larger than {MAX_BYTES} bytes")
    return data
