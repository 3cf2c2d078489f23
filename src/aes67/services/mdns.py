"""mDNS with zeroconf: the node and its sources are registered as RAVENNA services, others' found.

A session that is found is described by RTSP; that connection stays open for its changes. On `lo` a
node is its own neighbour, elsewhere it passes over itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zeroconf import IPVersion, NonUniqueNameException, ServiceInfo, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from aes67.discovery.browser import Browser
from aes67.discovery.remote import label, readable
from aes67.errors import WireError
from aes67.services import rtsp
from aes67.services.destinations import is_neighbour
from aes67.wire.rtsp import RtspUrl

log = logging.getLogger("aes67.mdns")

HTTP, RTSP = "_http._tcp.local.", "_rtsp._tcp.local."
NODE_HTTP = "_ravenna._sub._http._tcp.local."
NODE_RTSP = "_ravenna._sub._rtsp._tcp.local."
SESSION = "_ravenna_session._sub._rtsp._tcp.local."
DOMAIN = "local"
RESOLVE_MS = 3000
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Between tries to describe a service that is registered but does not answer."""
MAX_FOUND = 512
GOODBYES = 3
GOODBYE_SECONDS = 0.125
"""As zeroconf says its own."""


@dataclass(frozen=True)
class Settings:
    """Where and as what: interface, our address on it, the node's name, ports.

    `index` and `links` are the kernel's number of the interface and how often its link has come up:
    another number is another interface, and after a link was away everybody is told and asked anew
    (RFC 6762, 8).
    """

    interface: str
    address: str
    node_id: str
    http_port: int
    rtsp_port: int
    index: int = 0
    links: int = 0


@dataclass(frozen=True)
class _Service:
    """A service instance of ours, with the subtype it is also found by."""

    instance: str
    type: str
    subtype: str
    port: int


