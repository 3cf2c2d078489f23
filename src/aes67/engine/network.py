"""What happens to the engine's interfaces while it runs, and what has to follow from it at once.

| accident | what follows |
|---|---|
| a link was lost and is back | groups are joined again: its switch may have forgotten them |
| another first address (DHCP) | streams are sent from it |
| an interface was taken away and made again | media sockets are opened anew |

Also listens for an IGMP querier, without which a switch that snoops stops forwarding.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aes67.errors import Refused, WireError
from aes67.net.igmp import Heard, open_igmp, receive
from aes67.net.interfaces import Interface
from aes67.net.link_watch import LinkWatch
from aes67.wire.igmp import parse_query

log = logging.getLogger("aes67.network")

MESSAGES_PER_WAKE = 32
RETRY_SECONDS = 0.25
"""Between tries to open sockets on an interface that is not ready yet."""
RETRIES = 20


class Media(Protocol):
    """The engine, as far as its sockets go."""

    @property
    def stale(self) -> bool:
        """Whether the plan has to be applied once more."""

    def readdress(self) -> None:
        """Take note of another address."""

    def rejoin(self, index: int) -> int:
        """Join all groups of an interface again."""


@dataclass
class _Link:
    """An interface: as it was at the last look, and what has happened to it."""

    now: Interface
    since_s: float
    """Since when it has been the same interface with a link."""
    rejoins: int = 0
    querier: str = ""
    querier_version: int = 0
    queried_s: float = 0.0


class NetworkKeeper:
    """Keeps media and clock on the interfaces there are, from `start` to `close`.

    Args:
        media: the engine.
        reapply: applies the engine's plan once more; raises Refused.
        link_back: called with the name of each interface whose link is back or that is another.
        changed: called when `snapshot` has something new.
    """

    def __init__(
        self,
        media: Media,
        reapply: Callable[[], None],
        link_back: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._media, self._reapply = media, reapply
        self._link_back, self._told = link_back, changed
        self._links: dict[str, _Link] = {}
        self._loop = asyncio.get_running_loop()
        self._watch = LinkWatch(self._changed)
        self._retry: asyncio.TimerHandle | None = None
        self._igmp: socket.socket | None = None
        with contextlib.suppress(OSError):
            self._igmp = open_igmp()

    def start(self) -> None:
        """Look at the interfaces, and listen for queriers if that is permitted."""
        self._watch.start()
        if self._igmp is not None:
            self._loop.add_reader(self._igmp.fileno(), self._igmp_readable)

    def close(self) -> None:
        """Keep nothing any more."""
        self._watch.close()
        if self._retry is not None:
            self._retry.cancel()
        if self._igmp is not None:
            self._loop.remove_reader(self._igmp.fileno())
            self._igmp.close()
            self._igmp = None

    def snapshot(self) -> dict[str, Any]:
        """What control is told: `igmp` (whether queriers can be heard), `interfaces` by name."""
        now = time.monotonic()
        return {
            "igmp": self._igmp is not None,
            "interfaces": {
                name: {
                    "index": link.now.index,
                    "running": link.now.usable,
                    "since_s": round(now - link.since_s, 1),
                    "rejoins": link.rejoins,
                    "querier": link.querier,
                    "querier_version": link.querier_version,
                    "queried_s": round(now - link.queried_s, 1) if link.querier else None,
                }
                for name, link in self._links.items()
            },
        }

    # interfaces

    def _changed(self, interfaces: tuple[Interface, ...]) -> None:
        before, self._links = self._links, {}
        now = time.monotonic()
        for each in interfaces:
            link = before.get(each.name)
            if link is None or link.now.index != each.index:
                self._links[each.name] = _Link(each, now)
                if before:
                    self._link_back(each.name)
                continue
            self._links[each.name] = link
            was, link.now = link.now, each
            if each.usable and (not was.usable or each.carrier_ups > was.carrier_ups):
                link.since_s, link.querier = now, ""
                self._back(each, link)
        self._follow(RETRIES)
        self._told()

    def _back(self, each: Interface, link: _Link) -> None:
        link.rejoins += 1
        groups = self._media.rejoin(each.index)
        self._link_back(each.name)
        log.info("%s has a link again, %d groups joined again", each.name, groups)

    def _follow(self, tries: int) -> None:
        """Open sockets anew where the interface is another one, send from the address it has."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        try:
            if self._media.stale:
                self._reapply()
                log.info("media sockets opened anew")
            self._media.readdress()
        except (Refused, OSError) as problem:
            if tries <= 0:
                log.error("the media sockets stay as they were: %s", problem)
                return
            self._retry = self._loop.call_later(RETRY_SECONDS, self._follow, tries - 1)

    # queriers

    def _igmp_readable(self) -> None:
        for _ in range(MESSAGES_PER_WAKE):
            assert self._igmp is not None
            heard = receive(self._igmp)
            if heard is None:
                return
            self._hear(heard)

    def _hear(self, heard: Heard) -> None:
        try:
            query = parse_query(heard.data)
        except WireError:
            return
        if query is None or not query.general:
            return
        for link in self._links.values():
            # a switch without an address of its own asks as 0.0.0.0: still somebody who asks
            if link.now.index == heard.index and heard.source not in link.now.addresses:
                new = link.querier != heard.source
                link.querier, link.querier_version = heard.source, query.version
                link.queried_s = time.monotonic()
                if new:
                    log.info("IGMP querier on %s: %s", link.now.name, heard.source)
                    self._told()
