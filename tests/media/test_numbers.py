"""32-bit words in 64-bit integers, and frames of media time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.clock.timebase import Line
from aes67.media import timeline, words
from reference import media as twin

RATES = (44_100, 48_000, 88_200, 96_000, 176_400, 192_000, 352_800, 384_000)
TODAY_NS = 1_780_000_000 * 10**9
int64 = st.integers(-(2**62), 2**62)


@given(int64)
def test_signed32_is_the_low_half_as_a_signed_number(value: int) -> None:
    low = (value % 2**32).to_bytes(4, "big")
    assert words.signed32(value) == int.from_bytes(low, "big", signed=True)


@given(int64)
def test_swapped32_reverses_the_octets(value: int) -> None:
    assert words.swapped32(value) == int.from_bytes((value % 2**32).to_bytes(4, "big"), "little")


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**50))
def test_unwrapped32_is_congruent_and_nearest(value: int, near: int) -> None:
    found = words.unwrapped32(value, near)
    assert found % 2**32 == value
    assert -(2**31) <= found - near < 2**31


@given(st.integers(-(10**12), 2 * TODAY_NS), st.sampled_from(RATES))
def test_frames_are_exact(media_ns: int, rate: int) -> None:
    assert timeline.frame_at(media_ns, rate) == twin.frame_at(media_ns, rate)


@given(st.integers(0, 9 * 10**9), st.integers(0, 384_000), st.sampled_from(RATES))
def test_a_frame_begins_at_the_first_nanosecond_that_reaches_it(
    second: int, more: int, rate: int
) -> None:
    frame = second * rate + more
    begin = timeline.begin_of(frame, rate)
    assert begin == twin.begin_of(frame, rate)
    assert timeline.frame_at(begin, rate) == frame
    assert timeline.frame_at(begin - 1, rate) == frame - 1


@given(
    span=st.integers(-(10**17), 10**17),
    rate_q40=st.integers(-600_000_000, 600_000_000),
)
def test_media_time_is_the_clock_pages_line(span: int, rate_q40: int) -> None:
    """Three years at 545 ppm, against Python's integers without bound."""
    line = Line(5_000, TODAY_NS, rate_q40)
    assert timeline.media_at(5_000 + span, 5_000, TODAY_NS, rate_q40) == line.at(5_000 + span)


@given(
    span=st.integers(-(10**13), 10**13),
    rate_q40=st.integers(-600_000_000, 600_000_000),
)
def test_the_line_is_inverted_within_a_nanosecond(span: int, rate_q40: int) -> None:
    raw = timeline.raw_at(TODAY_NS + span, 5_000, TODAY_NS, rate_q40)
    assert abs(timeline.media_at(raw, 5_000, TODAY_NS, rate_q40) - (TODAY_NS + span)) <= 1


@pytest.mark.parametrize("rate", RATES)
def test_a_second_is_a_whole_number_of_frames(rate: int) -> None:
    assert timeline.frame_at(10**9, rate) == rate
    assert timeline.begin_of(rate * 86_400 * 365 * 60, rate) == 86_400 * 365 * 60 * 10**9
