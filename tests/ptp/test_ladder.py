"""The timestamp ladder: down after five misses, up after a minute without one."""

from __future__ import annotations

from aes67.clock.timebase import NS
from aes67.ptp.ladder import Ladder, Rung


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
