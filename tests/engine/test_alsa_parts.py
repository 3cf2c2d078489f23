"""The pure parts of the ALSA socket: volumes, gains, and the book of open PCMs."""

from __future__ import annotations

import errno
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.engine.controls import ELEMENTS, Controls, gain_q30
from aes67.engine.pcms import Book, Claim, Limits, Pcm
from aes67.errors import Refused
from aes67.shm.layout import CAPTURE, PLAYBACK

UNITY = 1 << 30


def test_unity_is_exact_and_mute_is_zero() -> None:
    assert gain_q30(0, True) == UNITY
    assert gain_q30(0, False) == 0
    assert gain_q30(-99, True) == 0


@pytest.mark.parametrize("volume", range(-98, 1))
def test_gains_are_their_decibels(volume: int) -> None:
    gain = gain_q30(volume, True)
    assert 20 * math.log10(gain / UNITY) == pytest.approx(volume, abs=1e-3)


def in_range(name: str, value: object) -> bool:
    if name == "else":
        return True
    if name.endswith("_on"):
        return isinstance(value, bool)
    return isinstance(value, int) and not isinstance(value, bool) and -99 <= value <= 0


@given(
    st.dictionaries(
        st.sampled_from([*ELEMENTS.values(), "else"]),
        st.one_of(st.integers(), st.booleans(), st.none(), st.text(), st.floats(allow_nan=False)),
    )
)
def test_controls_take_what_is_in_range_and_refuse_the_rest(values: dict[str, object]) -> None:
    try:
        changed = Controls().changed(values)
    except Refused:
        assert any(not in_range(name, value) for name, value in values.items())
        return
    assert all(in_range(name, value) for name, value in values.items())
    assert -99 <= changed.playback_db <= 0
    assert isinstance(changed.playback_on, bool)
    assert Controls().changed(changed.to_json()) == changed
    assert 0 <= changed.playback_q30 <= UNITY


@given(st.sampled_from(sorted(ELEMENTS)), st.integers(-101, 3) | st.integers(-(2**63), 2**63 - 1))
def test_elements_read_back_what_was_written(element: int, value: int) -> None:
    allowed = (0, 1) if ELEMENTS[element].endswith("_on") else range(-99, 1)
    if value in allowed:
        assert Controls().with_value(element, value).value(element) == value
    else:
        with pytest.raises(Refused):
            Controls().with_value(element, value)


def pcm(**changes: object) -> Pcm:
    fields: dict[str, object] = {
        "stream_id": 1,
        "slot": 0,
        "direction": PLAYBACK,
        "first": 4,
        "channels": 4,
        "rate": 48000,
        "exclusive": False,
        "ring_bytes": 1000,
        "uid": 1,
        "pid": 2,
        "application": "a",
    }
    return Pcm(**{**fields, **changes})  # type: ignore[arg-type]


@given(
    st.integers(0, 12),
    st.integers(1, 12),
    st.integers(0, 12),
    st.integers(1, 12),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_busy_is_shared_channels_and_somebody_exclusive(
    first: int,
    channels: int,
    other_first: int,
    other_channels: int,
    exclusive: bool,
    other_exclusive: bool,
    same_direction: bool,
) -> None:
    book = Book(Limits())
    book.add(1, pcm(first=other_first, channels=other_channels, exclusive=other_exclusive))
    direction = PLAYBACK if same_direction else CAPTURE
    shared = set(range(first, first + channels)) & set(
        range(other_first, other_first + other_channels)
    )
    expected = same_direction and bool(shared) and (exclusive or other_exclusive)
    assert book.is_busy(Claim(direction, first, channels, exclusive)) == expected


def test_limits_are_per_user_and_given_back() -> None:
    book = Book(Limits(pcms_per_uid=2, bytes_per_uid=1500))
    book.add(1, pcm())
    assert book.over_limit(1, 501) == errno.ENOMEM
    assert book.over_limit(1, 500) == 0
    assert book.over_limit(2, 1500) == 0
    book.add(2, pcm(ring_bytes=0))
    assert book.over_limit(1, 0) == errno.EBUSY
    assert book.remove(1) == pcm()
    assert book.remove(1) is None
    assert book.over_limit(1, 1500) == 0
