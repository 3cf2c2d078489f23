"""What stands before every route: HEAD, preflights, foreign writers, bodies without end.

Plain ASGI, so that it holds for routes, static files and errors alike.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aes67_api.answers import CORS

MAX_BODY_BYTES = 1 << 20
BODY_SECONDS = 10.0
HEAD_ONLY = "aes67.head_only"
"""Set in the scope of a HEAD request, which routes see as GET: what never ends must know."""
READING = ("GET", "HEAD", "OPTIONS")
PRIVATE_SUFFIXES = ("", ".local", ".lan", ".home", ".home.arpa", ".internal", ".localdomain")
"""Endings no public name server resolves: with our own host name before them they are us."""


class Guard:
    """Wraps an application; `allowed_hosts` gives further names of this machine."""

    def __init__(self, app: ASGIApp, allowed_hosts: Callable[[], Iterable[str]]) -> None:
        self._app = app
        self._allowed_hosts = allowed_hosts
        self._own_names = own_names(socket.gethostname(), _resolver_configuration())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "websocket" and self._foreign(scope):
            await send({"type": "websocket.close", "code": 1008, "reason": ""})  # HTTP 403
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "OPTIONS":
            is_api = scope["path"].startswith("/api/")
            await _answer(send, 200 if is_api else 404, headers=CORS if is_api else {})
            return
        if method not in READING:
            reason = self._foreign(scope)
            if reason:
                await _refuse(scope, send, 403, reason)
                return
            body = await _body(receive)
            if isinstance(body, int):
                words = {408: "the body did not come in time", 413: "the body is too large"}
                await _refuse(scope, send, body, words.get(body, ""))
                return
            receive = _replay(body, receive)
        if method == "HEAD":
            scope = dict(scope, method="GET") | {HEAD_ONLY: True}
            send = _without_body(send)
        await self._app(scope, receive, send)

    def _foreign(self, scope: Scope) -> str:
        """Why a write is refused: a page of another site, or a name that is not ours; else ''."""
        headers = {key: value.decode("latin-1") for key, value in scope["headers"]}
        host = _host(headers.get(b"host", ""))
        if host is None or (host[0] and not self._ours(host[0])):
            return "writes under this Host are refused (http_allowed_hosts can allow it)"
        origin = headers.get(b"origin")
        if origin is None:
            return ""
        site = _origin(origin)
        if site is not None and (site == host or self._allowed(site[0])):
            return ""
        return "writes from pages of another origin are refused (http_allowed_hosts can allow it)"

    def _ours(self, name: str) -> bool:
        if name == "localhost" or name.endswith(".localhost") or self._allowed(name):
            return True
        if name in self._own_names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _allowed(self, name: str) -> bool:
        return name in {each.strip().lower() for each in self._allowed_hosts() if each.strip()}


def own_names(hostname: str, resolver: str) -> frozenset[str]:
    """Names this machine is reached by: with no domain, a private one, or one of its resolver's
    (`resolver`: the text of resolv.conf)."""
    label = hostname.lower().partition(".")[0]
    lines = (line.split() for line in resolver.splitlines())
    domains = [word for line in lines if line and line[0] in ("search", "domain")
               for word in line[1:]]  # fmt: skip
    suffixes = (*PRIVATE_SUFFIXES, *("." + each.strip(".").lower() for each in domains))
    return frozenset({hostname.lower(), *(label + suffix for suffix in suffixes)})


def _resolver_configuration() -> str:
    try:
        return Path("/etc/resolv.conf").read_text(errors="replace")
    except OSError:
        return ""


def _host(text: str) -> tuple[str, int] | None:
    """(name, port) of a Host header; ('', 80) without one, None when it cannot be read."""
    try:
        parts = urlsplit(f"http://{text}")
        if parts.username is not None or parts.path or parts.query or parts.fragment:
            return None
        return (parts.hostname or "").rstrip("."), parts.port or 80
    except ValueError:
        return None


def _origin(text: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return None
        return parts.hostname.rstrip("."), parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None


async def _body(receive: Receive) -> bytes | int:
    """The whole body, or the status to answer instead."""
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return 400
                data += message.get("body", b"")
                if len(data) > MAX_BODY_BYTES:
                    return 413
                if not message.get("more_body"):
                    return bytes(data)
    except TimeoutError:
        return 408


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body read before, then what comes."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


def _without_body(send: Send) -> Send:
    async def bare(message: Message) -> None:
        if message["type"] == "http.response.body":
            if message.get("more_body"):
                return
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    return bare


async def _refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    """In words, or as a problem where our own interface is asked."""
    if not scope["path"].startswith("/api/v1/"):
        await _answer(send, status, reason)
        return
    title = HTTPStatus(status).phrase
    problem = {"type": "about:blank", "title": title, "status": status, "detail": reason}
    problem |= {"field": "", "value": None, "rule": reason}
    headers = {"Content-Type": "application/problem+json"}
    await _answer(send, status, json.dumps(problem), headers)


async def _answer(
    send: Send, status: int, text: str = "", headers: dict[str, str] | None = None
) -> None:
    body = text.encode()
    fields = {"Content-Length": str(len(body))}
    if body:
        fields["Content-Type"] = "text/plain"
    fields |= headers or {}
    raw = [(key.lower().encode(), value.encode()) for key, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
