"""Two daemons on a wire that speaks 802.1AS: one leads, the other follows; what users see of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aes67.cli import main as cli
from aes67.selftest.node import Node, Settings
from e2e.places import Link, Namespace

pytestmark = pytest.mark.root


def clock(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = node.client.get("/api/v1/ptp")
    return found


@pytest.fixture(scope="module")
def boxes() -> Iterator[tuple[Node, Node]]:
    with Namespace(), Link() as wire:
        rows: tuple[tuple[str, Any], ...] = (("status_file", ""),)
        first = Settings(
            interface=wire.near, clock_mode="gptp", extra=(*rows, ("ptp_priority1", 246))
        )
        second = Settings(
            interface=wire.far,
            clock_mode="gptp",
            prefix=tuple(wire.far_prefix),
            host=wire.far_address,
            extra=(*rows, ("ptp_priority1", 248)),
        )
        with Node(first) as one, Node(second) as other:
            yield one, other


def test_the_better_one_leads_and_the_other_locks_to_it(
    boxes: tuple[Node, Node], capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = boxes

    def both() -> tuple[dict[str, Any], dict[str, Any]]:
        return clock(one), clock(other)

    def are_settled() -> bool:
        shown = both()
        states = [(each["port_state"], each["state"]) for each in shown]
        return (
            states == [("master", "locked"), ("slave", "locked")]
            and shown[0]["gmid"] == shown[1]["gmid"]
            and all(each["peer"]["as_capable"] for each in shown)
        )

    other.wait("the lock", are_settled)
    leader, follower = both()
    for shown, there in ((leader, follower), (follower, leader)):
        assert shown["peer"]["neighbor"] == there["port_identity"]
        assert shown["timestamps"]["rung"] == "kernel"
        assert shown["timestamps"]["card"] == "the card has none"
        assert shown["messages"]["malformed"] == 0
    assert cli.main(["ptp", "--url", other.client.url]) == 0
    assert leader["gmid"] in capsys.readouterr().out


def test_a_description_names_the_gptp_grandmaster(boxes: tuple[Node, Node]) -> None:
    one, other = boxes
    other.wait("the lock", lambda: clock(other)["state"] == "locked")
    source = {
        "name": "gPTP", "enabled": True, "io": "Audio Device", "codec": "L24", "map": [0, 1],
        "max_samples_per_packet": 48, "address": "", "ttl": 15, "payload_type": 98, "dscp": 34,
        "refclk_ptp_traceable": False,
    }  # fmt: skip
    other.client.put("/api/source/1", source)
    text = str(other.client.get("/api/source/sdp/1"))
    assert f"a=ts-refclk:ptp=IEEE802.1AS-2011:{clock(one)['gmid']}\n" in text.replace("\r", "")
