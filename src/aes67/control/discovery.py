"""Discovery of the control process: what the node is found by, and what it finds.

Looks at the node after each change and at its network once a second, and tells the services.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from typing import Any

from aes67.discovery.browser import Browser
from aes67.services.follow import Follower
from aes67.services.sap import SapService, Settings
from aes67.session.events import ClockChanged, ConfigChanged, Event, SinkChanged
from aes67.session.node import Node

log = logging.getLogger("aes67.discovery")

LOOK_SECONDS = 1.0
SETTLE_SECONDS = 0.05
"""A new grandmaster changes every source at once: they are announced together."""


class Discovery:
    """SAP and what follows from it, from `start` to `close`."""

    def __init__(self, node: Node) -> None:
        self.browser = Browser()
        self._node = node
        self._sap = SapService(self.browser, self._heard)
        self._follower = Follower(node, self.browser)
        self._watch: asyncio.Task[None] | None = None
        self._settle: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin to announce, to listen and to follow."""
        self._node.subscribe(self._happened)
        self._watch = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Take everything back that was announced; does nothing before `start`."""
        if self._watch is None:
            return
        self._watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watch
        self._watch = None
        if self._settle is not None:
            self._settle.cancel()
        await self._follower.close()
        self._sap.close()

    def sources(self, kind: str) -> list[dict[str, Any]]:
        """Remote sources as the contract lists them: `all`, `sap` or `mdns`."""
        now = time.monotonic_ns()
        found = self.browser.sources()
        return [each.contract(now) for each in found if kind in ("all", each.kind.lower())]

    def _happened(self, event: Event) -> None:
        if self._watch is None:
            return
        if isinstance(event, ClockChanged | SinkChanged):
            self._follower.look(anew=isinstance(event, ClockChanged))
        if isinstance(event, ConfigChanged) and "auto_sinks_update" in event.keys:
            self._follower.look(anew=True)
        if self._settle is None:
            loop = asyncio.get_running_loop()
            self._settle = loop.call_later(SETTLE_SECONDS, self._configure)

    async def _look(self) -> None:
        while True:
            try:
                self._configure()
            except Exception:
                log.exception("a program error in discovery")
            await asyncio.sleep(LOOK_SECONDS)

    def _configure(self) -> None:
        if self._settle is not None:
            self._settle.cancel()
            self._settle = None
        config, network = self._node.config, self._node.state.network
        interfaces = []
        for name in dict.fromkeys(config.interfaces):
            found = network.find(name)
            with contextlib.suppress(OSError):
                if found is not None and found.addresses:
                    interfaces.append((name, socket.if_nametoindex(name)))
        self._sap.configure(
            Settings(
                tuple(interfaces),
                config.sap_mcast_addr,
                config.sap_interval,
                network.address(config),
            )
        )
        sources = self._node.sources.values()
        described = {each.id: self._node.description(each.id) for each in sources if each.enabled}
        self._sap.announce(described)
        if self._sap.problem:
            self._node.warnings["sap"] = self._sap.problem
        else:
            self._node.warnings.pop("sap", None)

    def _heard(self) -> None:
        if any(each.what != "lost" for each in self.browser.changes()):
            self._follower.look()
