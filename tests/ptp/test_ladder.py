"""The timestamp ladder: down after five misses, up after a minute without one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.clock.timebase import NS
from aes67.ptp.ladder import MISSES, Ladder, Rung


def test_a_few_missing_stamps_change_nothing() -> None:
    ladder = Ladder()
    for second in range(100):
        ladder.transmitted(second % 4 != 0, second * NS)
    assert ladder.rung is Rung.KERNEL
    assert ladder.transmit_missed == 25


def test_five_misses_in_ten_seconds_cost_a_rung_and_a_good_minute_wins_it_back() -> None:
    ladder = Ladder()
    for second in range(5):
        ladder.transmitted(False, second * NS)
    assert ladder.rung is Rung.KERNEL_RECEIVE
    for second in range(5, 64):
        ladder.transmitted(True, second * NS)
    assert ladder.rung is Rung.KERNEL_RECEIVE
    ladder.transmitted(True, 64 * NS)
    assert ladder.rung is Rung.KERNEL
    assert ladder.changes == 2


def test_what_was_missed_without_a_link_is_forgotten_when_it_is_back() -> None:
    """Else a cable that was out for some seconds would cost a minute of worse stamps."""
    ladder = Ladder()
    ladder.use_card(True)
    for second in range(5):
        ladder.transmitted(False, second * NS, card=False)
    assert ladder.rung is Rung.KERNEL_RECEIVE
    ladder.link_back()
    assert ladder.rung is Rung.HARDWARE
    ladder.transmitted(True, 6 * NS, card=True)
    assert (ladder.rung, ladder.transmit_missed, ladder.changes) == (Rung.HARDWARE, 5, 3)
    for second in range(7, 12):
        ladder.transmitted(False, second * NS, card=False)
    assert ladder.rung is Rung.KERNEL_RECEIVE
    for each in range(5):  # another direction's are another matter
        ladder.received(False, 12 * NS + each)
    ladder.use_card(False)
    ladder.link_back()
    assert ladder.rung is Rung.USERSPACE


def test_without_receive_stamps_nothing_of_the_kernel_is_used() -> None:
    ladder = Ladder()
    for i in range(5):
        ladder.received(False, i * NS // 8)
    assert ladder.rung is Rung.USERSPACE
    assert ladder.rung.words == "userspace"


def test_a_miss_restarts_the_minute() -> None:
    ladder = Ladder()
    for i in range(5):
        ladder.received(False, i)
    for second in range(1, 59):
        ladder.received(True, second * NS)
    ladder.received(False, 59 * NS)
    for second in range(60, 119):
        ladder.received(True, second * NS)
    assert ladder.rung is Rung.USERSPACE
    ladder.received(True, 119 * NS)
    assert ladder.rung is Rung.KERNEL


def test_without_a_card_no_stamp_of_one_is_missed() -> None:
    ladder = Ladder()
    for second in range(20):
        ladder.received(True, second * NS)
        ladder.transmitted(True, second * NS)
    assert (ladder.rung, ladder.card_missed, ladder.changes) == (Rung.KERNEL, 0, 0)


@pytest.mark.parametrize("side", ["received", "transmitted"])
def test_the_card_s_stamps_come_first_and_leave_a_rung_when_they_fail(side: str) -> None:
    ladder = Ladder()
    ladder.use_card(True)
    assert ladder.rung is Rung.HARDWARE
    assert ladder.rung.words == "hardware"
    note = getattr(ladder, side)
    for i in range(4):
        note(True, i * NS, False)
    assert ladder.rung is Rung.HARDWARE
    note(True, 4 * NS, False)
    assert ladder.rung is Rung.KERNEL
    assert ladder.card_missed == 5
    for second in range(5, 65):
        note(True, second * NS, True)
    assert ladder.rung is Rung.HARDWARE
    assert ladder.changes == 3


def test_a_card_whose_clock_is_lost_is_left_at_once_and_taken_again() -> None:
    ladder = Ladder()
    ladder.use_card(True)
    ladder.use_card(False)
    assert ladder.rung is Rung.KERNEL
    ladder.use_card(True)
    assert ladder.rung is Rung.HARDWARE
    assert ladder.changes == 3


def test_good_stamps_of_the_card_do_without_the_kernel_s() -> None:
    ladder = Ladder()
    ladder.use_card(True)
    for i in range(8):
        ladder.received(False, i * NS, True)
        ladder.transmitted(False, i * NS, True)
    assert ladder.rung is Rung.HARDWARE
    ladder.use_card(False)
    assert ladder.rung is Rung.USERSPACE


packets = st.lists(
    st.tuples(
        st.booleans(), st.booleans(), st.sampled_from((None, False, True)),
        st.integers(0, 20 * NS), st.booleans(),
    ),
    max_size=300,
)  # fmt: skip


@given(packets)
def test_no_rung_is_left_without_five_misses_nor_taken_within_a_minute_of_one(
    given_packets: list[tuple[bool, bool, bool | None, int, bool]],
) -> None:
    ladder = Ladder()
    now, changes = 0, 0
    missed = {"received": 0, "transmitted": 0, "card": 0}
    for received, present, card, elapsed, usable in given_packets:
        now += elapsed
        ladder.use_card(usable)
        side = "received" if received else "transmitted"
        missed[side] += not present
        missed["card"] += card is False
        before = ladder.rung
        getattr(ladder, side)(present, now, card)
        if ladder.rung > before:
            assert not present or card is False
        elif ladder.rung < before:
            assert present or card
        assert ladder.changes >= changes
        changes = ladder.changes
    assert (ladder.receive_missed, ladder.transmit_missed) == (
        missed["received"], missed["transmitted"],
    )  # fmt: skip
    assert ladder.card_missed == missed["card"]
    if missed["received"] < MISSES:
        assert ladder.rung is not Rung.USERSPACE
