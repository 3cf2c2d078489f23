"""SAP on sockets: what `discovery.announcer` sends and what `discovery.browser` hears.

Every chosen interface has a socket of its own, which sends to the configured group and listens to
the two everybody uses as well; IPv6 is only listened to. What we send does not come back to us,
except on `lo`, where a node is its own neighbour.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aes67.discovery.announcer import SECOND_NS, Announcer
from aes67.discovery.browser import Browser
from aes67.net.udp import interface_address
from aes67.wire import sap

log = logging.getLogger("aes67.sap")

TTL = 255
MAX_DATAGRAM = 65_535
DATAGRAMS_PER_WAKE = 32
LONGEST_SLEEP_S = 60.0
GROUPS_IPV6 = (sap.GROUP_IPV6, "ff05::2:7ffe", "ff08::2:7ffe")
IP_MULTICAST_ALL = 49
IPV6_MULTICAST_ALL = 29


@dataclass(frozen=True)
class Settings:
    """Where and how: interfaces with their index, the group, seconds (0: automatic), address.

    `links` are the address of each interface and how often its link has come up: where one is
    another, sockets are opened anew, so that they send from an address that is there and the groups
    are joined again.
    """

    interfaces: tuple[tuple[str, int], ...]
    group: str
    interval_s: int
    origin: str
    links: tuple[tuple[str, int], ...] = ()


class SapService:
    """Announces and listens, from `configure` to `close`. Belongs to the loop's thread.

    Args:
        browser: hears everything; shared with mDNS.
        heard: called after each datagram and each expiry.
    """

    def __init__(self, browser: Browser, heard: Callable[[], None]) -> None:
        self.problem = ""
        """Why there is no SAP on some interface, in words."""
        self._browser, self._heard = browser, heard
        self._settings: Settings | None = None
        self._sessions: dict[int, str] = {}
        self._announcer = Announcer(0, random.random)
        self._senders: dict[str, socket.socket] = {}
        self._listeners: list[socket.socket] = []
        self._timer: asyncio.TimerHandle | None = None
        self._silent = False
        self._has_moved = False

    def configure(self, settings: Settings) -> None:
        """Use these settings; asked again with the same ones, try again what did not open.

        Another origin counts from the next `announce`, since descriptions name it.
        """
        before = self._settings
        where = before is None or (before.interfaces, before.group, before.links) != (
            settings.interfaces, settings.group, settings.links,
        )  # fmt: skip
        if before is not None and where:
            self._leave(before, settings)
        self._settings = settings
        self._browser.period_s = settings.interval_s
        self._announcer.change_interval(settings.interval_s, time.monotonic_ns())
        if where or self.problem:
            self._open(settings)
        if before is not None and before.origin != settings.origin:
            self._has_moved = True
        elif settings != before:
            self._announce()

    def announce(self, sessions: Mapping[int, str]) -> None:
        """Announce exactly these descriptions from now on."""
        if sessions != self._sessions or self._has_moved:
            self._sessions, self._has_moved = dict(sessions), False
            self._announce()

    def close(self) -> None:
        """Take all announcements back and be silent."""
        for datagram in self._announcer.close():
            self._send(datagram)
        self._close_sockets()
        if self._timer is not None:
            self._timer.cancel()
        self._settings = None

    def _announce(self) -> None:
        if self._settings is not None:
            sessions = self._sessions if self._settings.origin else {}
            now = time.monotonic_ns()
            self._announcer.announce(sessions, self._settings.origin or "0.0.0.0", now)
            self._run()

    def _leave(self, before: Settings, settings: Settings) -> None:
        """Take back what is announced where it will not be any more, the rest is announced anew,
        so that a new interface need not wait for the interval."""
        if before.group != settings.group:
            for datagram in self._announcer.close():
                self._send(datagram)
            return
        left = {name for name, _ in before.interfaces} - {name for name, _ in settings.interfaces}
        for datagram in self._announcer.deletions() if left else ():
            self._send(datagram, left)
        self._announcer.announce_again()

    def _run(self) -> None:
        """Do what is due and come back when something is."""
        now = time.monotonic_ns()
        self._announcer.heard_bytes = self._browser.announced_bytes
        if self._senders:  # else what is due is sent when there is a way out
            self._announcer.handle_timer(now)
        for datagram in self._announcer.outgoing():
            self._send(datagram)
        self._browser.handle_timer(now)
        self._heard()
        if self._timer is not None:
            self._timer.cancel()
        due = [self._announcer.next_deadline() if self._senders else None]
        due.append(self._browser.next_deadline())
        wait = min((at - now for at in due if at is not None), default=None)
        if wait is not None:
            seconds = min(max(wait / SECOND_NS, 0.0), LONGEST_SLEEP_S)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._run)

    def _send(self, datagram: bytes, only: set[str] | None = None) -> None:
        """Out of all interfaces, or those named."""
        assert self._settings is not None or not self._senders
        for name, sender in self._senders.items():
            if only is not None and name not in only:
                continue
            try:
                sender.sendto(datagram, (self._settings.group, sap.PORT))  # type: ignore[union-attr]
                self._silent = False
            except OSError as error:
                if not self._silent:
                    log.warning("SAP announcements do not get out: %s", error)
                self._silent = True

    def _open(self, settings: Settings) -> None:
        self._close_sockets()
        loop = asyncio.get_running_loop()
        problems = []
        for name, index in settings.interfaces:
            groups = {sap.GROUP_LOCAL, sap.GROUP_GLOBAL, settings.group}
            try:
                ipv4 = open_ipv4(name, index, groups)
            except OSError as error:
                problems.append(f"no SAP on {name}: {error.strerror or error}")
                continue
            self._senders[name] = ipv4
            self._listeners.append(ipv4)
            with contextlib.suppress(OSError):  # a machine without IPv6
                self._listeners.append(open_ipv6(name, index))
        for listener in self._listeners:
            loop.add_reader(listener.fileno(), self._readable, listener)
        self.problem = "; ".join(problems)

    def _close_sockets(self) -> None:
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener.fileno())
            listener.close()
        self._senders, self._listeners = {}, []

    def _readable(self, listener: socket.socket) -> None:
        for _ in range(DATAGRAMS_PER_WAKE):
            try:
                data, sender = listener.recvfrom(MAX_DATAGRAM)
            except OSError:
                break
            address = sender[0].partition("%")[0]
            self._browser.receive(data, address, time.monotonic_ns())
        self._run()


def open_ipv4(interface: str, index: int, groups: set[str]) -> socket.socket:
    """A socket on SAP's port of one interface, a member of the groups; sends out of it.

    Raises:
        OSError: no such interface, or the kernel will not.
    """
    sock = _bound(socket.AF_INET, interface, "")
    try:
        outgoing = struct.pack("=4s4si", bytes(4), interface_address(interface), index)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, outgoing)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, TTL)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, int(interface == "lo"))
        sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
        for group in sorted(groups):
            request = struct.pack("=4s4si", socket.inet_aton(group), bytes(4), index)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    except OSError:
        sock.close()
        raise
    return sock


def open_ipv6(interface: str, index: int) -> socket.socket:
    """The same for IPv6, only to listen.

    Raises:
        OSError: no IPv6 there.
    """
    sock = _bound(socket.AF_INET6, interface, "::")
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)
        for group in GROUPS_IPV6:
            request = socket.inet_pton(socket.AF_INET6, group) + struct.pack("=i", index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
    except OSError:
        sock.close()
        raise
    return sock


def _bound(family: socket.AddressFamily, interface: str, address: str) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, sap.PORT))
    except OSError:
        sock.close()
        raise
    return sock
