"""Two networks with a ptp4l each that insists on its own time, one daemon with a clock for each.

The first ptp4l serves CLOCK_REALTIME, the second lives an hour ahead and 20 ppm fast, by the law of
`bench/ptp/virtual_clock.c`.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aes67.cli import main as cli
from aes67.client import ApiError
from aes67.selftest.node import Node, Settings
from e2e.test_grandmaster_change import identity, source
from sim.netns import Namespace, discipline, ip, namespaces, plug, ptp4l
from sim.session_samples import sdp_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.peer("ptp4l", "cc"),
    pytest.mark.timeout(600),
]

VIRTUAL_CLOCK = Path(__file__).parent.parent.parent / "bench" / "ptp" / "virtual_clock.c"
NS = 1_000_000_000
AHEAD_NS = 3600 * NS
PPM = 20.0
APART_NS = 1_000_000
"""What a machine that stands still for a while may spoil; the clocks are an hour apart."""


@dataclass
class Scene:
    """A daemon between two networks; the grandmaster of each, and when the second one's law began.
    """

    node: Node
    first: str
    second: str
    zero_ns: int

    def clock(self) -> dict[str, Any]:
        return dict(self.node.client.get("/api/v1/clock"))

    def truth_ns(self) -> float:
        """How far the second network is ahead of the first one."""
        return AHEAD_NS + PPM * 1e-6 * (time.time_ns() - self.zero_ns)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("two-clocks")
    before = discipline()
    shim, zero = folder / "virtual_clock.so", time.time_ns()
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(VIRTUAL_CLOCK)]
    subprocess.run([*command, "-ldl", "-lm"], check=True)
    law = (f"LD_PRELOAD={shim}", f"VCLOCK_ZERO_NS={zero}", f"VCLOCK_PPM={PPM}",
           f"VCLOCK_OFFSET_NS={AHEAD_NS}")  # fmt: skip
    with namespaces(3) as (above, here, beside):
        _wire(above, here, beside)
        ptp4l(above, "net0", folder, master=True, log_announce=-1)
        ptp4l(beside, "net1", folder, master=True, log_announce=-1, environment=law)
        extra = (("ptp_clocks", "media,stage"), ("status_file", ""))
        settings = Settings(clock_mode="ptp-slave", interface="net0,net1", extra=extra)
        with here.entered(), Node(settings) as node:
            yield Scene(node, identity(above, "net0"), identity(beside, "net1"), zero)
    assert discipline() == before, "nobody's clock was touched"


def _wire(above: Namespace, here: Namespace, beside: Namespace) -> None:
    plug(above, here, "net0")
    plug(here, beside, "net1")
    for number, each in enumerate((here, beside), 1):
        ip("-n", each.name, "addr", "flush", "dev", "net1")
        ip("-n", each.name, "addr", "add", f"10.68.0.{number}/24", "dev", "net1")
    ip("-n", here.name, "route", "replace", "224.0.0.0/4", "dev", "net0")


def both_locked(scene: Scene) -> bool:
    clock = scene.clock()
    both = (clock, clock.get("second") or {})
    return [(each["state"], each.get("port_state")) for each in both if each] == [
        ("locked", "slave"), ("locked", "slave"),
    ]  # fmt: skip


def test_both_are_locked_each_to_its_own_and_each_page_is_right(scene: Scene) -> None:
    scene.node.wait("both locks", lambda: both_locked(scene))
    clock = scene.clock()
    second = clock["second"]
    assert (clock["name"], second["name"]) == ("media", "stage")
    assert (clock["gmid"], second["gmid"]) == (scene.first, scene.second)
    assert [each["interface"] for each in clock["ports"]] == ["net0"]
    assert [each["interface"] for each in second["ports"]] == ["net1"]

    def right() -> bool:
        status = scene.node.status()["clock"]
        apart = status["second"]["page"]["now_ns"] - status["page"]["media_now_ns"]
        shown = status["second"]["ahead_of_media_ns"]
        # both pages are read one after the other, at most a stall of the machine apart
        wrong = [each - scene.truth_ns() for each in (apart, shown or 0)]
        return all(abs(each) < APART_NS for each in wrong)

    scene.node.wait("both pages to be right", right)


def test_everybody_shows_the_second_clock(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.node.wait("both locks", lambda: both_locked(scene))
    client = scene.node.client
    history = client.get("/api/v1/clock/history?span=1min&clock=stage")
    assert [each for each in history["state"] if each]
    changes = client.get("/api/v1/clock/changes?clock=stage")
    assert scene.second in [each["gmid"] for each in changes]
    assert scene.second not in [each["gmid"] for each in client.get("/api/v1/clock/changes")]
    with pytest.raises(ApiError, match="no such clock"):
        client.get("/api/v1/clock/history?clock=nobody")
    ahead = 'aes67_second_clock_ahead_seconds{clock="stage"} 3600.'
    scene.node.wait("the distance in the metrics", lambda: ahead in str(client.get("/metrics")))
    assert cli.main(["ptp", "--url", client.url]) == 0
    printed = capsys.readouterr().out
    assert "second clock" in printed
    assert scene.second in printed
    roles = {each["name"]: each["roles"] for each in scene.node.status()["network"]["interfaces"]}
    assert "ptp" in roles["net0"]
    assert "ptp, clock stage" in roles["net1"]


def test_streams_keep_to_the_media_clock_and_say_so(scene: Scene) -> None:
    scene.node.wait("both locks", lambda: both_locked(scene))
    client = scene.node.client
    client.put("/api/v1/sources/0", source(0))
    described = str(client.get("/api/source/sdp/0"))
    assert f"a=ts-refclk:ptp=IEEE1588-2008:{scene.first}:0" in described
    assert scene.second not in described
    reference = f"a=ts-refclk:ptp=IEEE1588-2008:{scene.second}:0\n"
    wanted: dict[str, Any] = {
        "name": "from the stage", "io": "Audio Device", "delay": 576, "use_sdp": True,
        "sdp": sdp_of(clock=reference), "source": "", "ignore_refclk_gmid": False, "map": [0, 1],
    }  # fmt: skip
    with pytest.raises(ApiError, match="our clock stage, to which sinks cannot keep yet"):
        client.put("/api/v1/sinks/0", wanted)
    client.put("/api/v1/sinks/0", wanted | {"ignore_refclk_gmid": True})

    def noted() -> bool:
        note = str(scene.node.status()["sinks"][0]["note"])
        return "runs on the clock stage, not on media" in note and "ahead of ours" in note

    scene.node.wait("the note", noted)
    client.delete("/api/v1/sinks/0")
    client.delete("/api/v1/sources/0")


def test_one_clock_again_follows_one_and_names_the_other(scene: Scene) -> None:
    """The last test of the module: it takes the second clock away."""
    scene.node.client.patch("/api/v1/config", {"ptp_clocks": "media"})
    scene.node.wait("the second clock to go", lambda: not scene.clock().get("second"))

    def named() -> bool:
        clock = scene.clock()
        other = {scene.first, scene.second} - {clock["gmid"]}
        return any(f"has another grandmaster, {each}" in clock["reason"] for each in other)

    scene.node.wait("the other network's grandmaster in the reason", named)
    assert "ptp_clocks" in scene.clock()["reason"]
    assert len(scene.clock()["ports"]) == 2
