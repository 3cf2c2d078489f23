"""The HTTP listener: a socket taken over from whoever left, and moved without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from aes67.services import tcp
from aes67.services.tcp import PortBusy as PortBusy
from aes67_api.connection import Connection

log = logging.getLogger("aes67.http")

BACKLOG = 1024
STOP_SECONDS = 3
WEBSOCKET_BYTES = 4096
"""Longest message a websocket client may send: none of them says anything."""


Device = tuple[str, int]
"""Name and index of an interface."""


def bind(address: str, port: int) -> socket.socket:
    """A listening socket for HTTP; raises PortBusy, which says why it cannot be had."""
    return tcp.listen(address, port, BACKLOG, "HTTP")


def devices_of(names: tuple[str, ...]) -> tuple[Device, ...]:
    """Those of these interfaces that there are, and `lo` before them; none for no names."""
    found = []
    for name in dict.fromkeys(("lo", *names)) if names else ():
        with contextlib.suppress(OSError):
            found.append((name, socket.if_nametoindex(name)))
    return tuple(found)


class _Server(uvicorn.Server):
    """A server that leaves signals to us and says when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.serving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """Serves an application on one port at a time, on all interfaces or on some."""

    def __init__(self, app: ASGIApp, address: str) -> None:
        self._app, self._address = app, address
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._sockets: list[socket.socket] = []
        self._devices: tuple[Device, ...] = ()
        self.port = 0

    async def open(self, port: int, interfaces: tuple[str, ...] = ()) -> None:
        """Serve on `port` (0: any free one), then let go of the port before.

        Args:
            interfaces: serve on these and `lo` only, as far as there are any; none: on all.

        Raises:
            PortBusy: it cannot be had; the port before is served on.
        """
        devices = devices_of(interfaces) if not self._address else ()
        if self._server is not None and (port, devices) == (self.port, self._devices):
            return
        sockets = self._bound(port, devices)
        server = _Server(
            uvicorn.Config(
                self._app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                http=Connection,
                ws="websockets-sansio",
                ws_max_size=WEBSOCKET_BYTES,
                ws_per_message_deflate=False,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=STOP_SECONDS,
                limit_concurrency=1000,
            )
        )
        self.port = sockets[0].getsockname()[1]  # a server that stops closes its own
        task = asyncio.create_task(server.serve(sockets=sockets))
        serving = asyncio.create_task(server.serving.wait())
        await asyncio.wait({task, serving}, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        old = (self._server, self._task)
        self._server, self._task = server, task
        self._sockets, self._devices = sockets, devices
        await _stop(*old)

    def missing(self, interfaces: tuple[str, ...]) -> str:
        """Which of these it cannot be reached by, in a sentence; empty: none."""
        there = {name for name, _ in self._devices}
        gone = [name for name in interfaces if name not in there]
        if not gone or self._address:
            return ""
        return f"HTTP: there is no interface {', '.join(gone)} (control_interfaces)"

    def _bound(self, port: int, devices: tuple[Device, ...]) -> list[socket.socket]:
        if not devices:
            ours = [each for each in self._sockets if each.fileno() >= 0]
            return [tcp.listen(self._address, port, BACKLOG, "HTTP", ours=ours)]
        made: list[socket.socket] = []
        try:
            for name, _ in devices:
                ours = [*made, *(each for each in self._sockets if each.fileno() >= 0)]
                made.append(tcp.listen("", port, BACKLOG, "HTTP", device=name, ours=ours))
                port = made[0].getsockname()[1]
        except tcp.PortBusy:
            for each in made:
                each.close()
            raise
        return made

    async def close(self) -> None:
        """Stop serving."""
        await _stop(self._server, self._task)


async def _stop(server: _Server | None, task: asyncio.Task[None] | None) -> None:
    if server is not None and task is not None:
        server.should_exit = True
        await task
