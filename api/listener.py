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

log = logging.getLogger("aes67.http")

BACKLOG = 1024
STOP_SECONDS = 3
WEBSOCKET_BYTES = 4096
"""Longest message a websocket client may send: none of them says anything."""


def bind(address: str, port: int) -> socket.socket:
    """A listening socket for HTTP; raises PortBusy, which says why it cannot be had."""
    return tcp.listen(address, port, BACKLOG, "HTTP")


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
    """Serves an application on one port at a time."""

    def __init__(self, app: ASGIApp, address: str) -> None:
        self._app, self._address = app, address
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    async def open(self, port: int) -> None:
        """Serve on `port` (0: any free one), then let go of the port before.

        Raises:
            PortBusy: it cannot be had; the port before is served on.
        """
        sock = bind(self._address, port)
        server = _Server(
            uvicorn.Config(
                self._app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                ws="websockets-sansio",
                ws_max_size=WEBSOCKET_BYTES,
                ws_per_message_deflate=False,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=STOP_SECONDS,
                limit_concurrency=1000,
            )
        )
        task = asyncio.create_task(server.serve(sockets=[sock]))
        serving = asyncio.create_task(server.serving.wait())
        await asyncio.wait({task, serving}, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        old = (self._server, self._task)
        self._server, self._task, self.port = server, task, sock.getsockname()[1]
        await _stop(*old)

    async def close(self) -> None:
        """Stop serving."""
        await _stop(self._server, self._task)


async def _stop(server: _Server | None, task: asyncio.Task[None] | None) -> None:
    if server is not None and task is not None:
        server.should_exit = True
        await task
