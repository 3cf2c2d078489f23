"""SAP on real sockets: two nodes on a cable, a node alone on lo, a sink that follows."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aes67.discovery.browser import Browser
from aes67.services.sap import SapService, Settings
from aes67.wire import sap
from sim.http_node import SINK, SOURCE, HttpNode, http_node
from sim.netns import Namespace, namespaces, veth_pair
from sim.waiting import until

pytestmark = pytest.mark.root
Cable = tuple[Namespace, Namespace, str]


def text(session: int, version: int = 1) -> str:
    return f"v=0\no=- {session} {version} IN IP4 10.67.0.1\ns=S{session}\nt=0 0\n"


@pytest.fixture
def cable() -> Iterator[Cable]:
    with veth_pair() as pair:
        yield pair


def service(
    where: Namespace, interface: str, address: str, group: str, interval: int = 1
) -> tuple[SapService, Browser]:
    browser = Browser(interval)
    made = SapService(browser, lambda: None)
    with where.entered():
        settings = Settings(
            ((interface, socket.if_nametoindex(interface)),), group, interval, address
        )
        made.configure(settings)
    return made, browser


@pytest.mark.parametrize("group", [sap.GROUP_LOCAL, sap.GROUP_GLOBAL, "239.192.0.9"])
async def test_two_nodes_on_a_cable_hear_each_other_and_not_themselves(
    cable: Cable, group: str
) -> None:
    a, b, interface = cable
    speaker, heard_by_speaker = service(a, interface, "10.67.0.1", group)
    # the listener announces elsewhere unless the group is a private one
    other = group if group == "239.192.0.9" else sap.GROUP_LOCAL
    listener, heard = service(b, interface, "10.67.0.2", other)
    speaker.announce({number: text(number) for number in range(64)})
    await until(lambda: len(heard.sources()) == 64)
    assert {each.sdp for each in heard.sources()} == {text(number) for number in range(64)}
    assert {each.address for each in heard.sources()} == {"10.67.0.1"}
    listener.announce({0: text(500)})
    await until(lambda: len(heard_by_speaker.sources()) == 1)
    speaker.announce({number: text(number, 2) for number in range(32)})
    await until(lambda: {each.sdp for each in heard.sources()} == {text(n, 2) for n in range(32)})
    speaker.close()
    await until(lambda: heard.sources() == [])
    listener.close()
    assert heard.counters["malformed"] == heard_by_speaker.counters["malformed"] == 0


async def test_what_goes_over_the_wire(cable: Cable) -> None:
    a, b, interface = cable
    with b.entered():
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        raw.bind((interface, 0))
        raw.settimeout(5)
    with raw:
        speaker, _ = service(a, interface, "10.67.0.1", sap.GROUP_GLOBAL)
        speaker.announce({0: text(1)})
        frame = raw.recv(2000)
        while frame[23] != 17:  # IGMP comes first
            frame = raw.recv(2000)
        speaker.close()
    assert frame[22] == 255  # time to live
    assert socket.inet_ntoa(frame[26:30]) == "10.67.0.1"
    assert socket.inet_ntoa(frame[30:34]) == sap.GROUP_GLOBAL
    assert struct.unpack("!HH", frame[34:38]) == (9875, 9875)
    assert frame[42:44] == b"\x20\x00"
    assert frame[42 + 8 :] == b"application/sdp\0" + text(1).encode()


async def test_ipv6_announcements_are_read(cable: Cable) -> None:
    a, b, interface = cable
    listener, heard = service(b, interface, "10.67.0.2", sap.GROUP_LOCAL)
    with a.entered(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
        index = socket.if_nametoindex(interface)
        peer.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        message = sap.SapMessage(text(1).encode(), "fe80::1", 7).pack()

        def sent() -> bool:  # until duplicate address detection is over
            try:
                peer.sendto(message, (sap.GROUP_IPV6, sap.PORT, 0, index))
            except OSError:
                return False
            return bool(heard.sources())

        await until(sent)
    assert heard.sources()[0].address == "fe80::1"
    listener.close()


async def test_an_interface_that_is_not_there_is_said_and_tried_again(cable: Cable) -> None:
    a, _, interface = cable
    made = SapService(Browser(), lambda: None)
    settings = Settings((("nosuch0", 99),), sap.GROUP_LOCAL, 1, "10.67.0.1")
    with a.entered():
        made.configure(settings)
        assert "nosuch0" in made.problem
        made.announce({0: text(1)})
        index = socket.if_nametoindex(interface)
        made.configure(Settings(((interface, index),), sap.GROUP_LOCAL, 1, "10.67.0.1"))
        assert made.problem == ""
    made.close()


@pytest_asyncio.fixture
async def alone(tmp_path: Path) -> AsyncIterator[HttpNode]:
    """A node on the lo of a namespace, with discovery."""
    with namespaces(1) as [where], where.entered():
        async with http_node(tmp_path, sap_interval=1, mdns_enabled=False) as node:
            await node.control.discovery.start()
            yield node


async def browsed(node: HttpNode, kind: str = "all") -> list[dict[str, Any]]:
    answer = await node.client.get(f"/api/browse/sources/{kind}")
    found: list[dict[str, Any]] = answer.json()["remote_sources"]
    return found


async def test_a_node_on_lo_finds_itself(alone: HttpNode) -> None:
    browser = alone.control.discovery.browser
    for number in (1, 0):
        name = f"S{number}"
        await alone.client.put(f"/api/source/{number}", json=SOURCE | {"name": name})
    await alone.client.put("/api/source/2", json=SOURCE | {"name": "off", "enabled": False})
    await until(lambda: len(browser.sources()) == 2)
    found = await browsed(alone)
    assert found == await browsed(alone, "sap")
    assert await browsed(alone, "mdns") == []
    assert [each["name"].split()[-1] for each in found] == ["S0", "S1"]
    assert list(found[0]) == [
        "source", "id", "name", "domain", "address", "sdp", "last_seen", "announce_period",
    ]  # fmt: skip
    assert (found[0]["source"], found[0]["address"], found[0]["announce_period"]) == (
        "SAP", "127.0.0.1", 1,
    )  # fmt: skip
    assert found[0]["sdp"] == (await alone.client.get("/api/source/sdp/0")).text
    await alone.client.delete("/api/source/0")
    await until(lambda: len(browser.sources()) == 1)
    await alone.client.post("/api/config", json={"sap_mcast_addr": "239.255.255.255"})
    await until(lambda: browser.counters["received"] > 0 and len(browser.sources()) == 1)


async def test_a_sink_follows_its_source_and_only_that_sink(alone: HttpNode) -> None:
    node = alone.control.node
    for number in (0, 1):
        await alone.client.put(f"/api/source/{number}", json=SOURCE | {"name": f"S{number}"})
        sink = SINK | {"name": f"K{number}", "sdp": node.description(number), "delay": 960}
        sink |= {"ignore_refclk_gmid": True}
        assert (await alone.client.put(f"/api/sink/{number}", json=sink)).status_code == 200
    other = node.sink(1)
    await alone.client.put("/api/source/0", json=SOURCE | {"name": "S0", "address": "239.7.7.7"})
    await until(lambda: "239.7.7.7" in node.sink(0).sdp)
    assert node.sink(0).sdp == node.description(0)
    assert node.sink(0).delay == 960
    assert node.sink(1) == other
    assert "239.7.7.7" in {each["group"] for each in node.plan.message["memberships"]}

    await alone.client.post("/api/config", json={"auto_sinks_update": False})
    await alone.client.put("/api/source/0", json=SOURCE | {"name": "S0", "address": "239.8.8.8"})
    browser = alone.control.discovery.browser
    await until(lambda: any("239.8.8.8" in each.sdp for each in browser.sources()))
    assert "239.7.7.7" in node.sink(0).sdp
    await alone.client.post("/api/config", json={"auto_sinks_update": True})
    await until(lambda: "239.8.8.8" in node.sink(0).sdp)
