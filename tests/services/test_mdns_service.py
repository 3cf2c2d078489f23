"""mDNS on real sockets: two nodes on a cable, and a node alone on lo."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from aes67.discovery.browser import Browser
from aes67.services.mdns import RTSP, SESSION, MdnsService, Settings
from aes67.services.rtsp import RtspService
from sim.http_node import SOURCE, http_node
from sim.netns import Namespace, ip, namespaces, plug, veth_pair
from sim.waiting import until

pytestmark = pytest.mark.root
TEXT = "v=0\no=- 1 1 IN IP4 10.67.0.1\ns=x\nt=0 0\n"


def names(browser: Browser) -> list[str]:
    return [each.name for each in browser.sources()]


async def test_sources_are_found_described_and_lost_over_a_cable() -> None:
    near, far = Browser(), Browser()
    ann, bob = MdnsService(near, lambda: None), MdnsService(far, lambda: None)
    long = "x" * 63  # with the node's name more than a label holds
    asked: list[str] = []

    def find(path: str) -> tuple[int, str]:
        asked.append(path)
        return 1, TEXT

    server = RtspService(find)
    with veth_pair() as (a, b, interface):
        here = Settings(interface, "10.67.0.1", "Ann", 8080, 8854)
        with a.entered():
            await server.configure("10.67.0.1", 8854)
        with b.entered():
            await bob.configure(Settings(interface, "10.67.0.2", "Bob", 8080, 8854), {})
        with a.entered():
            await ann.configure(here, {0: "S 0", 1: "S.1", 2: long})
        with b.entered():
            await until(lambda: len(names(far)) == 3)
        assert names(far) == ["Ann S 0", "Ann S\N{ONE DOT LEADER}1", f"Ann {long}"[:63]]
        assert {(each.sdp, each.address) for each in far.sources()} == {(TEXT, "10.67.0.1")}
        assert sorted(asked) == [f"/by-name/{name}" for name in names(far)]
        assert ann.problem == bob.problem == ""
        with a.entered():
            await ann.configure(here, {0: "S 0"})
            await until(lambda: names(far) == ["Ann S 0"])
            await ann.close()
        await until(lambda: names(far) == [])
        assert names(near) == []  # of itself a node on a real interface knows
        await bob.close()
        await server.close()


def heard_at(where: Namespace, interface: str) -> socket.socket:
    """A socket that hears all mDNS of an interface."""
    with where.entered():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("224.0.0.251", 5353))
        group = struct.pack("=4s4si", socket.inet_aton("224.0.0.251"), bytes(4),
                            socket.if_nametoindex(interface))  # fmt: skip
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        sock.setblocking(False)
    return sock


def messages(sock: socket.socket) -> Iterator[bytes]:
    """What waits at the socket."""
    while True:
        try:
            yield sock.recv(9000)
        except BlockingIOError:
            return


async def test_after_a_link_was_away_all_is_told_and_asked_anew() -> None:
    ann = MdnsService(Browser(), lambda: None)
    with veth_pair() as (a, b, interface):
        with a.entered():
            here = Settings(interface, "10.67.0.1", "Ann", 8080, 8854, 2, 1)
            await ann.configure(here, {0: "S 0"})
        with heard_at(b, interface) as sock:
            told: set[bool] = set()

            def both() -> bool:
                for message in messages(sock):
                    is_answer = bool(message[2] & 0x80)
                    if is_answer and b"Ann S 0" in message:
                        told.add(True)
                    elif not is_answer and b"\0\x0c\x80\x01" in message:
                        told.add(False)  # a PTR asked for as a newcomer does (RFC 6762, 5.4)
                return told == {True, False}

            with a.entered():
                again = asyncio.create_task(ann.configure(replace(here, links=2), {0: "S 0"}))
                await until(both)
                await again
                await ann.close()


async def test_an_interface_that_is_made_again_is_used_again() -> None:
    far = Browser()
    ann, bob = MdnsService(Browser(), lambda: None), MdnsService(far, lambda: None)
    server = RtspService(lambda path: (1, TEXT))

    def finds(name: str) -> bool:
        return names(far) == [name]

    with veth_pair() as (a, b, interface):
        for name in ("before", "after"):
            with a.entered():
                index = socket.if_nametoindex(interface)
                here = Settings(interface, "10.67.0.1", "Ann", 8080, 8854, index)
                await server.configure("10.67.0.1", 8854)
                await ann.configure(here, {0: name})
            with b.entered():
                index = socket.if_nametoindex(interface)
                there = Settings(interface, "10.67.0.2", "Bob", 8080, 8854, index)
                await bob.configure(there, {})
                await until(partial(finds, f"Ann {name}"))
            ip("-n", a.name, "link", "delete", interface)
            plug(a, b, interface)
        with a.entered():
            await ann.close()
        with b.entered():
            await bob.close()
        await server.close()


async def test_nobody_is_led_to_where_no_neighbour_is() -> None:
    """What a stranger registers could else make us talk to services of our own machine."""
    found, callers = Browser(), []
    ann = MdnsService(found, lambda: None)
    server = RtspService(lambda path: (1, TEXT))
    with veth_pair() as (a, b, interface):
        with a.entered():
            own = await asyncio.start_server(lambda r, w: callers.append(w), "127.0.0.1", 8854)
            await ann.configure(Settings(interface, "10.67.0.1", "Ann", 8080, 8854), {})
        with b.entered():
            await server.configure("10.67.0.2", 8854)
            evil = AsyncZeroconf(interfaces=["10.67.0.2"])
            for name, address in (("Evil", "127.0.0.1"), ("Good", "10.67.0.2")):
                full = f"{name}.{RTSP}"
                info = ServiceInfo(
                    SESSION, full, 8854, server=f"{name}.local.", parsed_addresses=[address]
                )
                info.key = f"{SESSION} {full}".lower()
                await (await evil.async_register_service(info, cooperating_responders=True))
        with a.entered():
            await until(lambda: names(found) == ["Good"])
            await ann.close()
        assert callers == []
        await evil.async_close()
        await server.close()
        own.close()


async def test_a_node_on_lo_finds_itself(tmp_path: Path) -> None:
    with namespaces(1) as [where], where.entered():
        async with http_node(tmp_path, custom_node_id="Box") as node:
            await node.client.put("/api/source/0", json=SOURCE | {"name": "S"})
            await node.control.discovery.start()
            browser = node.control.discovery.browser
            await until(lambda: {each.kind for each in browser.sources()} == {"SAP", "mDNS"})
            answer = await node.client.get("/api/browse/sources/mdns")
            [found] = answer.json()["remote_sources"]
            text = (await node.client.get("/api/source/sdp/0")).text
            assert (found["source"], found["name"], found["domain"], found["sdp"]) == (
                "mDNS", "Box S", "local", text,
            )  # fmt: skip
            await node.client.put("/api/source/0", json=SOURCE | {"name": "S", "ttl": 7})
            await until(lambda: all("/7\n" in each.sdp for each in browser.sources()))
            await node.client.post("/api/config", json={"mdns_enabled": False})
            await until(lambda: [each.kind for each in browser.sources()] == ["SAP"])
