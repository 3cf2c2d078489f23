"""mDNS on real sockets: two nodes on a cable, and a node alone on lo."""

from __future__ import annotations

from pathlib import Path

import pytest

from aes67.discovery.browser import Browser
from aes67.services.mdns import MdnsService, Settings
from aes67.services.rtsp import RtspService
from sim.http_node import SOURCE, http_node
from sim.netns import namespaces, veth_pair
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
