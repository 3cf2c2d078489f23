"""Lock states and their reasons, on virtual time."""

from __future__ import annotations

from aes67.clock.lock import Lock, Sight, State, in_words
from aes67.clock.timebase import MS, NS, UNKNOWN_NS, US

GOOD = Sight(now_ns=0, three_sigma_ns=1 * US, first_data_ns=10 * NS)


def at(sight: Sight, seconds: float) -> Sight:
    return sight._replace(now_ns=round(seconds * NS))


def feed(lock: Lock, sight: Sight, start: float, stop: float, step: float = 0.1) -> None:
    steps = round((stop - start) / step)
    for i in range(steps + 1):
        lock.update(at(sight, start + i * step))


def locked() -> Lock:
    lock = Lock(0)
    feed(lock, GOOD, 10.0, 12.5)
    assert lock.state is State.LOCKED
    return lock


def test_it_locks_two_seconds_after_the_first_measurement() -> None:
    lock = Lock(0)
    feed(lock, GOOD, 10.0, 11.7)
    assert lock.state is State.LOCKING
    feed(lock, GOOD, 11.8, 12.0)
    assert lock.state is State.LOCKED


def test_a_master_that_qualifies_late_is_locked_to_at_once_when_it_was_measured_before() -> None:
    lock = Lock(0)
    feed(lock, GOOD._replace(missing="waiting for a second Announce"), 10.0, 14.0)
    assert lock.state is State.UNLOCKED
    assert lock.reason == "waiting for a second Announce"
    feed(lock, GOOD, 14.0, 14.4)
    assert lock.state is State.LOCKED


def test_noise_between_the_limits_changes_nothing() -> None:
    lock = locked()
    changes = lock.changes
    feed(lock, GOOD._replace(three_sigma_ns=19 * US), 13.0, 20.0)
    assert lock.state is State.LOCKED
    fresh = Lock(0)
    feed(fresh, GOOD._replace(three_sigma_ns=6 * US), 10.0, 20.0)
    assert fresh.state is State.LOCKING
    assert "must be below 5 us" in fresh.reason
    assert lock.changes == changes


def test_too_uncertain_is_unlocked_and_takes_two_seconds_to_come_back() -> None:
    lock = locked()
    lock.update(at(GOOD._replace(three_sigma_ns=21 * US), 13.0))
    assert lock.state is State.UNLOCKED
    feed(lock, GOOD, 13.1, 14.7)
    assert lock.state is State.LOCKING
    feed(lock, GOOD, 14.8, 15.0)
    assert lock.state is State.LOCKED


def test_silence_is_holdover_until_the_prediction_is_too_uncertain() -> None:
    lock = locked()
    silent = GOOD._replace(silent="no Sync from X for 2.0 s")
    lock.update(at(silent, 13.0))
    assert lock.state is State.HOLDOVER
    assert lock.reason.startswith("no Sync from X")
    lock.update(at(silent._replace(three_sigma_ns=21 * US), 300.0))
    assert lock.state is State.UNLOCKED
    assert "3 sigma is 21 us" in lock.reason


def test_a_master_that_comes_back_ends_the_holdover_at_once() -> None:
    lock = locked()
    lock.update(at(GOOD._replace(silent="gone"), 13.0))
    lock.update(at(GOOD, 20.0))
    assert lock.state is State.LOCKED


def test_a_jump_of_the_master_unlocks_and_says_by_how_much() -> None:
    lock = locked()
    lock.update(at(GOOD._replace(jump_ns=-2_500 * MS), 13.0))
    assert lock.state is State.UNLOCKED
    assert "jumped by -2.5 s" in lock.reason


def test_a_master_that_runs_wild_is_not_believed() -> None:
    lock = Lock(0)
    feed(lock, GOOD._replace(rate_ppm=-1_200.0), 10.0, 20.0)
    assert lock.state is State.LOCKING
    assert "-1200 ppm" in lock.reason


def test_an_unknown_uncertainty_never_locks() -> None:
    lock = Lock(0)
    feed(lock, GOOD._replace(three_sigma_ns=UNKNOWN_NS), 10.0, 20.0)
    assert lock.state is State.LOCKING
    assert "3 sigma unknown" in lock.reason


def test_time_in_each_state_adds_up() -> None:
    lock = locked()
    lock.update(at(GOOD._replace(silent="gone"), 20.0))
    spent = lock.seconds_in(25 * NS)
    assert sum(spent.values()) == 25.0
    assert spent["holdover"] == 5.0


def test_durations_are_written_with_the_unit_that_fits() -> None:
    assert in_words(412) == "412 ns"
    assert in_words(7_250) == "7.25 us"
    assert in_words(-300_000) == "-300 us"
    assert [in_words(n) for n in (999_400_000, 999_999_970)] == ["999 ms", "1 s"]
    assert in_words(2_000_000_000_000) == "2000 s"
