"""Accidents of an interface and what the engine does about them, on real ones, without a tick."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from aes67.engine.network import NetworkKeeper
from aes67.engine.plan import Plan
from aes67.engine.sockets import Sockets
from aes67.errors import Refused
from aes67.net.interfaces import interface
from aes67.wire.igmp import Query, pack_query
from e2e.places import Link, Namespace, ip
from sim.plans import plan_message
from sim.waiting import until

pytestmark = pytest.mark.root

libc = ctypes.CDLL(None, use_errno=True)
PORT = 5004
GROUPS = [f"239.67.0.{number}" for number in range(25)]
"""More than one helper socket takes."""


class Media:
    """The engine's sockets without an engine."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.sockets = plan, Sockets()
        self.applied = 0
        self.reapply()

    @property
    def stale(self) -> bool:
        return self.sockets.stale(self.plan)

    def reapply(self) -> None:
        change = self.sockets.prepare(self.plan)
        self.sockets.commit(change)
        self.descriptors = change.descriptors
        self.applied += 1

    def readdress(self) -> None:
        self.sockets.readdress(self.plan)

    def rejoin(self, index: int) -> int:
        return self.sockets.rejoin(index)

    def send(self, group: str) -> None:
        with socket.fromfd(self.descriptors[0], socket.AF_INET, socket.SOCK_DGRAM) as media:
            media.sendto(b"x", (group, PORT))


@pytest.fixture
def wire() -> Iterator[Link]:
    with Namespace(), Link() as link:
        yield link


def plan_on(name: str) -> Plan:
    members: list[dict[str, Any]] = [
        {"interface": name, "group": group, "source": None} for group in GROUPS
    ]
    members.append({"interface": name, "group": "232.1.1.1", "source": "10.67.0.2"})
    return Plan.from_json(
        plan_message(sockets=[{"interface": name, "port": PORT}], memberships=members)
    )


def joined(name: str) -> set[str]:
    """Groups the kernel is a member of, as it lists them itself."""
    shown = subprocess.run(
        ["ip", "-4", "maddress", "show", "dev", name], capture_output=True, text=True, check=True
    )
    return {line.split()[1] for line in shown.stdout.splitlines() if "inet " in line}


class Running:
    """A keeper on the loop, and what it told."""

    def __init__(self, media: Media) -> None:
        self.back: list[str] = []
        self.told = 0
        self.keeper = NetworkKeeper(media, media.reapply, self.back.append, self._changed)
        self.keeper.start()

    def _changed(self) -> None:
        self.told += 1

    def link(self, name: str) -> dict[str, Any]:
        return dict(self.keeper.snapshot()["interfaces"][name])


def reports(name: str) -> socket.socket:
    """A socket that sees the IGMP that arrives at an interface."""
    seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    seen.bind((name, 0x0800))
    seen.setblocking(False)
    return seen


def reported(seen: socket.socket) -> set[str]:
    """Groups in the IGMPv3 reports waiting there that are joined, not left."""
    groups: set[str] = set()
    while True:
        try:
            packet, address = seen.recvfrom(65536)
        except BlockingIOError:
            return groups
        body = packet[4 * (packet[0] & 15) :]
        if packet[9] != 2 or body[0] != 0x22 or address[2] == socket.PACKET_OUTGOING:
            continue
        at = 8
        for _ in range(struct.unpack_from(">H", body, 6)[0]):
            kind, _, sources = struct.unpack_from(">BBH", body, at)
            if kind in (2, 4) or (kind in (1, 3, 5) and sources):
                groups.add(socket.inet_ntoa(body[at + 4 : at + 8]))
            at += 8 + 4 * sources


def test_a_link_that_comes_back_hears_of_every_group_again(wire: Link) -> None:
    """Only the other end loses and regains its carrier: nothing tells our kernel to report."""

    async def scenario() -> None:
        media = Media(plan_on(wire.near))
        running = Running(media)
        ip("link", "set", wire.far, "down", prefix=wire.far_prefix)
        await until(lambda: not running.link(wire.near)["running"])
        ip("link", "set", wire.far, "up", prefix=wire.far_prefix)
        with far_reports(wire) as seen:
            await until(lambda: running.link(wire.near)["rejoins"] == 1)
            heard: set[str] = set()

            def all_heard() -> bool:
                heard.update(reported(seen))
                return heard >= {*GROUPS, "232.1.1.1"}

            await until(all_heard)
        assert running.back == [wire.near]
        assert media.applied == 1, "no socket was touched"
        running.keeper.close()
        media.sockets.close()

    asyncio.run(scenario())


