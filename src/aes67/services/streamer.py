"""The streamer's worker process, from `configure` to `close`, and the way to its answers.

The worker is a child of control: it ends when its link is closed, and is started again when it
dies. Nothing here blocks the loop, whatever the worker does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

from aes67.net.seqpacket import Connection
from aes67.streamer import protocol
from aes67.streamer.protocol import Request, Settings

log = logging.getLogger("aes67.streamer")

PAUSE_SECONDS_MIN = 0.2
PAUSE_SECONDS_MAX = 5.0
QUIET_SECONDS = 30.0
"""A worker that lived so long is started again at once."""
ANSWER_SECONDS = 5.0
END_SECONDS = 2.0
READ_BYTES = 1 << 16


class StreamerGone(Exception):
    """There is no worker, or it did not answer."""


class Answer:
    """The worker's answer: its first line as `head`, then `chunks`; `close` when done."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head: dict[str, Any] = {}
        self._reader, self._writer = reader, writer

    async def begin(self) -> None:
        """Read the first line.

        Raises:
            StreamerGone: it did not come.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                line = await self._reader.readuntil(b"\n")
            self.head = json.loads(line)
        except (TimeoutError, OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise StreamerGone("the streamer does not answer") from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """What follows, as it comes, until either side closes."""
        try:
            with contextlib.suppress(OSError):
                while data := await self._reader.read(READ_BYTES):
                    yield data
        finally:
            self.close()

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


class StreamerService:
    """Starts, tells and stops the worker. All methods belong to the loop's thread."""

    def __init__(self) -> None:
        self.problem = ""
        """Why there is no worker, in words."""
        self._settings: Settings | None = None
        self._engine: tuple[int, int] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._link: Connection | None = None
        self._child: asyncio.subprocess.Process | None = None

    @property
    def process_id(self) -> int | None:
        """Of the worker running now."""
        return None if self._child is None else self._child.pid

    async def configure(self, settings: Settings | None) -> None:
        """What the worker is to record; None: there is to be no worker."""
        if settings == self._settings:
            return
        self._settings = settings
        if settings is None:
            await self.close()
        elif self._task is None:
            self._task = asyncio.create_task(self._keep())
        elif self._link is not None:
            self._link.send(protocol.settings_message(settings), key="settings")

    def engine(self, descriptors: tuple[int, int] | None) -> None:
        """Clock page and bus of the engine there is now; they stay the caller's."""
        self._forget_engine()
        if descriptors is not None:
            self._engine = (os.dup(descriptors[0]), os.dup(descriptors[1]))
        self._tell_engine()

    async def ask(self, request: Request) -> Answer:
        """Put a question to the worker.

        Raises:
            StreamerGone: see there.
        """
        if self._link is None or self._link.closed:
            raise StreamerGone(self.problem or "the streamer is starting")
        ours, theirs = socket.socketpair()
        try:
            self._link.send(protocol.request_message(request), (theirs.fileno(),))
        finally:
            theirs.close()
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours, limit=READ_BYTES)
        answer = Answer(reader, writer)
        try:
            await answer.begin()
        except BaseException:
            answer.close()
            raise
        return answer

    async def close(self) -> None:
        """End the worker, and with it all listeners."""
        self._settings = None
        if self._task is not None:
            if not self._closing:  # a second cancel would leave the child behind
                self._closing = True
                self._task.cancel()
            await asyncio.wait([self._task])
            self._task, self._closing = None, False
        self.problem = ""

    def forget(self) -> None:
        """Give the engine's descriptors back."""
        self._forget_engine()

    def _forget_engine(self) -> None:
        for descriptor in self._engine or ():
            os.close(descriptor)
        self._engine = None

    def _tell_engine(self) -> None:
        if self._link is not None:
            self._link.send(json.dumps({"type": "engine"}).encode(), self._engine or ())

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause = PAUSE_SECONDS_MIN
        while True:
            began = loop.time()
            try:
                await self._run()
            except OSError as error:
                self.problem = f"the streamer cannot be started: {error.strerror or error}"
            else:
                self.problem = "the streamer ended unexpectedly and is started again"
            log.error("%s", self.problem)
            pause = PAUSE_SECONDS_MIN if loop.time() - began > QUIET_SECONDS else pause
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    async def _run(self) -> None:
        """One worker, from its start to its end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        starting = asyncio.ensure_future(_start(theirs))
        try:
            child = await asyncio.shield(starting)
        except asyncio.CancelledError:
            ours.close()  # a child that has just been started ends by that
            await _end(await starting)
            raise
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        link = Connection(ours, message_bytes=protocol.MESSAGE_BYTES_MAX)
        self._child, self._link = child, link
        try:
            self._tell_engine()
            assert self._settings is not None
            link.send(protocol.settings_message(self._settings), key="settings")
            self.problem = ""
            await child.wait()
        finally:
            self._child = self._link = None
            link.close()
            await _end(child)


async def _start(link: socket.socket) -> asyncio.subprocess.Process:
    """A worker with its end of a link, which is closed here."""
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "aes67.streamer.main",
            str(link.fileno()),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(link.fileno(),),
        )
    finally:
        link.close()


async def _end(child: asyncio.subprocess.Process) -> None:
    """Wait for a child whose link is closed; kill it when it does not end."""
    if child.returncode is not None:
        return
    try:
        async with asyncio.timeout(END_SECONDS):
            await child.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGKILL)
        await child.wait()
