"""Two daemons that find each other and stay together: what is announced is received by one PUT, and
links, addresses, interfaces and reboots come and go.

Each daemon is in a namespace of its own, and nothing is shared but the wire.
"""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aes67.selftest.carry import Carried, Clients, carry
from aes67.selftest.node import Node, Settings
from aes67.selftest.plan import Case, case, sink, source
from e2e.conftest import clear
from e2e.machine import without_stall
from e2e.places import Link, Namespace, ip

pytestmark = [pytest.mark.root, pytest.mark.peer("aplay", "arecord"), pytest.mark.timeout(600)]

STEREO = case("S24_3LE", 48000, 2, "L24", "1ms")
CLIENTS = Clients(period_frames=480, buffer_frames=1920)
DELAY = 3840
"""80 ms: more than a virtual machine usually stands still."""
OTHER_ADDRESS = "10.67.0.77"
SECONDS_FOR_64 = 60.0
"""For 64 requests on a machine that is busy with other tests; alone they take a few seconds."""
SECOND = 1.0
SLACK = 3.0
"""What a busy test machine may add to the second in which an accident must be over."""


@pytest.fixture(scope="module")
def wire() -> Iterator[Link]:
    with Namespace(), Link() as link:
        set_promotion(link.near)
        yield link


def set_promotion(name: str) -> None:
    """Let an interface keep its second address when the first one goes, as with DHCP clients."""
    setting = f"net.ipv4.conf.{name}.promote_secondaries=1"
    subprocess.run(["sysctl", "-qw", setting], check=True)


@pytest.fixture(scope="module")
def boxes(wire: Link) -> Iterator[tuple[Node, Node]]:
    extra = (("sap_interval", 1), ("rtcp_enabled", True), ("custom_node_id", "box"))
    near = Settings(interface=wire.near, clock_mode="gm", extra=extra)
    far = Settings(
        interface=wire.far, clock_mode="ptp-slave", prefix=tuple(wire.far_prefix),
        host=wire.far_address, extra=(*extra[:2], ("custom_node_id", "other box")),
    )  # fmt: skip
    with Node(near) as sender, Node(far) as receiver:
        sender.wait_locked()
        receiver.wait_locked()
        yield sender, receiver


@pytest.fixture
def connected(boxes: tuple[Node, Node]) -> Iterator[tuple[Node, Node]]:
    """A source, and a sink that took its description from what it was announced."""
    sender, receiver = boxes
    sender.client.put("/api/v1/sources/0", source(STEREO, 0))
    receiver.client.put("/api/v1/sinks/0", sink(STEREO, 0, announced(receiver)["sdp"], DELAY))
    receiver.wait_receiving(1)
    yield boxes
    clear(sender)
    clear(receiver)


def announced(receiver: Node, name: str = "selftest 0") -> dict[str, Any]:
    """The remote source of this name, as soon as it is heard of."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = [each for each in remote(receiver) if each["name"].endswith(name)]
        return bool(found)

    receiver.wait(f"the announcement of {name}", look, 20)
    return found[-1]


def remote(receiver: Node) -> list[dict[str, Any]]:
    """What is announced from the near end's usual address; of another one, nobody can take back."""
    listed = receiver.client.get("/api/browse/sources/sap")["remote_sources"]
    return [each for each in listed if each["address"] == "10.67.0.1"]


def packets(node: Node) -> int:
    """Packets the first sink has taken."""
    return int(node.status()["sinks"][0]["counters"].get("packets", 0))


def until_received(receiver: Node) -> float:
    """Seconds until packets are accepted again."""
    begun, before = time.monotonic(), packets(receiver)
    receiver.wait("packets again", lambda: packets(receiver) not in range(before, before + 20), 30)
    return time.monotonic() - begun


def survives(receiver: Node, accident: Callable[[], None]) -> None:
    """After the accident audio is back within a second (and what a busy machine adds)."""
    accident()
    assert until_received(receiver) < SECOND + SLACK


def heard(boxes: tuple[Node, Node], wanted: Case = STEREO) -> Carried:
    """The test signal, played at one box and recorded at the other."""
    sender, receiver = boxes

    def attempt() -> Carried:
        return carry(
            wanted, 1.0, CLIENTS, sender.environment, recorder_environment=receiver.environment
        )

    receiver.wait_locked()
    return without_stall(attempt, lambda found: found.ok)


