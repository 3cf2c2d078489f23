"""What is said of the network: queriers that fall silent, links, and what the kernel dropped."""

from __future__ import annotations

from typing import Any

import pytest

from aes67.control.network_view import network_warnings, querier_state
from aes67.control.udp_losses import UdpLosses
from aes67.net.udp_counters import UdpCounters


def link(**changes: Any) -> dict[str, Any]:
    return {"since_s": 10.0, "querier": "", "queried_s": None} | changes


@pytest.mark.parametrize(
    ("facts", "audible", "state"),
    [
        (link(), True, "waiting"),
        (link(since_s=129.0), True, "waiting"),
        (link(since_s=130.0), True, "none"),
        (link(since_s=500.0, querier="10.0.0.1", queried_s=100.0), True, "heard"),
        (link(since_s=500.0, querier="10.0.0.1", queried_s=255.0), True, "none"),
        (link(since_s=500.0), False, "unknown"),
        ({}, True, "unknown"),
    ],
)
def test_a_querier_must_be_heard_every_two_minutes(
    facts: dict[str, Any], audible: bool, state: str
) -> None:
    assert querier_state(facts, audible)[0] == state


def view(**changes: Any) -> dict[str, Any]:
    interface = {
        "name": "eth0", "present": True, "running": True, "groups": 3, "querier": "heard",
        "querier_seconds": 140.0,
    }  # fmt: skip
    return {"interfaces": [interface | changes]}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"querier": "none"}, "no IGMP querier heard on eth0 for 140 s"),
        ({"running": False}, "eth0 has no link"),
    ],
)
def test_what_is_wrong_is_said_in_words(changes: dict[str, Any], word: str) -> None:
    (sentence,) = network_warnings(view(**changes), UdpCounters())
    assert sentence.startswith(word)


@pytest.mark.parametrize(
    ("udp", "words"),
    [
        (UdpCounters(checksum_errors=7), "7 UDP packets with a wrong checksum"),
        (UdpCounters(buffer_errors=9), "9 UDP packets were dropped because a socket was full"),
    ],
)
def test_what_the_kernel_drops_is_said_in_words(udp: UdpCounters, words: str) -> None:
    (sentence,) = network_warnings(view(), udp)
    assert sentence.startswith(words)


def test_a_loss_is_warned_of_for_ten_minutes_and_counted_for_ever() -> None:
    before = UdpCounters(100, 200)
    losses = UdpLosses(before)
    assert losses.take(before, 5.0) == (UdpCounters(), UdpCounters())
    full = UdpCounters(0, 3)
    assert losses.take(UdpCounters(100, 203), 10.0) == (full, full)
    assert losses.take(UdpCounters(100, 203), 609.0) == (full, full)
    assert losses.take(UdpCounters(100, 203), 610.0) == (full, UdpCounters())
    both = UdpCounters(1, 3)
    assert losses.take(UdpCounters(101, 203), 611.0) == (both, UdpCounters(1, 0))
    assert losses.take(UdpCounters(101, 204), 1212.0) == (UdpCounters(1, 4), UdpCounters(0, 4))


@pytest.mark.parametrize(
    "changes",
    [{}, {"querier": "none", "groups": 0}, {"querier": "none", "name": "lo"},
     {"present": False, "running": False}],
)  # fmt: skip
def test_nothing_is_said_of_what_does_not_matter(changes: dict[str, Any]) -> None:
    """An interface that is not there has a sentence of its own: it has no address."""
    assert network_warnings(view(**changes), UdpCounters()) == []
