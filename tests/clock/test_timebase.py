"""Lines between timescales, and measurements made of messages."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from aes67.clock import measurement
from aes67.clock.measurement import DELAY, LIMIT_NS, SYNC
from aes67.clock.timebase import Line, rate_to_ppm, rate_to_q40

lines = st.builds(
    Line,
    st.integers(0, 2**60),
    st.integers(0, 2**61),
    st.integers(-rate_to_q40(600_000), rate_to_q40(600_000)),
)


@given(lines, st.integers(-(10**12), 10**12))
def test_a_line_is_exact_to_the_nanosecond(line: Line, span: int) -> None:
    exact = line.time_ns + span * (1 + Fraction(line.rate_q40, 2**40))
    assert 0 <= exact - line.at(line.raw_ns + span) < 1


@given(lines, st.integers(-(10**12), 10**12))
def test_a_line_can_be_read_backwards(line: Line, span: int) -> None:
    raw_ns = line.raw_ns + span
    assert abs(line.raw_at(line.at(raw_ns)) - raw_ns) <= 2


@given(lines, st.integers(-(10**12), 10**12), st.integers(-(10**10), 10**10))
def test_moving_the_reference_moves_nothing_else(line: Line, to: int, span: int) -> None:
    moved = line.moved_to(line.raw_ns + to)
    at = moved.raw_ns + span
    assert abs(moved.at(at) - line.at(at)) <= 1


def test_rates_keep_a_thousandth_of_a_ppb() -> None:
    assert abs(rate_to_ppm(rate_to_q40(30_000.001)) - 30.000001) < 1e-6


@given(st.integers(0, 2**62 - 2**48), st.integers(-(2**63), 2**63 - 1))
def test_corrections_keep_their_fraction(time_ns: int, correction: int) -> None:
    for made, sign in (
        (measurement.sync(5, time_ns, correction), 1),
        (measurement.delay(5, time_ns, correction), -1),
    ):
        exact = time_ns + Fraction(sign * correction, 65536)
        if made is None:
            assert exact < 0 or exact >= LIMIT_NS - 1
        else:
            assert Fraction(made.fraction) + made.master_ns == exact
            assert 0 <= made.fraction < 1


def test_directions_carry_the_sign_of_the_delay() -> None:
    sync = measurement.sync(1, 10, 3 << 16)
    delay = measurement.delay(1, 10, 3 << 16)
    assert sync is not None
    assert delay is not None
    assert (sync.direction, sync.master_ns) == (SYNC, 13)
    assert (delay.direction, delay.master_ns) == (DELAY, 7)


def test_times_int64_could_not_carry_are_refused() -> None:
    assert measurement.sync(1, LIMIT_NS, 0) is None
    assert measurement.sync(1, 0, -65536) is None