def test_an_announced_source_is_received_by_one_put_sample_for_sample(
    connected: tuple[Node, Node],
) -> None:
    carried = heard(connected)
    assert carried.ok, (carried.verdict, carried.complaints)
    shown = connected[1].status()["sinks"][0]
    (leg,) = shown["legs"]
    assert leg["source"] == "10.67.0.1", "by the source filter of the description"
    assert leg["reordered"] == leg["wrong_source"] == leg["duplicate"] == 0
    assert leg["lost"] == shown["counters"]["lost"], "there is no other leg"
    assert leg["margin_us"] > 0
    assert sum(leg["gaps"]) == pytest.approx(leg["packets"] - 1, abs=3), "read while it grows"


def test_a_source_that_changes_is_followed_and_no_other_sink_is_touched(
    boxes: tuple[Node, Node],
) -> None:
    sender, receiver = boxes
    for index in (0, 1):
        wanted = case("S24_3LE", 48000, 2, "L24", "1ms")
        sender.client.put(f"/api/v1/sources/{index}", source(wanted, index))
        sdp = announced(receiver, f"selftest {index}")["sdp"]
        receiver.client.put(f"/api/v1/sinks/{index}", sink(wanted, index, sdp, DELAY))
    receiver.wait_receiving(2)
    time.sleep(0.5)  # until the silence before their first packets has passed
    groups = itertools.cycle(("239.67.9.9", "239.67.9.8"))

    def attempt() -> list[str]:
        """What the change of the one source did to the sink of the other."""
        group = next(groups)
        before = receiver.status()["sinks"][1]["counters"]
        sender.client.put("/api/v1/sources/0", source(STEREO, 0) | {"address": group})
        receiver.wait(
            "the sink to follow", lambda: receiver.status()["sinks"][0]["address"] == group, 20
        )
        after = receiver.status()["sinks"][1]["counters"]
        names = ("lost", "late", "sequence_errors", "silent_frames", "switched_ssrc", "identity")
        return [name for name in names if after[name] != before[name]]

    assert without_stall(attempt, lambda changed: not changed) == []
    carried = heard(boxes)
    assert carried.ok, (carried.verdict, carried.complaints)
    clear(sender)
    clear(receiver)


def test_a_source_that_reboots_is_picked_up(connected: tuple[Node, Node]) -> None:
    """Another process with another SSRC on the same group: not a request, nothing to be clicked."""
    sender, receiver = connected
    before = receiver.status()["sinks"][0]["counters"]
    assert sender.stop() == 0
    sender.start()
    sender.wait_locked()
    sender.client.put("/api/v1/sources/0", source(STEREO, 0) | {"max_samples_per_packet": 24})
    assert until_received(receiver) < SECOND + SLACK
    after = receiver.status()["sinks"][0]["counters"]
    assert after["ssrc"] != before["ssrc"], "of another packet length, another stream"
    carried = heard(connected)
    assert carried.ok, (carried.verdict, carried.complaints)


def test_a_link_that_was_lost_is_survived_and_groups_are_joined_again(
    connected: tuple[Node, Node], wire: Link
) -> None:
    _, receiver = connected

    def interface() -> dict[str, Any]:
        return dict(receiver.status()["network"]["interfaces"][0])

    before = interface()["rejoins"]
    wire.set("down")
    wire.set("up")
    survives(receiver, lambda: None)
    receiver.wait("the groups", lambda: interface()["rejoins"] > before, 5)
    assert heard(connected).ok


def test_another_address_at_the_sender_is_survived(
    connected: tuple[Node, Node], wire: Link
) -> None:
    """As by DHCP: sources are sent from it, announced from it, and the sinks of others follow."""
    sender, receiver = connected

    def change(old: str, new: str) -> None:
        ip("address", "add", f"{new}/24", "dev", wire.near)
        ip("address", "del", f"{old}/24", "dev", wire.near)
        ip("route", "replace", "224.0.0.0/4", "dev", wire.near)

    for old, new in ((wire.near_address, OTHER_ADDRESS), (OTHER_ADDRESS, wire.near_address)):
        survives(receiver, lambda old=old, new=new: change(old, new))
        assert f"IN IP4 {new}" in receiver.status()["sinks"][0]["sdp"]
        errors = sender.status()["sources"][0]["counters"]["send_errors"]
        assert errors < 500, "milliseconds, until the kernel has told of the address"
    assert heard(connected).ok


