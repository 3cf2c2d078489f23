"""The media clock: continuous, slewed within limits, jumps declared."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aes67.clock.media_clock import RATE_LIMIT_Q40, STEP_NS, MediaClock
from aes67.clock.timebase import MS, NS, Line, rate_to_q40

START = Line(5 * NS, 1_000 * NS)


def steer(media: MediaClock, target: Line, start_ns: int, seconds: float) -> int:
    """Follow every 100 ms; the instant reached."""
    now = start_ns
    for _ in range(round(seconds * 10)):
        now += 100 * MS
        before = media.line
        media.follow(now, target)
        assert 0 <= media.line.at(now) - before.at(now) <= 1
        apart = abs(media.line.rate_q40 - target.rate_q40)
        assert apart <= rate_to_q40(50_000) + 1
    return now


def test_300_us_are_slewed_in_less_than_15_seconds_without_a_jump() -> None:
    media = MediaClock(START)
    target = Line(START.raw_ns, START.time_ns + 300_000)
    now = steer(media, target, START.raw_ns, 15)
    assert abs(media.error_ns(now, target)) < 100
    assert media.epoch == 0


def test_a_millisecond_is_a_discontinuity() -> None:
    media = MediaClock(START)
    now = START.raw_ns + NS
    assert media.follow(now, Line(START.raw_ns, START.time_ns - STEP_NS))
    assert media.line.at(now) == START.time_ns + NS - STEP_NS
    assert (media.epoch, media.session_epoch) == (1, 0)


def test_only_jumps_after_the_first_lock_count_as_new_sessions() -> None:
    media = MediaClock(START)
    media.follow(6 * NS, Line(0, 0))
    media.locked()
    media.follow(7 * NS, Line(0, 10 * NS))
    assert (media.epoch, media.session_epoch) == (2, 1)


def test_it_keeps_up_with_a_rate_without_lagging() -> None:
    media = MediaClock(START)
    target = Line(START.raw_ns, START.time_ns, rate_to_q40(80_000))
    now = steer(media, target, START.raw_ns, 10)
    assert abs(media.error_ns(now, target)) <= 2


@given(
    st.lists(
        st.tuples(
            st.integers(1, 10**9),
            st.integers(-(10**10), 10**10),
            st.integers(-(2**41), 2**41),
        ),
        max_size=20,
    )
)
def test_time_never_runs_backwards_within_an_epoch(
    moves: list[tuple[int, int, int]],
) -> None:
    media = MediaClock(START)
    now = START.raw_ns
    for span, ahead, rate in moves:
        before, epoch = media.line.at(now), media.epoch
        now += span
        media.follow(now, Line(now, media.line.at(now) + ahead, rate))
        assert abs(media.line.rate_q40) <= RATE_LIMIT_Q40
        if media.epoch == epoch:
            assert media.line.at(now) >= before
