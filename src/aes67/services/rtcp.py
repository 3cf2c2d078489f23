"""RTCP on sockets, one for each media socket of the plan, on the port after it.

The tick has no part in it: reports are made of the counters it publishes. What is sent to a group
is heard without joining anything, since the engine has joined it for its media.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import time
from collections.abc import Callable
from typing import Any

from aes67.net.udp import send_from
from aes67.services.background import end
from aes67.session.node import Node
from aes67.session.reports import INTERVAL_NS, Reports, Sending, receiving, rtp_timestamp

log = logging.getLogger("aes67.rtcp")

MAX_DATAGRAM = 2048
DATAGRAMS_PER_WAKE = 32
LOOK_SECONDS = 1.0
_Place = tuple[str, int]
"""Interface and RTCP port."""


class RtcpService:
    """Sends and takes reports while `rtcp_enabled`, from `start` to `close`.

    Args:
        snapshot: the engine's counters, None without an engine.
    """

    def __init__(self, node: Node, snapshot: Callable[[], dict[str, Any] | None]) -> None:
        self.problem = ""
        """Why there is no RTCP on some port, in words."""
        self._node, self._snapshot = node, snapshot
        self._random = random.SystemRandom()
        self.reports = Reports(self._random.getrandbits(32), b"")
        self._sockets: dict[_Place, tuple[int, str, socket.socket]] = {}
        """With index and address of the interface when it was opened."""
        self._task: asyncio.Task[None] | None = None
        self._due = time.monotonic_ns()
        self._sent: dict[int, tuple[int, _Place, str]] = {}
        """Sources that were reported on, by SSRC: which, from where and to whom."""

    def start(self) -> None:
        """Begin to look at the node."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Say goodbye for all sources and be silent."""
        await end(self._task)
        self._task = None
        self._leave(set(self._sent))
        for place in list(self._sockets):
            self._close(place)

    def source_view(self, ssrc: int) -> list[dict[str, Any]]:
        """Who says that it receives a source, and how."""
        now, rate = time.monotonic_ns(), self._node.state.rate
        return [
            {
                "address": each.address,
                "name": self.reports.name(each.ssrc),
                "lost": each.block.cumulative_lost,
                "lost_now": round(each.block.fraction_lost / 256, 4),
                "jitter_us": round(each.block.jitter * 1e6 / rate, 1),
                "age_s": round((now - each.at_ns) / 1e9, 1),
            }
            for each in self.reports.reporters(ssrc, now)
        ]

    def sink_view(self, ssrc: int) -> dict[str, Any] | None:
        """What the sender of a stream says of itself; None when it says nothing."""
        now = time.monotonic_ns()
        found = self.reports.sender(ssrc, now)
        if found is None:
            return None
        return {
            "address": found.address,
            "name": self.reports.name(ssrc),
            "packets": found.report.packets,
            "octets": found.report.octets,
            "age_s": round((now - found.at_ns) / 1e9, 1),
        }

    async def _run(self) -> None:
        while True:
            try:
                self._look()
            except Exception:
                log.exception("a program error in RTCP")
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self) -> None:
        node = self._node
        enabled = bool(node.config.rtcp_enabled)
        self._open(self._wanted() if enabled else {})
        if not enabled:
            self._sent.clear()
            return
        now = time.monotonic_ns()
        there = node.plan.destinations
        self._leave({ssrc for ssrc, (number, *_) in self._sent.items() if number not in there})
        self.reports.cname = f"{node.computed.node_id}@{node.computed.ip_addr}".encode()
        if now >= self._due:
            self._due = now + round(INTERVAL_NS * self._random.uniform(0.5, 1.5))
            self._report(self._snapshot() or {}, now)

    # sockets

    def _wanted(self) -> dict[_Place, tuple[int, str]]:
        """Interface and port of every socket there should be, with index and address."""
        media = {(each["interface"], each["port"]) for each in self._node.plan.message["sockets"]}
        wanted = {}
        for name, port in sorted(media):
            there = self._node.state.network.find(name)
            if there is not None and (name, port + 1) not in media and port < 65535:
                address = there.addresses[0] if there.addresses else ""
                wanted[name, port + 1] = (there.index, address)
        return wanted

    def _open(self, wanted: dict[_Place, tuple[int, str]]) -> None:
        for place, (index, address, _) in list(self._sockets.items()):
            if wanted.get(place) != (index, address):
                self._close(place)
        problems = []
        for place, (index, address) in wanted.items():
            if place in self._sockets:
                continue
            try:
                opened = open_rtcp(*place)
            except OSError as error:
                problems.append(f"no RTCP on {place[0]}, port {place[1]}: {error.strerror}")
                continue
            self._sockets[place] = (index, address, opened)
            asyncio.get_running_loop().add_reader(opened.fileno(), self._readable, opened)
        if problems and "; ".join(problems) != self.problem:
            log.warning("%s", "; ".join(problems))
        self.problem = "; ".join(problems)

    def _close(self, place: _Place) -> None:
        _, _, opened = self._sockets.pop(place)
        asyncio.get_running_loop().remove_reader(opened.fileno())
        opened.close()

    def _readable(self, opened: socket.socket) -> None:
        for _ in range(DATAGRAMS_PER_WAKE):
            try:
                data, address = opened.recvfrom(MAX_DATAGRAM)
            except OSError:
                return
            self.reports.receive(data, address[0], time.monotonic_ns())

    def _send(self, place: _Place, address: str, data: bytes) -> None:
        if place in self._sockets:
            with contextlib.suppress(OSError):  # the network's, which the media tell of as well
                self._sockets[place][2].sendto(data, (address, place[1]))

    # reports

    def _report(self, snapshot: dict[str, Any], now: int) -> None:
        sources = self._report_sources(snapshot)
        self._leave(set(self._sent) - set(sources))
        self._sent = sources
        self.reports.sending(set(sources))
        legs = snapshot.get("legs", {})
        for number, ways in self._node.plan.legs.items():
            for (interface, way), leg in zip(ways, legs.get(number, ()), strict=False):
                if leg["ssrc"] < 0:
                    continue
                heard = self.reports.sender(leg["ssrc"], now)
                sender = heard.address if heard else way.source
                if sender:
                    data = self.reports.of_sink(receiving(leg), now)
                    self._send((interface, way.port + 1), sender, data)

    def _report_sources(self, snapshot: dict[str, Any]) -> dict[int, tuple[int, _Place, str]]:
        config, rate = self._node.config, self._node.state.rate
        media_ns = snapshot.get("clock", {}).get("media_now_ns", 0)
        unix_ns = time.time_ns()
        timestamp = rtp_timestamp(media_ns, rate)
        found = {}
        for number, source in self._node.plan.destinations.items():
            counters = snapshot.get("sources", {}).get(number)
            if not counters or not counters["packets"]:
                continue
            ssrc = counters["ssrc"]
            place = (config.interfaces[0], config.rtp_port + 1)
            found[ssrc] = (number, place, source)
            sending = Sending(ssrc, counters["packets"], counters["bytes"], timestamp)
            self._send(place, source, self.reports.of_source(sending, unix_ns))
        return found

    def _leave(self, ssrcs: set[int]) -> None:
        for ssrc in ssrcs:
            _, place, address = self._sent.pop(ssrc)
            self._send(place, address, self.reports.goodbye(ssrc))


def open_rtcp(interface: str, port: int) -> socket.socket:
    """A non-blocking socket for reports on one interface.

    Raises:
        OSError: no such interface, or somebody has the port and does not share it.
    """
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 15)
        send_from(opened, interface)
        opened.bind(("", port))
    except OSError:
        opened.close()
        raise
    return opened
