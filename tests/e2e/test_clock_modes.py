"""The modes of the clock as a user sets them: over the API, between two daemons on a wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aes67.cli import main as cli
from aes67.client import ApiError
from aes67.selftest.node import Node, Settings
from e2e.places import Link, Namespace

pytestmark = pytest.mark.root


def clock(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = node.client.get("/api/v1/ptp")
    return found


def configure(node: Node, **rows: object) -> None:
    node.client.patch("/api/v1/config", rows)


def shown(node: Node, capsys: pytest.CaptureFixture[str]) -> str:
    """What `aes67 ptp` prints."""
    assert cli.main(["ptp", "--url", node.client.url]) == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def boxes() -> Iterator[tuple[Node, Node]]:
    """Two daemons that may both lead; the first one is preferred."""
    with Namespace(), Link() as wire:
        rows = (("ptp_announce_interval", 0), ("status_file", ""))
        first = Settings(
            interface=wire.near, clock_mode="ptp", extra=(*rows, ("ptp_priority1", 249))
        )
        second = Settings(
            interface=wire.far,
            clock_mode="ptp",
            prefix=tuple(wire.far_prefix),
            host=wire.far_address,
            extra=rows,
        )
        with Node(first) as one, Node(second) as other:
            yield one, other


def test_the_preferred_one_leads_and_the_other_takes_over_and_gives_back(
    boxes: tuple[Node, Node], capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = boxes
    other.wait("a master", lambda: clock(other)["port_state"] == "slave")
    assert clock(one)["port_state"] == "master"
    assert clock(other)["priority1"] == 250, "nobody's network is taken by accident"
    assert clock(other)["gmid"] == clock(one)["gmid"]
    assert clock(one)["gmid"] in shown(other, capsys)
    other.wait("the lock", lambda: clock(other)["state"] == "locked")
    before = clock(other)
    configure(one, clock_mode="free")
    other.wait("the takeover", lambda: clock(other)["port_state"] == "master")
    taken = clock(other)
    assert taken["session_epoch"] == before["session_epoch"]
    assert taken["gmid"] == taken["port_identity"].partition("/")[0]
    sdp_clock = other.client.get("/api/ptp/status")
    assert isinstance(sdp_clock, dict)
    assert sdp_clock["gmid"] == taken["gmid"]
    configure(one, clock_mode="ptp")
    other.wait("the hand back", lambda: clock(other)["port_state"] == "slave")
    other.wait("the lock", lambda: clock(other)["state"] == "locked")
    assert clock(other)["session_epoch"] == before["session_epoch"]


def test_the_system_clock_and_back(boxes: tuple[Node, Node]) -> None:
    one, _ = boxes
    configure(one, clock_mode="system")
    one.wait("the lock", lambda: clock(one)["mode"] == "system" and clock(one)["state"] == "locked")
    assert clock(one)["reference"]["clock"] == "the system clock"
    assert clock(one)["session_epoch"] == 0, "CLOCK_REALTIME + 37 s is where it was"
    configure(one, clock_mode="ptp")
    one.wait("the ports", lambda: clock(one)["mode"] == "ptp")


@pytest.mark.parametrize(
    ("rows", "field", "words"),
    [
        ({"clock_mode": "phc:/dev/ptp77"}, "mode", "/dev/ptp77: No such file or directory"),
        ({"clock_mode": "phc:nowhere"}, "clock_mode", "phc:/dev/ptpN"),
        ({"ptp_sync_interval": -6}, "ptp_sync_interval", "-4 to 1 in the AES67 media profile"),
        ({"ptp_profile": "st2059-2", "ptp_announce_interval": 2}, "ptp_announce_interval", "-3 to"),
        ({"ptp_profile": "none"}, "ptp_profile", "one of aes67, default, st2059-2"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    boxes: tuple[Node, Node], rows: dict[str, object], field: str, words: str
) -> None:
    one, _ = boxes
    before = one.client.get("/api/v1/config")
    with pytest.raises(ApiError) as refused:
        configure(one, **rows)
    assert field in str(refused.value)
    assert words in str(refused.value)
    assert one.client.get("/api/v1/config") == before
    assert clock(one)["mode"] == "ptp"


def test_the_broadcasters_profile_brings_its_own_domain_and_rates(
    boxes: tuple[Node, Node],
) -> None:
    one, other = boxes
    for node in boxes:
        configure(node, ptp_profile="st2059-2", ptp_announce_interval=None)
    other.wait("the lock in domain 127", lambda: (
        clock(other)["domain"] == 127
        and clock(other)["port_state"] == "slave"
        and clock(other)["state"] == "locked"
    ))  # fmt: skip
    master = next(each for each in clock(other)["masters"] if each["selected"])
    assert (master["announce_interval_s"], master["sync_interval_s"]) == (0.25, 0.125)
    assert clock(one)["ports"][0]["profile"] == "st2059-2"
