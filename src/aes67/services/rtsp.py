"""RTSP on sockets: the server on our address, and clients that stay with the servers they found."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import time
from collections.abc import Callable

from aes67.discovery.rtsp_client import RtspClient
from aes67.discovery.rtsp_server import Find, RtspServer
from aes67.errors import WireError
from aes67.services import tcp
from aes67.wire import rtsp

log = logging.getLogger("aes67.rtsp")

BACKLOG = 64
READ_BYTES = 4096
MAX_UNSENT_BYTES = 256 << 10
"""A client that does not read this much is cut off."""
ANSWER_SECONDS = 5.0
TIMER_SECONDS = 5.0
KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 3))


class RtspService:
    """The server at one address and port, from `configure` to `close`."""

    def __init__(self, find: Find) -> None:
        self.problem = ""
        """Why it does not serve, in words."""
        self._core = RtspServer(find)
        self._where: tuple[str, int] | None = None
        self._server: asyncio.Server | None = None
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._numbers = itertools.count()
        self._lock = asyncio.Lock()

    @property
    def port(self) -> int:
        """The port it serves on, 0 when it does not."""
        return self._server.sockets[0].getsockname()[1] if self._server else 0

    async def configure(self, address: str, port: int) -> None:
        """Serve there; the same again tries again if it failed. No address: do not serve."""
        async with self._lock:
            if (address, port) == self._where and not self.problem:
                return
            await self._stop()
            self._where, self.problem = (address, port), ""
            if not address:
                return
            try:
                listener = tcp.listen(address, port, BACKLOG, "RTSP")
            except tcp.PortBusy as error:
                self.problem = str(error)
                return
            self._server = await asyncio.start_server(self._serve, sock=listener, limit=READ_BYTES)

    def changed(self, source: int, url: str, description: str) -> None:
        """A source has another description."""
        self._core.changed(source, url, description)
        self._flush()

    async def close(self) -> None:
        """End all sessions."""
        async with self._lock:
            await self._stop()
            self._where = None

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers.values()):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None
        while self._writers:  # their tasks see the end of their streams  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._numbers)
        self._writers[number] = writer
        keep_alive(writer)
        self._core.open(number, time.monotonic_ns())
        try:
            self._flush()
            while True:
                try:
                    async with asyncio.timeout(TIMER_SECONDS):
                        data = await reader.read(READ_BYTES)
                except TimeoutError:
                    self._core.handle_timer(time.monotonic_ns())
                    self._flush()
                    continue
                if not data:
                    break
                self._core.receive(number, data, time.monotonic_ns())
                self._flush()
        except OSError:
            pass
        finally:
            self._core.closed(number)
            del self._writers[number]
            writer.close()

    def _flush(self) -> None:
        for output in self._core.outgoing():
            writer = self._writers.get(output.session)
            if writer is None:
                continue
            if output.data:
                writer.write(output.data)
            if output.close:
                writer.close()
            elif writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
                writer.transport.abort()


def keep_alive(writer: asyncio.StreamWriter) -> None:
    """Have the kernel find out when the other end has gone, in about two minutes."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


async def follow(url: rtsp.RtspUrl, described: Callable[[str, bytes], None]) -> None:
    """Describe `url` and stay connected: `described` gets (name, description), now and at changes.

    Returns when the server disconnects after having answered.

    Raises:
        WireError: it speaks no RTSP or has no description.
        OSError: no connection, or no answer within ANSWER_SECONDS.
    """
    client, answered = RtspClient(url), False
    try:
        async with asyncio.timeout(ANSWER_SECONDS) as limit:
            reader, writer = await asyncio.open_connection(url.host, url.port)
            try:
                keep_alive(writer)
                writer.write(client.outgoing())
                while data := await reader.read(READ_BYTES):
                    for name, description in client.receive(data):
                        described(name, description)
                        answered = True
                        limit.reschedule(None)
                    writer.write(client.outgoing())
                    await writer.drain()
            finally:
                writer.close()
    except TimeoutError:
        raise OSError(f"no answer within {ANSWER_SECONDS:g} s") from None
    if not answered:
        raise WireError("the server disconnects without an answer")