def test_an_address_that_is_away_for_a_while_is_told_and_comes_back(
    connected: tuple[Node, Node], wire: Link
) -> None:
    sender, receiver = connected
    ip("address", "flush", "dev", wire.near)
    sender.wait("to be told", lambda: "no IPv4" in sender.status()["sources"][0]["note"], 5)

    def back() -> None:
        ip("address", "add", f"{wire.near_address}/24", "dev", wire.near)
        ip("route", "replace", "224.0.0.0/4", "dev", wire.near)

    survives(receiver, back)
    assert heard(connected).ok


def test_interfaces_that_are_taken_away_and_made_again_are_used_again(
    connected: tuple[Node, Node], wire: Link
) -> None:
    sender, receiver = connected
    for pause in (1.2, 0.0):
        ip("link", "delete", wire.near)
        time.sleep(pause)
        wire.plug()
        set_promotion(wire.near)
        assert until_received(receiver) < SECOND + SLACK
    sender.wait_locked()
    assert heard(connected).ok


def test_reports_by_rtcp_reach_the_other_end(connected: tuple[Node, Node]) -> None:
    sender, receiver = connected

    def said() -> dict[str, Any]:
        return dict(receiver.status()["sinks"][0]["sender"] or {})

    def is_of_this_source() -> bool:
        sent = sender.status()["sources"][0]["counters"]["packets"]
        return 0 < said().get("packets", 0) <= sent

    def is_of_this_sink() -> bool:
        """One of before has the same SSRC, and what was lost with the interfaces taken away."""
        told = [each["lost"] for each in sender.status()["sources"][0]["receivers"]]
        lost = receiver.status()["sinks"][0]["counters"]["lost"]
        return len(told) == 1 and told[0] <= lost

    receiver.wait("a sender report", is_of_this_source, 30)
    sender.wait("a receiver report", is_of_this_sink, 30)
    assert (said()["address"], said()["name"]) == ("10.67.0.1", "box@10.67.0.1")
    (back,) = sender.status()["sources"][0]["receivers"]
    assert (back["address"], back["name"]) == ("10.67.0.2", "other box@10.67.0.2")


def test_what_a_box_sends_to_its_own_address_reaches_it(boxes: tuple[Node, Node]) -> None:
    """A unicast stream to oneself never leaves the machine, and yet comes in by its interface."""
    sender, _ = boxes
    sender.client.put("/api/v1/sources/0", source(STEREO, 0) | {"address": "10.67.0.1"})
    sdp = str(sender.client.get("/api/source/sdp/0"))
    sender.client.put("/api/v1/sinks/0", sink(STEREO, 0, sdp, DELAY))
    sender.wait("packets", lambda: packets(sender) > 100, 10)
    assert sender.status()["sinks"][0]["legs"][0]["source"] == "10.67.0.1"
    clear(sender)


def test_64_sources_and_64_sinks_in_seconds(boxes: tuple[Node, Node]) -> None:
    sender, receiver = boxes
    mono = case("S16_LE", 48000, 1, "L16", "1ms")
    begun = time.monotonic()
    for index in range(64):
        sender.client.put(f"/api/v1/sources/{index}", source(mono, index) | {"map": [index % 64]})
    created = time.monotonic() - begun
    listed: dict[str, str] = {}

    def all_announced() -> bool:
        listed.update({each["name"].rpartition(" ")[2]: each["sdp"] for each in remote(receiver)})
        return len(listed) == 64

    receiver.wait("64 announcements", all_announced, 30)
    found = time.monotonic() - begun - created
    for index in range(64):
        body = sink(mono, index, listed[str(index)], DELAY) | {"map": [index]}
        receiver.client.put(f"/api/v1/sinks/{index}", body)
    receiver.wait_receiving(64)
    connected = time.monotonic() - begun - created - found
    assert len(receiver.client.get("/api/sinks")["sinks"]) == 64
    assert len(sender.client.get("/api/sources")["sources"]) == 64
    gone = time.monotonic()
    clear(receiver)
    clear(sender)
    deleted = time.monotonic() - gone
    receiver.wait("nothing announced", lambda: not remote(receiver), 30)
    took = (created, found, connected, deleted)
    assert max(took) < SECONDS_FOR_64, took
