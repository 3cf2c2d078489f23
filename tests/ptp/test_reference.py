"""Modes `system` and `phc` in virtual time: a clock of this machine is followed, never doubted."""

from __future__ import annotations

import numpy as np
import pytest

from aes67.clock.lock import State
from aes67.clock.timebase import NS, Line
from aes67.ptp.modes import Mode
from aes67.ptp.ordinary_clock import OrdinaryClock
from aes67.ptp.reference import READ_NS, WIDE_NS, Reference

TAI = 1_800_000_000 * NS


class Bench:
    """A clock of this machine with a law, read as the timekeeper does."""

    def __init__(self) -> None:
        self.now_ns = 4_411 * NS
        self.reference = Reference("the clock", self.now_ns)
        local = Line(self.now_ns, self.now_ns + TAI - 5 * NS)
        self.clock = OrdinaryClock(
            Mode.SYSTEM, None, lambda: 0.5, self.now_ns, local, None, "", self.reference
        )
        self.rate_ppm = 0.0
        self.ahead_ns = TAI
        self.readable = True
        self.rng = np.random.default_rng(7)
        self.errors: list[int] = []
        self.states: list[str] = []

    def run(self, seconds: float) -> None:
        end = self.now_ns + round(seconds * NS)
        while self.now_ns < end:
            due = min(max(self.clock.next_deadline(), self.now_ns + 1), end)
            self.ahead_ns += round((due - self.now_ns) * self.rate_ppm * 1e-6)
            self.now_ns = due
            if self.now_ns >= self.reference.next_ns:
                self.reference.read_again(self.now_ns)
                if self.readable:
                    noise = round(self.rng.normal(0, 40))
                    self.reference.take(
                        self.now_ns, self.now_ns + self.ahead_ns + noise, 100 + abs(noise)
                    )
                else:
                    self.reference.failed("the clock: No such device")
            self.clock.handle_timer(self.now_ns)
            state = self.clock.lock.state.name.lower()
            if not self.states or self.states[-1] != state:
                self.states.append(state)
            self.errors.append(self.error())

    def error(self) -> int:
        return self.clock.mapping.line.at(self.now_ns) - self.now_ns - self.ahead_ns


def test_it_locks_in_two_seconds_and_follows_closely() -> None:
    bench = Bench()
    bench.run(2.2)
    assert bench.states == ["unlocked", "locking", "locked"]
    assert bench.clock.media.session_epoch == 0
    bench.run(20)
    assert max(map(abs, bench.errors[-100:])) < 200
    assert bench.clock.mapping.uncertainty_ns < 5_000
    assert bench.clock.grandmaster is None


@pytest.mark.parametrize("ppm", [5.0, 40.0, 480.0])
def test_a_clock_that_is_slewed_is_followed_without_an_epoch(ppm: float) -> None:
    """480 ppm is what ntpd slews with."""
    bench = Bench()
    bench.run(5)
    bench.errors.clear()
    bench.rate_ppm = ppm
    bench.run(10)
    bench.rate_ppm = -ppm
    bench.run(10)
    bench.rate_ppm = 0.0
    bench.run(10)
    assert bench.states == ["unlocked", "locking", "locked"]
    assert bench.clock.media.session_epoch == 0
    assert max(map(abs, bench.errors)) < 3 * 2 * ppm * READ_NS / 1e6
    assert max(map(abs, bench.errors[-20:])) < 1_000


def test_a_step_is_an_epoch_and_a_small_one_is_slewed() -> None:
    bench = Bench()
    bench.run(5)
    bench.ahead_ns -= NS
    bench.run(4)
    assert bench.reference.steps == 1
    assert bench.states[2:] == ["locked", "unlocked", "locking", "locked"]
    assert bench.clock.media.session_epoch == 1
    assert abs(bench.error()) < 1_000
    bench.ahead_ns += 300_000
    bench.run(20)
    assert bench.clock.media.session_epoch == 1
    assert abs(bench.error()) < 1_000


def test_one_absurd_reading_is_no_step() -> None:
    bench = Bench()
    bench.run(5)
    bench.reference.take(bench.now_ns, bench.now_ns + bench.ahead_ns + 7 * NS, 50)
    bench.run(2)
    assert bench.reference.steps == 0
    assert bench.clock.lock.state is State.LOCKED
    assert max(map(abs, bench.errors[-10:])) < 500


def test_a_reading_that_was_interrupted_counts_for_nothing() -> None:
    bench = Bench()
    bench.reference.take(bench.now_ns, 5, WIDE_NS + 1)
    assert (bench.reference.readings, bench.reference.wide) == (0, 1)


def test_a_clock_that_goes_away_is_held_over() -> None:
    bench = Bench()
    bench.run(5)
    bench.readable = False
    bench.run(3)
    assert bench.clock.lock.state is State.HOLDOVER
    assert "No such device" in bench.clock.lock.reason
    bench.readable = True
    bench.run(2)
    assert bench.clock.lock.state is State.LOCKED
    assert bench.clock.media.session_epoch == 0


def test_one_that_was_never_there_says_so() -> None:
    bench = Bench()
    bench.readable = False
    bench.run(5)
    assert bench.clock.lock.state is State.UNLOCKED
    assert bench.clock.lock.reason == "the clock: No such device"


def test_a_time_beyond_arithmetic_is_refused() -> None:
    bench = Bench()
    for _ in range(5):
        bench.reference.take(bench.now_ns, -(2**62), 10)
    assert "out of range" in bench.reference.trouble


def test_its_remark_is_part_of_the_reason() -> None:
    bench = Bench()
    bench.reference.remark = "nobody disciplines it"
    bench.run(3)
    assert bench.clock.lock.reason.startswith("nobody disciplines it; 3 sigma")
    assert bench.reference.next_ns - bench.now_ns <= READ_NS
