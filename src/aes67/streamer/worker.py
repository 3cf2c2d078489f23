"""The streamer's worker: reads the bus every 20 ms, feeds recordings and listeners.

All methods belong to the loop's thread. It does nothing, and wakes for nothing, while there is
nothing to record and nobody listens.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from aes67.errors import WireError
from aes67.streamer import protocol
from aes67.streamer.capture import Capture
from aes67.streamer.encoders import NoCodec, aac_channels, aac_rate, encoder
from aes67.streamer.listeners import Listener
from aes67.streamer.protocol import Request, Settings, head
from aes67.streamer.sound import Feed, Recording, Row

log = logging.getLogger("aes67.streamer")

Work = Coroutine[Any, Any, None]

STEP_SECONDS = 0.02
LISTENERS_MAX = 256


class Worker:
    """From the first message to `close`."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.capture: Capture | None = None
        self.recordings: dict[Row, Recording] = {}
        self.feeds: dict[tuple[str, Row], Feed] = {}
        self.listeners: set[Listener] = set()
        self._rate = 0
        self._no_codec = ""
        self._answers: set[Listener] = set()
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """End all listeners."""
        for listener in [*self.listeners, *self._answers]:
            listener.close()
        if self._timer is not None:
            self._timer.cancel()
        self.recordings.clear()
        if self.capture is not None:
            self.capture.close()

    def engine(self, descriptors: tuple[int, ...]) -> None:
        """Another engine, or none; what is recorded and heard goes on where the rate is the same.

        Raises:
            WireError: the descriptors are not those of an engine.
        """
        old, self.capture = self.capture, None
        if old is not None:
            old.close()
        if len(descriptors) == protocol.DESCRIPTORS_MAX:
            self.capture = Capture(*descriptors)
            if self.capture.rate != self._rate:
                self._rate = self.capture.rate
                self.recordings.clear()
                for listener in list(self.listeners):
                    listener.close()
        elif descriptors:
            for each in descriptors:
                os.close(each)
            raise WireError("two descriptors make an engine")
        self.configure(self.settings)

    def configure(self, settings: Settings) -> None:
        """Record what these settings say; who listens to a sink that changed is let go."""
        before, self.settings = self.settings, settings
        shape = (settings.files_num, settings.file_seconds)
        if shape != (before.files_num, before.file_seconds):
            self.recordings.clear()
        wanted = {row for row in settings.sinks.values() if self._error(row) == ""}
        for row in set(self.recordings) - wanted:
            del self.recordings[row]
        for row in sorted(wanted - set(self.recordings)):
            self._record(row)
        recorded = {each for made in self.recordings.values() for each in made.listeners}
        heard = {each for feed in self.feeds.values() for each in feed.listeners}
        for listener in list(self.listeners):
            current = settings.sinks.get(listener.sink) == listener.row
            if not current or listener not in recorded | heard:
                listener.close()
        self._run()

    def open(self, request: Request, sock: socket.socket) -> None:
        """Answer a request on its socket."""
        sock.setblocking(False)
        row = self.settings.sinks.get(request.sink)
        if row is None:
            return self._answer(sock, head(protocol.NO_SINK))
        if len(self.listeners) >= LISTENERS_MAX:
            return self._answer(sock, head(protocol.FULL))
        if request.kind == "listen":
            return self._listen(request, row, sock)
        error = self._error(row)
        made = self.recordings.get(row)
        if not error and made is None:
            error = protocol.NO_CODEC
        if not error and made is not None and not made.ring.ready:
            error = protocol.BUFFERING
        if error or made is None:
            return self._answer(sock, head(error))
        if request.kind == "info":
            return self._answer(sock, self._described(made))
        if request.kind == "file":
            return self._file(request, made, sock)
        listener = Listener(sock, request.sink, row)
        seconds = made.file_seconds
        self._begin(listener, made.listeners, lambda: listener.follow(head(), made.ring, seconds))

    def _error(self, row: Row) -> str:
        """Why a channel map is not recorded; empty when it is."""
        if not self.settings.running or self.capture is None:
            return protocol.NOT_RUNNING
        most = min(self.settings.channels, self.capture.channels)
        if not row or not all(0 <= channel < most for channel in row):
            return protocol.NOT_CAPTURED
        try:
            aac_channels(len(row))
        except ValueError:
            return protocol.NOT_CAPTURED
        return protocol.NO_CODEC if self._no_codec else ""

    def _record(self, row: Row) -> None:
        assert self.capture is not None
        try:
            shape = (self.settings.files_num, self.settings.file_seconds)
            self.recordings[row] = Recording(row, self.capture.rate, *shape)
        except (ImportError, NoCodec) as error:
            if not self._no_codec:
                log.error("nothing can be recorded: %s", error)
            self._no_codec = str(error)

    def _described(self, made: Recording, **more: Any) -> bytes:
        return head(
            start=made.ring.start_id,
            current=made.ring.current_id,
            channels=len(made.row),
            rate=aac_rate(self._rate),
            **more,
        )

    def _file(self, request: Request, made: Recording, sock: socket.socket) -> None:
        if not 0 <= request.file < made.ring.files_num:
            return self._answer(sock, head(protocol.NO_FILE))
        file = made.ring.at(request.file)
        if file is None:
            return self._answer(sock, head(protocol.BUFFERING))
        self._answer(sock, self._described(made, count=file.number) + file.content)

    def _listen(self, request: Request, row: Row, sock: socket.socket) -> None:
        if self.capture is None:
            return self._answer(sock, head(protocol.NO_ENGINE))
        most = len(row) if request.format == "wav" else min(len(row), 2)
        chosen = request.channels or tuple(range(most))
        if not all(0 <= each < len(row) for each in chosen):
            return self._answer(sock, head(protocol.NO_CHANNEL))
        channels = tuple(row[each] for each in chosen)
        key = (request.format, channels)
        feed = self.feeds.get(key)
        if feed is None:
            try:
                made = encoder(request.format, self.capture.rate, len(channels))
            except NoCodec:
                return self._answer(sock, head(protocol.NO_CODEC))
            except (ValueError, KeyError):
                return self._answer(sock, head(protocol.NO_CHANNEL))
            feed = self.feeds[key] = Feed(channels, made)
        listener = Listener(sock, request.sink, row)
        start = head(rate=self.capture.rate) + feed.encoder.head
        self._begin(listener, feed.listeners, lambda: listener.hear(start))

    def _answer(self, sock: socket.socket, data: bytes) -> None:
        """Send all of it and close."""
        listener = Listener(sock, -1, ())
        self._answers.add(listener)
        listener.begin(lambda: listener.send(data), self._answers.discard)

    def _begin(self, listener: Listener, company: set[Listener], work: Callable[[], Work]) -> None:
        def ended(gone: Listener) -> None:
            self.listeners.discard(gone)
            company.discard(gone)
            self.feeds = {key: feed for key, feed in self.feeds.items() if feed.listeners}

        self.listeners.add(listener)
        company.add(listener)
        listener.begin(work, ended)
        self._run()

    def _run(self) -> None:
        """Begin to step, unless there is nothing to do or it is being done."""
        busy = self.capture is not None and (self.recordings or self.feeds)
        if busy and self._timer is None:
            assert self.capture is not None
            self.capture.begin_now()
            self._timer = asyncio.get_running_loop().call_later(STEP_SECONDS, self._step)

    def _step(self) -> None:
        self._timer = None
        takers: list[Recording | Feed] = [*self.recordings.values(), *self.feeds.values()]
        if self.capture is None or not takers:
            return
        self._timer = asyncio.get_running_loop().call_later(STEP_SECONDS, self._step)
        channels = sorted({each for taker in takers for each in taker.row})
        block = self.capture.read(channels, self.capture.rate // 4)
        if block.lost:
            log.info("%d frames were not read", block.lost)
        if block.frames:
            for taker in takers:
                taker.push(block)