class MdnsService:
    """Registers and browses, from `configure` to `close`. Belongs to the loop's thread.

    Args:
        browser: the list of what is found; shared with SAP.
        heard: called when the list has changed.
    """

    def __init__(self, browser: Browser, heard: Callable[[], None]) -> None:
        self.problem = ""
        """Why there is no mDNS, in words."""
        self._browser, self._heard = browser, heard
        self._settings: Settings | None = None
        self._zeroconf: AsyncZeroconf | None = None
        self._listener: AsyncServiceBrowser | None = None
        self._ours: dict[_Service, list[ServiceInfo]] = {}
        self._found: dict[str, asyncio.Task[None]] = {}
        self._left: dict[_Service, list[ServiceInfo]] = {}
        """What an address that has gone could not take back."""

    async def configure(self, settings: Settings | None, sources: Mapping[int, str]) -> None:
        """Be there with these sources, by id and name; None: do not be there.

        The same again tries again what did not work.
        """
        if settings is None:
            await self.close()
            self._left.clear()
            return
        wanted = _services(settings, sources)
        before = self._settings
        if before is None or (before.interface, before.address, before.index) != (
            settings.interface, settings.address, settings.index,
        ):  # fmt: skip
            self._left |= self._ours
            await self.close()
            if not settings.address or not self._open(settings):
                return
            await self._take_back({(each.instance, each.type) for each in wanted})
        elif before.links != settings.links:
            await self._begin_anew()
        self._settings = settings
        await self._withdraw([each for each in self._ours if each not in wanted])
        new = [each for each in wanted if each not in self._ours]
        results = await asyncio.gather(*(self._register(each, settings) for each in new))
        self.problem = "; ".join(each for each in results if each)

    async def close(self) -> None:
        """Say goodbye and forget what was found."""
        found, tasks = list(self._found), list(self._found.values())
        self._found.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._zeroconf is not None:
            await self._withdraw(list(self._ours))
            if self._listener is not None:
                await self._listener.async_cancel()
            await self._zeroconf.async_close()
        self._zeroconf = self._listener = self._settings = None
        self.problem = ""
        for instance in found:
            self._browser.lost(instance, DOMAIN)
        self._heard()

    def _open(self, settings: Settings) -> bool:
        try:
            self._zeroconf = AsyncZeroconf(
                interfaces=[settings.address], ip_version=IPVersion.V4Only
            )
        except OSError as error:
            self.problem = f"no mDNS on {settings.interface}: {error.strerror or error}"
            return False
        self._listener = self._browsing(self._zeroconf)
        return True

    def _browsing(self, zeroconf: AsyncZeroconf) -> AsyncServiceBrowser:
        return AsyncServiceBrowser(zeroconf.zeroconf, SESSION, handlers=[self._changed])

    async def _begin_anew(self) -> None:
        """Announce what is ours and ask for others, as at the start; what is known stays."""
        assert self._zeroconf is not None
        if self._listener is not None:
            await self._listener.async_cancel()
        self._listener = self._browsing(self._zeroconf)
        ours = itertools.chain(*self._ours.values())
        await asyncio.gather(
            *[await self._zeroconf.async_update_service(info) for info in list(ours)]
        )

    # ours

    async def _register(self, service: _Service, settings: Settings) -> str:
        """Register under type and subtype; a sentence if the name is taken."""
        assert self._zeroconf is not None
        infos = self._ours[service] = _infos(service, settings)
        try:
            await (await self._zeroconf.async_register_service(infos[0]))
            await (
                await self._zeroconf.async_register_service(infos[1], cooperating_responders=True)
            )
        except NonUniqueNameException:
            del self._ours[service]
            return f"mDNS: another node has the name {service.instance!r}"
        return ""

    async def _take_back(self, wanted: set[tuple[str, str]]) -> None:
        """Say goodbye, from the address we have now, to what we were under another one.

        The old address could not send it any more. What is registered again under its old name
        replaces its records itself.
        """
        assert self._zeroconf is not None
        left, self._left = self._left, {}
        gone = [infos for each, infos in left.items() if (each.instance, each.type) not in wanted]
        zeroconf = self._zeroconf.zeroconf
        for _ in range(GOODBYES if gone else 0):
            for info in itertools.chain(*gone):
                zeroconf.async_send(zeroconf.generate_service_broadcast(info, 0))
            await asyncio.sleep(GOODBYE_SECONDS)

    async def _withdraw(self, services: list[_Service]) -> None:
        if self._zeroconf is None:
            return
        goodbyes = []
        for service in services:
            for info in self._ours.pop(service):
                goodbyes.append(await self._zeroconf.async_unregister_service(info))
        if goodbyes:
            await asyncio.gather(*goodbyes)

    # others

    def _changed(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        if not name.endswith(f".{RTSP}"):
            return
        instance = name.removesuffix(f".{RTSP}")
        if state_change is ServiceStateChange.Removed:
            task = self._found.pop(instance, None)
            if task is not None:
                task.cancel()
            self._browser.lost(instance, DOMAIN)
            self._heard()
            return
        if instance in self._found:
            return  # where it moves to is asked when the connection ends
        if len(self._found) >= MAX_FOUND:
            self._browser.counters["refused"] += 1
            return
        self._found[instance] = asyncio.create_task(self._follow(zeroconf, instance))

    async def _follow(self, zeroconf: Zeroconf, instance: str) -> None:
        """Resolve, describe and stay connected, again and again until the service is gone."""
        tries = 0
        while True:
            with contextlib.suppress(OSError, WireError):
                where = await self._resolve(zeroconf, instance)
                if where is None:
                    return
                host, port = where

                def described(name: str, text: bytes, host: str = host) -> None:
                    nonlocal tries
                    tries = 0
                    now = time.monotonic_ns()
                    self._browser.found(instance, DOMAIN, host, readable(text), now)
                    self._heard()

                await rtsp.follow(RtspUrl(host, port, f"/by-name/{instance}"), described)
            await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
            tries += 1

    async def _resolve(self, zeroconf: Zeroconf, instance: str) -> tuple[str, int] | None:
        """Address and port of an instance; None: it is our own and passed over.

        Raises:
            OSError: nobody says where it is.
        """
        info = AsyncServiceInfo(RTSP, f"{instance}.{RTSP}")
        known = await info.async_request(zeroconf, RESOLVE_MS)
        addresses = info.parsed_addresses(IPVersion.V4Only)
        if not known or not addresses or not info.port:
            raise OSError("nobody says where it is")
        settings = self._settings
        assert settings is not None
        own = any(each.instance == instance for each in self._ours)
        own = own and settings.address in addresses
        if settings.interface == "lo":
            return (settings.address, info.port) if own else None
        if own:
            return None
        for address in addresses:
            if is_neighbour(address):
                return address, info.port
        raise OSError("nobody can be there")


def _services(settings: Settings, sources: Mapping[int, str]) -> list[_Service]:
    node = settings.node_id
    wanted = [
        _Service(label(node), HTTP, NODE_HTTP, settings.http_port),
        _Service(label(node), RTSP, NODE_RTSP, settings.rtsp_port),
    ]
    for name in sources.values():
        wanted.append(_Service(label(f"{node} {name}"), RTSP, SESSION, settings.rtsp_port))
    return list(dict.fromkeys(wanted))


def _infos(service: _Service, settings: Settings) -> list[ServiceInfo]:
    """The instance under its type, and under its subtype (RFC 6763, 7.1): the same records but for
    the PTR's name. zeroconf knows an instance only once, hence the second one's other key."""
    host = f"{settings.interface}-{settings.address.replace('.', '-')}.aes67.local."
    name = f"{service.instance}.{service.type}"
    infos = [
        ServiceInfo(kind, name, service.port, server=host, parsed_addresses=[settings.address])
        for kind in (service.type, service.subtype)
    ]
    infos[1].key = f"{service.subtype} {name}".lower()
    return infos
