"""The HTTP listener: a socket taken over from whoever left, and moved without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from aes67.errors import Aes67Error

log = logging.getLogger("aes67.http")

BACKLOG = 1024
STOP_SECONDS = 3
LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""


class PortBusy(Aes67Error):
    """Somebody listens there, or we may not; the text says so."""


def bind(address: str, port: int) -> socket.socket:
    """A listening socket with SO_REUSEADDR and SO_REUSEPORT.

    Both, because sockets the AES67 daemon left in TIME_WAIT carry only the second; and since the
    second would also let two services share the port, a listener there is looked for before.

    Raises:
        PortBusy: why it cannot be had.
    """
    host = address or "0.0.0.0"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    where = f"{host}:{port}"
    if port and _listened(port):
        raise PortBusy(f"HTTP port {port} is busy: another program listens there")
    # With the protocol named asyncio sets TCP_NODELAY; else each answer waits 40 ms for an ACK.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise PortBusy(f"cannot listen on {where}: {reason}") from None
    return sock


def _listened(port: int) -> bool:
    """Whether any socket of this network namespace listens on a TCP port."""
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(name).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    return True
    return False


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
                ws="none",
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
