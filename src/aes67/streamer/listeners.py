"""Those who listen: each has a socket and a queue of bounded length, and waits for nobody else.

A listener who is slower than the sound misses some of it; one who takes nothing for a while is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from aes67.streamer.files import FileRing

QUEUE_BYTES = 1 << 20
QUEUE_CHUNKS = 100
"""Most that waits for a listener who hears as it comes; chunks last 20 to 40 ms."""
PATIENCE_SECONDS = 10.0
"""A listener who takes nothing for so long is cut."""
SOCKET_BYTES = 64 << 10


class Listener:
    """One socket from its first line to its end.

    Args:
        sock: connected and non-blocking; taken over.
        sink: whom it listens to.
        row: the sink's channels when it began: with others it ends.
    """

    def __init__(self, sock: socket.socket, sink: int, row: tuple[int, ...]) -> None:
        self.sink, self.row = sink, row
        self.skipped = 0
        """Bytes it was too slow for."""
        self._sock = sock
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(
        self, work: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[Listener], None]
    ) -> None:
        """Do `work`; `ended` is called once, whatever the end was."""

        async def run() -> None:
            with contextlib.suppress(OSError, TimeoutError):
                await work()

        self._task = asyncio.create_task(run())

        def done(task: asyncio.Task[None]) -> None:
            self._sock.close()
            ended(self)
            if not task.cancelled():
                task.result()

        self._task.add_done_callback(done)

    def close(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()

    def offer(self, chunk: bytes) -> None:
        """Give it a chunk; when too much waits already, what waits is skipped."""
        if self._bytes + len(chunk) > QUEUE_BYTES or len(self._queue) >= QUEUE_CHUNKS:
            self.skipped += self._bytes
            self._queue.clear()
            self._bytes = 0
        self._queue.append(chunk)
        self._bytes += len(chunk)
        self._wake.set()

    async def send(self, data: bytes, seconds: float = PATIENCE_SECONDS) -> None:
        """Raises OSError when it has gone, TimeoutError when it takes nothing."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            await loop.sock_sendall(self._sock, data)

    async def hear(self, head: bytes) -> None:
        """The head, then what is offered, until it ends."""
        await self.send(head)
        while True:
            self._wake.clear()
            while self._queue:
                chunk = self._queue.popleft()
                self._bytes -= len(chunk)
                await self.send(chunk)
            await self._wake.wait()

    async def follow(self, head: bytes, ring: FileRing, file_seconds: float) -> None:
        """The head, the oldest complete file, then each as it is finished (contract, section 16).

        Who is half a ring late is cut.
        """
        patience = max(1, ring.files_num // 2) * file_seconds
        await self.send(head)
        number = ring.first()
        while True:
            self._wake.clear()
            while (file := ring.after(number)) is not None:
                await self.send(file.content, patience)
                number = file.number
                if ring.current - number > ring.files_num:
                    return
            await self._wake.wait()

    def wake(self) -> None:
        """A file was finished."""
        self._wake.set()
