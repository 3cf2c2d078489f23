"""Sinks that follow their remote source (`auto_sinks_update`), one after the other.

Only the sink concerned changes. One that hears nothing follows its stream to another sender as well
(`discovery.follow.moved`). A description that is refused is not tried again until the clock
changes, since a foreign grandmaster is why most are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from aes67.discovery import follow
from aes67.discovery.browser import Browser
from aes67.discovery.remote import RemoteSource
from aes67.errors import Refused
from aes67.services.background import end
from aes67.session.node import Node

log = logging.getLogger("aes67.follow")

SETTLE_SECONDS = 0.02
"""Several changes of one moment are looked at together."""
SILENCE_SECONDS = 0.3
"""A sink whose sender has just gone is not silent yet: it is looked at again so much later."""


class Follower:
    """Keeps the sinks of `node` at what `browser` last heard of their sources.

    `silent`, to be set, says which sinks hear nothing.
    """

    def __init__(self, node: Node, browser: Browser) -> None:
        self.silent: Callable[[], set[int]] = set
        self._node, self._browser = node, browser
        self._refused: set[tuple[int, str]] = set()
        self._task: asyncio.Task[None] | None = None
        self._silence: asyncio.Task[None] | None = None
        self._again = False

    def look(self, *, anew: bool = False) -> None:
        """Something has changed; `anew`: try also what was refused before."""
        if anew:
            self._refused.clear()
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop following."""
        for task in (self._task, self._silence):
            await end(task)

    async def _follow(self) -> None:
        while self._again:
            self._again = False
            await asyncio.sleep(SETTLE_SECONDS)
            if not self._node.config.auto_sinks_update:
                continue
            await self._take_all(follow.newer(self._node.sinks, self._heard()))
            if self._silence is None or self._silence.done():
                self._silence = asyncio.create_task(self._follow_moved())

    async def _follow_moved(self) -> None:
        """Other sessions, for sinks that then hear nothing."""
        await asyncio.sleep(SILENCE_SECONDS)
        if self._node.config.auto_sinks_update:
            silent = [self._node.sinks[each] for each in self.silent() if each in self._node.sinks]
            await self._take_all(follow.moved(silent, self._heard()))

    def _heard(self) -> list[RemoteSource]:
        """What is announced, but for others that number their sessions as we do."""
        own = [self._node.description(number, "sap") for number in self._node.sources]
        return follow.without_doubles(self._browser.sources(), own)

    async def _take_all(self, found: Mapping[int, str]) -> None:
        for number, text in found.items():
            if (number, text) not in self._refused:
                await self._take(number, text)

    async def _take(self, number: int, text: str) -> None:
        try:
            if await self._node.follow_sink(number, text):
                log.info("sink %d follows its source to a newer description", number)
        except Refused as refused:
            if len(self._refused) >= 1024:
                self._refused.clear()
            self._refused.add((number, text))
            log.warning("sink %d cannot follow its source: %s", number, refused)
