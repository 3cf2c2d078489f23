"""The streamer as control sees it: when it runs, for which sinks, and what it answers.

Runs while `streamer_enabled`. Files are recorded from the clock's lock on, through holdover and
re-locking, until it is unlocked (contract, section 16); what is heard live needs only an engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from importlib.util import find_spec

from aes67.services.background import end
from aes67.services.engine_link import EngineLink
from aes67.services.streamer import Answer, StreamerGone, StreamerService
from aes67.session.events import Event
from aes67.session.node import Node
from aes67.streamer.protocol import Request, Settings

log = logging.getLogger("aes67.streamer")

NO_PYAV = (
    "the streamer needs the Python package av to encode (pip install 'aes67[streamer]'); "
    "without it there is only WAV"
)


class Streaming:
    """The streamer from `start` to `close`; `state` gives the clock's state in our own words."""

    def __init__(self, node: Node, link: EngineLink, state: Callable[[], str]) -> None:
        self._node, self._link, self._state = node, link, state
        self._service = StreamerService()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._running = False
        self._engine = 0
        """Serial of the bus the worker reads; 0: none."""

    @property
    def enabled(self) -> bool:
        """As configured."""
        return self._node.config.streamer_enabled

    @property
    def can_encode(self) -> bool:
        """Whether PyAV is installed."""
        return find_spec("av") is not None

    @property
    def process_id(self) -> int | None:
        """Of the worker running now."""
        return self._service.process_id

    async def start(self) -> None:
        """Begin to follow configuration, sinks, clock and engine."""
        self._node.subscribe(lambda event: self.look(event))
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """End the worker and all listeners; does nothing before `start`."""
        task, self._task = self._task, None
        await end(task)
        await self._service.close()
        self._service.forget()

    def look(self, event: Event | None = None) -> None:
        """Something changed that may concern the streamer."""
        self._wake.set()

    async def ask(self, request: Request) -> Answer:
        """Put a question to the worker.

        Raises:
            StreamerGone: there is none, or it did not answer.
        """
        if not self.enabled:
            raise StreamerGone("the streamer is off (streamer_enabled)")
        return await self._service.ask(request)

    async def _follow(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look()
            except Exception:
                log.exception("a program error in the streamer's control")
            await self._wake.wait()

    async def _look(self) -> None:
        config = self._node.config
        is_missing = config.streamer_enabled and not self.can_encode
        self._node.warn("streamer", NO_PYAV if is_missing else "")
        if not config.streamer_enabled:
            self._engine, self._running = 0, False
            await self._service.configure(None)
            self._service.forget()
            return
        self._look_at_engine()
        state = self._state()
        self._running = state in ("locked", "holdover") or (self._running and state == "locking")
        settings = Settings(
            running=self._running,
            channels=config.streamer_channels,
            files_num=config.streamer_files_num,
            file_seconds=config.streamer_file_duration,
            player_files=config.streamer_player_buffer_files_num,
            sinks={number: tuple(sink.map) for number, sink in self._node.sinks.items()},
        )
        await self._service.configure(settings)

    def _look_at_engine(self) -> None:
        descriptors = self._link.capture_descriptors()
        engine = 0 if descriptors is None else self._link.bus_serial
        if engine != self._engine:
            self._engine = engine
            self._service.engine(descriptors)
