"""Audio on one network, time from another: a daemon between two, each with a ptp4l of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aes67.client import ApiError
from aes67.selftest.node import Node, Settings
from e2e.test_grandmaster_change import identity, source
from sim.netns import Namespace, discipline, ip, namespaces, plug, ptp4l

pytestmark = [pytest.mark.root, pytest.mark.peer("ptp4l"), pytest.mark.timeout(600)]


@dataclass
class Scene:
    """A daemon on `net0`, and the grandmaster of each network."""

    node: Node
    here: Namespace
    beside: Namespace
    first: str
    second: str

    def clock(self) -> dict[str, Any]:
        return dict(self.node.client.get("/api/v1/clock"))

    def follows(self, gmid: str) -> None:
        """Wait for a lock on this grandmaster."""

        def followed() -> bool:
            clock = self.clock()
            return (clock["state"], clock.get("gmid")) == ("locked", gmid)

        self.node.wait(f"a lock on {gmid}", followed)

    def sent(self) -> int:
        """Packets of the source so far."""
        (row,) = self.node.status()["sources"]
        return int(row["counters"].get("packets", 0))

    def sends(self) -> None:
        before = self.sent()
        self.node.wait("packets of the source", lambda: self.sent() > before)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    before = discipline()
    with namespaces(3) as (above, here, beside):
        plug(above, here, "net0")
        plug(here, beside, "net1", "10.68.0")
        ip("-n", here.name, "route", "replace", "224.0.0.0/4", "dev", "net0")
        for where, interface in ((above, "net0"), (beside, "net1")):
            ptp4l(where, interface, tmp_path, master=True, log_announce=-1)
        settings = Settings(clock_mode="ptp-slave", interface="net0", extra=(("status_file", ""),))
        with here.entered(), Node(settings) as node:
            masters = identity(above, "net0"), identity(beside, "net1")
            yield Scene(node, here, beside, *masters)
    assert discipline() == before, "nobody's clock was touched"


def roles(scene: Scene) -> dict[str, list[str]]:
    rows = scene.node.status()["network"]["interfaces"]
    return {each["name"]: [role for role in each["roles"] if role != "discovery"] for each in rows}


def test_time_comes_by_its_own_interface(scene: Scene) -> None:
    client = scene.node.client
    scene.follows(scene.first)
    client.put("/api/v1/sources/0", source(0))
    scene.sends()
    generation = scene.node.status()["engine"]["generation"]

    for wrong in ("nosuch9", "net0,net1,lo", "a b"):
        with pytest.raises(ApiError, match="ptp_interfaces"):
            client.patch("/api/v1/config", {"ptp_interfaces": wrong})
    assert roles(scene) == {"net0": ["media", "ptp"]}
    before = scene.sent()
    client.patch("/api/v1/config", {"ptp_interfaces": "net1"})
    assert roles(scene) == {"net0": ["media"], "net1": ["ptp"]}
    scene.follows(scene.second)
    assert [each["interface"] for each in scene.clock()["ports"]] == ["net1"]
    scene.sends()
    assert scene.sent() > before, "it is the same stream, it was not begun anew"
    assert scene.node.status()["engine"]["generation"] == generation
    described = str(client.get("/api/source/sdp/0"))
    assert f"a=ts-refclk:ptp=IEEE1588-2008:{scene.second}:0" in described
    assert "ptp_interfaces" not in client.get("/api/config")

    ip("-n", scene.here.name, "link", "delete", "net1")

    def is_said() -> bool:
        return "interface net1 is gone" in scene.clock()["reason"]

    scene.node.wait("the reason", is_said)
    assert scene.node.status()["network"]["interfaces"][-1]["present"] is False
    scene.sends()
    scene.node.stop()
    scene.node.start()  # where there is no such interface
    scene.node.wait("the reason", lambda: "no interface net1" in scene.clock()["reason"])
    assert "refuses" not in str(scene.node.status()["engine"]["warnings"])
    plug(scene.here, scene.beside, "net1", "10.68.0")
    scene.node.wait("the time", lambda: not scene.clock()["trouble"])
    client.patch("/api/v1/config", {"ptp_interfaces": ""})
    scene.follows(scene.first)
