"""The card's clock told in CLOCK_MONOTONIC_RAW, read from a script in virtual time."""

from __future__ import annotations

import pytest

from aes67.engine.card_clock import CardClock, open_card
from aes67.net.reference_clock import Reading

NS = 1_000_000_000


class Scripted:
    """A clock that shows a law of CLOCK_MONOTONIC_RAW, until it is changed or fails."""

    name = "/dev/ptp7"
    method = "by script"

    def __init__(self, ppm: float, epoch_ns: int) -> None:
        self.ppm, self.epoch_ns = ppm, epoch_ns
        self.now_ns = 0
        self.width_ns = 300
        self.failing = False
        self.closed = False

    def law(self, raw_ns: int) -> int:
        return self.epoch_ns + raw_ns + round(raw_ns * self.ppm * 1e-6)

    def read(self) -> Reading | None:
        if self.failing:
            raise OSError(19, "No such device")
        return Reading(self.now_ns, self.law(self.now_ns), self.width_ns)

    def remark(self) -> str:
        return ""

    def close(self) -> None:
        self.closed = True


def run(card: CardClock, clock: Scripted, until_s: float) -> int:
    """Read it whenever that is due, until then."""
    while card.next_ns <= until_s * NS:
        clock.now_ns = max(card.next_ns, clock.now_ns)
        card.read(clock.now_ns)
    clock.now_ns = round(until_s * NS)
    return clock.now_ns


@pytest.mark.parametrize("ppm", [-90.0, 0.0, 25.0])
@pytest.mark.parametrize("epoch_ns", [0, 1_700_000_000 * NS])
def test_stamps_are_told_in_our_time_after_a_second(ppm: float, epoch_ns: int) -> None:
    clock = Scripted(ppm, epoch_ns)
    card = CardClock(clock, 0)
    assert not card.usable(run(card, clock, 0.9))
    now_ns = run(card, clock, 1.6)
    assert card.usable(now_ns)
    assert card.rate_ppm == pytest.approx(ppm, abs=0.01)
    for age in (0, 30_000, 20_000_000):
        found = card.to_raw(clock.law(now_ns - age), now_ns)
        assert found is not None
        assert abs(found - (now_ns - age)) <= 5
    assert card.words == "/dev/ptp7, by script"


def test_a_stamp_of_another_time_is_worthless() -> None:
    clock = Scripted(10.0, 50 * NS)
    card = CardClock(clock, 0)
    now_ns = run(card, clock, 3)
    for stamp_ns in (0, clock.law(now_ns) - 6 * NS, clock.law(now_ns) + 2 * NS):
        assert card.to_raw(stamp_ns, now_ns) is None


def test_a_clock_that_is_set_is_known_again_within_two_seconds() -> None:
    clock = Scripted(10.0, 50 * NS)
    card = CardClock(clock, 0)
    run(card, clock, 3)
    clock.epoch_ns += 37 * NS
    now_ns = run(card, clock, 5)
    assert card.usable(now_ns)
    found = card.to_raw(clock.law(now_ns), now_ns)
    assert found is not None
    assert abs(found - now_ns) <= 5


def test_one_that_cannot_be_read_is_left_and_says_why() -> None:
    clock = Scripted(0.0, 0)
    card = CardClock(clock, 0)
    run(card, clock, 3)
    clock.failing = True
    now_ns = run(card, clock, 4.5)
    assert not card.usable(now_ns)
    assert card.words == "/dev/ptp7: No such device"
    clock.failing = False
    assert card.usable(run(card, clock, 5))
    card.close()
    assert clock.closed


def test_interrupted_readings_are_left_out() -> None:
    clock = Scripted(0.0, 0)
    card = CardClock(clock, 0)
    clock.width_ns = 200_000
    assert not card.usable(run(card, clock, 4))


@pytest.mark.parametrize(
    ("wanted", "why"), [("off", "off by configuration"), ("auto", "the card has none"),
                        ("on", "the card has none")],
)  # fmt: skip
def test_without_a_card_there_is_a_reason(wanted: str, why: str) -> None:
    assert open_card("lo", wanted, False, 0) == (None, why)