def far_reports(wire: Link) -> socket.socket:
    """`reports` at the far end."""
    keeper = wire.far_prefix[2].removeprefix("--target=")
    with open("/proc/thread-self/ns/net", "rb") as home, open(f"/proc/{keeper}/ns/net") as there:
        assert libc.setns(there.fileno(), 0) == 0
        try:
            return reports(wire.far)
        finally:
            assert libc.setns(home.fileno(), 0) == 0


def test_another_address_is_sent_from_at_once(wire: Link) -> None:
    async def scenario() -> None:
        media = Media(plan_on(wire.near))
        running = Running(media)
        seen = far_reports(wire)
        ip("address", "add", "10.99.0.5/24", "dev", wire.near)
        ip("address", "del", "10.67.0.1/24", "dev", wire.near)
        ip("route", "replace", "224.0.0.0/4", "dev", wire.near)

        def sent_from() -> set[str]:
            try:
                media.send("239.1.2.3")
            except OSError:
                return set()  # as long as it has the old address
            found: set[str] = set()
            while True:
                try:
                    packet, _ = seen.recvfrom(65536)
                except BlockingIOError:
                    return found
                if packet[9] == 17:
                    found.add(socket.inet_ntoa(packet[12:16]))

        await until(lambda: "10.99.0.5" in sent_from())
        assert running.link(wire.near)["rejoins"] == 0, "the link was never away"
        assert media.applied == 1, "no socket was opened anew"
        seen.close()
        running.keeper.close()
        media.sockets.close()

    asyncio.run(scenario())


def test_an_interface_that_is_made_again_gets_sockets_and_groups(wire: Link) -> None:
    async def scenario() -> None:
        media = Media(plan_on(wire.near))
        running = Running(media)
        before = interface(wire.near).index
        ip("link", "delete", wire.near)
        ip("link", "add", wire.near, "type", "veth", "peer", "other")
        ip("address", "add", "10.67.0.1/24", "dev", wire.near)
        ip("link", "set", "other", "up")
        ip("link", "set", wire.near, "up")
        await until(lambda: media.applied == 2)
        assert interface(wire.near).index != before
        assert joined(wire.near) >= {*GROUPS, "232.1.1.1"}
        assert wire.near in running.back
        running.keeper.close()
        media.sockets.close()

    asyncio.run(scenario())


def test_while_it_is_away_nothing_is_opened_and_nothing_breaks(wire: Link) -> None:
    async def scenario() -> None:
        media = Media(plan_on(wire.near))
        running = Running(media)
        ip("link", "delete", wire.near)
        await until(lambda: wire.near not in running.keeper.snapshot()["interfaces"])
        assert media.applied == 1
        running.keeper.close()
        media.sockets.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("version", [2, 3])
def test_who_asks_for_groups_is_noticed(wire: Link, version: int) -> None:
    async def scenario() -> None:
        media = Media(plan_on(wire.near))
        running = Running(media)
        assert running.keeper.snapshot()["igmp"]
        assert running.link(wire.near)["querier"] == ""
        ask(wire, pack_query(Query(version, "239.67.0.1")), "239.67.0.1")
        ask(wire, pack_query(Query(version, "0.0.0.0"))[:-1], "224.0.0.1")
        ask(wire, pack_query(Query(version, "0.0.0.0")), "224.0.0.1")
        await until(lambda: running.link(wire.near)["querier"] == "10.67.0.2")
        assert running.link(wire.near)["querier_version"] == version
        assert running.link(wire.near)["queried_s"] < 5
        assert running.link("lo")["querier"] == ""
        running.keeper.close()
        media.sockets.close()

    asyncio.run(scenario())


def ask(wire: Link, message: bytes, group: str) -> None:
    """Send an IGMP message from the far end, as a switch would."""
    program = (
        "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 2); "
        "s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('10.67.0.2')); "
        f"s.sendto(bytes.fromhex('{message.hex()}'), ('{group}', 0))"
    )
    subprocess.run([*wire.far_prefix, "python3", "-c", program], check=True)


def test_a_plan_that_is_refused_is_tried_again_and_then_left(wire: Link) -> None:
    class Refusing(Media):
        tries = 0

        @property
        def stale(self) -> bool:
            return self.tries < 3

        def refuse(self) -> None:
            self.tries += 1
            raise Refused("sockets[0]", "near:5004", "not yet")

    async def scenario() -> None:
        media = Refusing(plan_on(wire.near))
        keeper = NetworkKeeper(media, media.refuse, lambda name: None, lambda: None)
        keeper.start()
        await until(lambda: media.tries == 3)
        keeper.close()
        media.sockets.close()

    asyncio.run(scenario())
