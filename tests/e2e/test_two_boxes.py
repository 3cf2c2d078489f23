"""Two daemons on two ends of a wire: one is the grandmaster and plays, the other follows, records.

This is what a user has: nothing is shared but the network. Also what happens when the wire is cut.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from aes67.selftest.audio import losses
from aes67.selftest.carry import Carried, Clients, carry
from aes67.selftest.node import Node, Settings
from aes67.selftest.plan import Case, case, sink, source
from e2e.machine import without_stall
from e2e.places import Link, Namespace

pytestmark = [pytest.mark.root, pytest.mark.peer("aplay", "arecord")]

CLIENTS = Clients(period_frames=480, buffer_frames=1920)
DELAY = 960
"""20 ms: the packet, two ticks, and what two engines on a busy test machine add."""


@pytest.fixture(scope="module")
def wire() -> Iterator[Link]:
    with Namespace(), Link() as link:
        yield link


@pytest.fixture(scope="module")
def boxes(wire: Link) -> Iterator[tuple[Node, Node]]:
    master = Settings(interface=wire.near, clock_mode="gm")
    follower = Settings(
        interface=wire.far,
        clock_mode="ptp-slave",
        prefix=tuple(wire.far_prefix),
        host=wire.far_address,
    )
    with Node(master) as sender, Node(follower) as receiver:
        sender.wait_locked()
        receiver.wait_locked()
        yield sender, receiver


def connect(sender: Node, receiver: Node, wanted: Case) -> None:
    for index in range(wanted.streams):
        sender.client.put(f"/api/v1/sources/{index}", source(wanted, index))
        sdp = str(sender.client.get(f"/api/source/sdp/{index}"))
        body = sink(wanted, index, sdp, DELAY) | {"ignore_refclk_gmid": False}
        receiver.client.put(f"/api/v1/sinks/{index}", body)
    receiver.wait_receiving(wanted.streams)


def across(sender: Node, receiver: Node, wanted: Case, seconds: float) -> Carried:
    return carry(
        wanted, seconds, CLIENTS, sender.environment, recorder_environment=receiver.environment
    )


def test_the_follower_takes_the_grandmasters_identity(boxes: tuple[Node, Node]) -> None:
    sender, receiver = boxes
    receiver.wait_locked()
    clock = receiver.status()["clock"]
    assert clock["gmid"] == sender.status()["clock"]["gmid"] != ""
    assert clock["state"] == "locked"


@pytest.mark.parametrize(
    ("form", "channels", "codec", "packet"),
    [("S24_3LE", 2, "L24", "1ms"), ("S16_LE", 8, "L16", "125us"), ("S32_LE", 2, "AM824", "1ms")],
)
def test_every_sample_crosses_the_wire(
    boxes: tuple[Node, Node], form: str, channels: int, codec: str, packet: str
) -> None:
    sender, receiver = boxes
    wanted = case(form, 48000, channels, codec, packet)
    connect(sender, receiver, wanted)
    time.sleep(0.3)

    def attempt() -> tuple[Carried, set[str]]:
        before = losses(receiver.status())
        carried = across(sender, receiver, wanted, 3.0)
        after = losses(receiver.status())
        return carried, {name for name in after if after[name] != before[name]}

    carried, grown = without_stall(attempt, lambda found: found[0].ok and not found[1])
    assert carried.ok, (carried.verdict, carried.complaints)
    assert grown == set()


def test_a_cut_wire_is_silence_that_is_counted_and_sound_comes_back(
    boxes: tuple[Node, Node], wire: Link
) -> None:
    sender, receiver = boxes
    wanted = case("S24_3LE", 48000, 2, "L24", "1ms")
    connect(sender, receiver, wanted)
    silent = receiver.status()["sinks"][0]["counters"]["silent_frames"]
    wire.set("down")
    try:
        time.sleep(1.0)
    finally:
        wire.set("up")
    receiver.wait_locked()
    packets = receiver.status()["sinks"][0]["counters"]["packets"]
    receiver.wait(
        "packets after the cut",
        lambda: receiver.status()["sinks"][0]["counters"]["packets"] > packets + 100,
    )
    assert receiver.status()["sinks"][0]["counters"]["silent_frames"] > silent
    carried = without_stall(lambda: across(sender, receiver, wanted, 1.0), lambda found: found.ok)
    assert carried.ok, (carried.verdict, carried.complaints)
