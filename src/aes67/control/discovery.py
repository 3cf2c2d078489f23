"""Discovery of the control process: what the node is found by, and what it finds.

Looks at the node after each change and at its network once a second, and tells the services.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any, Protocol, TypeVar

from aes67.discovery.browser import Browser
from aes67.discovery.rtsp_server import by_path
from aes67.services import mdns
from aes67.services.follow import Follower
from aes67.services.rtsp import RtspService
from aes67.services.sap import SapService, Settings
from aes67.services.tcp import PortBusy
from aes67.session.events import ClockChanged, ConfigChanged, Event, SinkChanged
from aes67.session.node import Node
from aes67.wire.rtsp import RtspUrl

log = logging.getLogger("aes67.discovery")

LOOK_SECONDS = 1.0
SETTLE_SECONDS = 0.05
"""A new grandmaster changes every source at once: they are announced together."""


class Discovery:
    """SAP, mDNS, RTSP and what follows from them, from `start` to `close`."""

    def __init__(self, node: Node) -> None:
        self.browser = Browser()
        self._node = node
        self._sap = SapService(self.browser, self._heard)
        self._follower = Follower(node, self.browser)
        self._rtsp: dict[str, RtspService] = {}
        """Servers by interface."""
        self._mdns: dict[str, mdns.MdnsService] = {}
        """The same."""
        self.also_at_network_changes: Callable[[], None] = lambda: None
        """Called when an address, a link or an interface is another one."""
        self._watches: list[asyncio.Task[None]] = []
        self._wakes: list[asyncio.Event] = []
        self._described: dict[int, str] = {}
        """What the RTSP server's sessions know."""

    async def start(self) -> None:
        """Begin to announce, to listen and to follow.

        Raises:
            PortBusy: another program has the RTSP port. Later that is only a warning.
        """
        await self._configure_rtsp()
        for server in self._rtsp.values():
            if server.problem:
                raise PortBusy(server.problem)
        self._node.subscribe(self._happened)
        # registering with mDNS takes seconds, so it has a task of its own
        for work in (self._configure, self._configure_mdns):
            wake = asyncio.Event()
            self._wakes.append(wake)
            self._watches.append(asyncio.create_task(self._look(work, wake)))

    async def close(self) -> None:
        """Take everything back that was announced; does nothing before `start`."""
        if not self._watches:
            return
        watches, self._watches = self._watches, []
        for watch in watches:
            watch.cancel()
        await asyncio.wait(watches)
        await self._follower.close()
        for responder in self._mdns.values():
            await responder.close()
        for server in self._rtsp.values():
            await server.close()
        self._sap.close()

    def network_changed(self) -> None:
        """Look at the network now: an address or a link is another one."""
        for wake in self._wakes:
            wake.set()
        self.also_at_network_changes()

    def follow_from(self, silent: Callable[[], set[int]]) -> None:
        """`silent` says which sinks hear nothing: these follow their stream to another sender."""
        self._follower.silent = silent

    def sources(self, kind: str) -> list[dict[str, Any]]:
        """Remote sources as the contract lists them: `all`, `sap` or `mdns`."""
        now = time.monotonic_ns()
        found = self.browser.sources()
        return [each.contract(now) for each in found if kind in ("all", each.kind.lower())]

    def _happened(self, event: Event) -> None:
        if not self._watches:
            return
        if isinstance(event, ClockChanged | SinkChanged):
            self._follower.look(anew=isinstance(event, ClockChanged))
        if isinstance(event, ConfigChanged) and "auto_sinks_update" in event.keys:
            self._follower.look(anew=True)
        for wake in self._wakes:
            wake.set()

    async def _look(self, work: Callable[[], Awaitable[None]], wake: asyncio.Event) -> None:
        while True:
            wake.clear()
            try:
                await work()
            except Exception:
                log.exception("a program error in discovery")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await wake.wait()
                    await asyncio.sleep(SETTLE_SECONDS)

    async def _configure(self) -> None:
        self._configure_sap()
        await self._configure_rtsp()

    async def _configure_mdns(self) -> None:
        node, config = self._node, self._node.config
        wanted = config.registered_on if config.mdns_enabled else ()
        await _close_others(self._mdns, wanted)
        names = {each.id: each.name for each in node.sources.values() if each.enabled}
        for interface in wanted:
            if interface not in self._mdns:
                self._mdns[interface] = mdns.MdnsService(self.browser, self._heard)
            settings = mdns.Settings(
                interface,
                self._address(interface),
                node.computed.node_id,
                config.http_port,
                config.rtsp_port,
                *self._link(interface),
            )
            await self._mdns[interface].configure(settings, names)
        self._warn("mdns", _problems(self._mdns))

    def _address(self, interface: str) -> str:
        """Our address there, empty without one."""
        config, network = self._node.config, self._node.state.network
        if interface == config.interfaces[0]:
            return network.address(config)
        found = network.find(interface)
        return found.addresses[0] if found is not None and found.addresses else ""

    def _link(self, interface: str) -> tuple[int, int]:
        found = self._node.state.network.find(interface)
        return (found.index, found.links) if found is not None else (0, 0)

    def _configure_sap(self) -> None:
        config, network = self._node.config, self._node.state.network
        interfaces, links = [], []
        for name in config.announced_on:
            found = network.find(name)
            with contextlib.suppress(OSError):
                if found is not None and found.addresses:
                    interfaces.append((name, socket.if_nametoindex(name)))
                    links.append((found.addresses[0], found.links))
        self._sap.configure(
            Settings(
                tuple(interfaces),
                config.sap_mcast_addr,
                config.sap_interval,
                network.address(config),
                tuple(links),
            )
        )
        sources = self._node.sources.values()
        described = {
            each.id: self._node.description(each.id, "sap") for each in sources if each.enabled
        }
        self._sap.announce(described)
        self._warn("sap", self._sap.problem)

    async def _configure_rtsp(self) -> None:
        config, network = self._node.config, self._node.state.network
        wanted = config.registered_on
        await _close_others(self._rtsp, wanted)
        for interface in wanted:
            if interface not in self._rtsp:
                self._rtsp[interface] = RtspService(self._find)
            await self._rtsp[interface].configure(self._address(interface), config.rtsp_port)
        self._warn("rtsp", _problems(self._rtsp))
        node = self._node
        described = {number: node.description(number, "rtsp") for number in node.sources}
        for number, text in described.items():
            if self._described.get(number) != text:
                name = f"{network.node_id(config)} {self._node.source(number).name}"
                for interface, server in self._rtsp.items():
                    url = RtspUrl(self._address(interface), config.rtsp_port, f"/by-name/{name}")
                    server.changed(number, url.text, text)
        self._described = described

    def _find(self, path: str) -> tuple[int, str] | None:
        node = self._node
        sources = [(each.id, each.name, each.enabled) for each in node.sources.values()]
        number = by_path(path, node.computed.node_id, sources)
        return None if number is None else (number, node.description(number, "rtsp"))

    def _warn(self, key: str, problem: str) -> None:
        if self._node.warn(key, problem):
            log.warning("%s", problem)

    def _heard(self) -> None:
        if self._watches and any(each.what != "lost" for each in self.browser.changes()):
            self._follower.look()


class _Service(Protocol):
    """What an interface's mDNS responder and RTSP server have in common."""

    @property
    def problem(self) -> str: ...

    async def close(self) -> None: ...


_Of = TypeVar("_Of", bound=_Service)


async def _close_others(services: MutableMapping[str, _Of], wanted: Collection[str]) -> None:
    """Close the services of interfaces that are not wanted any more.

    Each is ours until it is closed: this may be cancelled.
    """
    for name in [each for each in services if each not in wanted]:
        await services[name].close()
        del services[name]


def _problems(services: Mapping[str, _Service]) -> str:
    return "; ".join(each.problem for each in services.values() if each.problem)
