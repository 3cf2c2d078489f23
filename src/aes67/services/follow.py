"""Sinks that follow their remote source (`auto_sinks_update`), one after the other.

Only the sink concerned changes. A description that is refused is not tried again until the clock
changes, since a foreign grandmaster is why most are.
"""

from __future__ import annotations

import asyncio
import logging

from aes67.discovery import follow
from aes67.discovery.browser import Browser
from aes67.errors import Refused
from aes67.session.node import Node

log = logging.getLogger("aes67.follow")

SETTLE_SECONDS = 0.02
"""Several changes of one moment are looked at together."""


class Follower:
    """Keeps the sinks of `node` at what `browser` last heard of their sources."""

    def __init__(self, node: Node, browser: Browser) -> None:
        self._node, self._browser = node, browser
        self._refused: set[tuple[int, str]] = set()
        self._task: asyncio.Task[None] | None = None
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
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        while self._again:
            self._again = False
            await asyncio.sleep(SETTLE_SECONDS)
            if not self._node.config.auto_sinks_update:
                continue
            for number, text in follow.newer(self._node.sinks, self._browser.sources()).items():
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
