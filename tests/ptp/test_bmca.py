"""The data set comparison and the state decision, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.ptp.bmca import Candidate, PortState, Role, better, decide, own
from aes67.wire.ptp_header import PortIdentity
from aes67.wire.ptp_messages import Quality

US = PortIdentity(bytes.fromhex("020000ae67000001"), 1)


def port(last: int, number: int = 1) -> PortIdentity:
    return PortIdentity(bytes(7) + bytes((last,)), number)


BASE = Candidate(128, Quality(248, 0xFE, 0xFFFF), 128, bytes(7) + b"\x50", 0, port(0x50), US)


@pytest.mark.parametrize(
    "change",
    [
        {"priority1": 127, "quality": Quality(255, 0xFF, 0xFFFF)},
        {"quality": Quality(6, 0xFE, 0xFFFF), "priority2": 255},
        {"quality": Quality(248, 0x21, 0xFFFF), "priority2": 255},
        {"quality": Quality(248, 0xFE, 0x4E5D), "priority2": 255},
        {"priority2": 127, "grandmaster": b"\xff" * 8},
        {"grandmaster": bytes(7) + b"\x4f", "steps_removed": 200},
    ],
    ids=["priority1", "class", "accuracy", "variance", "priority2", "identity"],
)
def test_each_attribute_decides_in_its_turn(change: dict[str, object]) -> None:
    ahead = replace(BASE, grandmaster=bytes(7) + b"\x60")
    ahead = replace(ahead, **change)  # type: ignore[arg-type]
    assert better(ahead, BASE)
    assert not better(BASE, ahead)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"steps_removed": 1, "sender": port(0x70)}, {"steps_removed": 3}),
        ({"steps_removed": 1, "sender": port(0x70)}, {"steps_removed": 2}),
        ({"steps_removed": 2, "sender": port(0x10)}, {"steps_removed": 2, "sender": port(0x11)}),
        (
            {"sender": port(0x10), "receiver": replace(US, port=1)},
            {"sender": port(0x10), "receiver": replace(US, port=2)},
        ),
    ],
    ids=["two-steps-fewer", "one-step-fewer", "lower-sender", "lower-receiver"],
)
def test_of_two_ways_to_one_grandmaster(a: dict[str, object], b: dict[str, object]) -> None:
    near = replace(BASE, **a)  # type: ignore[arg-type]
    far = replace(BASE, **b)  # type: ignore[arg-type]
    assert better(near, far)
    assert not better(far, near)


candidates = st.builds(
    Candidate,
    st.integers(126, 128),
    st.builds(Quality, st.sampled_from([6, 7, 248]), st.integers(0x20, 0x22), st.just(1)),
    st.integers(127, 128),
    st.integers(1, 3).map(lambda n: bytes(7) + bytes((n,))),
    st.integers(0, 3),
    st.integers(1, 4).map(port),
    st.just(US),
)


@given(candidates, candidates)
def test_of_two_different_offers_at_most_one_is_better(a: Candidate, b: Candidate) -> None:
    assert not (better(a, b) and better(b, a))
    if a.grandmaster != b.grandmaster:
        assert better(a, b) or better(b, a)


@given(candidates, candidates, candidates)
def test_better_grandmasters_are_transitive(a: Candidate, b: Candidate, c: Candidate) -> None:
    if len({a.grandmaster, b.grandmaster, c.grandmaster}) == 3 and better(a, b) and better(b, c):
        assert better(a, c)


WORSE = own(250, Quality(248, 0xFE, 0xFFFF), 128, US)
PREFERRED = own(1, Quality(248, 0xFE, 0xFFFF), 128, US)
REFERENCE = own(250, Quality(6, 0x21, 0xFFFF), 128, US)


@pytest.mark.parametrize(
    ("role", "ours", "best", "listening", "state"),
    [
        (Role.SLAVE_ONLY, PREFERRED, None, False, PortState.LISTENING),
        (Role.SLAVE_ONLY, PREFERRED, BASE, False, PortState.UNCALIBRATED),
        (Role.MASTER_ONLY, WORSE, BASE, True, PortState.PRE_MASTER),
        (Role.ORDINARY, WORSE, None, True, PortState.LISTENING),
        (Role.ORDINARY, WORSE, None, False, PortState.PRE_MASTER),
        (Role.ORDINARY, WORSE, BASE, False, PortState.UNCALIBRATED),
        (Role.ORDINARY, PREFERRED, BASE, False, PortState.PRE_MASTER),
        (Role.ORDINARY, REFERENCE, BASE, False, PortState.PASSIVE),
    ],
)
def test_what_the_port_becomes(
    role: Role, ours: Candidate, best: Candidate | None, listening: bool, state: PortState
) -> None:
    assert decide(role, ours, best, listening=listening) is state
