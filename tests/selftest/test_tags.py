"""Numbered frames and the latency computed from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.selftest.latency import Run, latencies
from aes67.selftest.samples import FORMATS, decode, encode, truncate
from aes67.selftest.tags import MODULUS, floor_ms, numbers_of, tagged


@given(
    first=st.integers(0, 2**40),
    frames=st.integers(1, 200),
    name=st.sampled_from(sorted(FORMATS)),
    later=st.integers(0, MODULUS - 201),
)
def test_a_number_survives_every_format_and_the_narrowest_codec(
    first: int, frames: int, name: str, later: int
) -> None:
    form = FORMATS[name]
    wire = truncate(decode(encode(tagged(first, frames, 2), form), form, 2), 16)
    found = numbers_of(wire, first + frames - 1 + later)
    assert found.tolist() == list(range(first, first + frames))


def test_silence_has_no_number() -> None:
    assert numbers_of(np.zeros((3, 2), dtype=np.int32), 1000).tolist() == [-1, -1, -1]


def test_latency_is_read_time_minus_the_write_time_of_the_frames_chunk() -> None:
    form = FORMATS["S16_LE"]
    run = Run(written_ns=[1_000_000 * k for k in range(2000)])
    for k in range(3, 2000):  # each chunk comes back 3.25 ms after it was written
        data = encode(tagged(48 * (k - 3), 48, 1), form)
        run.read.append((1_000_000 * k + 250_000, 48 * k - 1, data))
    found = latencies(run, form, 48)
    assert found is not None
    assert (found.min_ms, found.median_ms, found.max_ms) == pytest.approx((3.25, 3.25, 3.25))
    assert found.frames == (2000 - 3 - 500) * 48


def test_nothing_but_silence_is_no_latency() -> None:
    run = Run(read=[(10**9 * k, 0, bytes(96)) for k in range(5)])
    assert latencies(run, FORMATS["S16_LE"], 48) is None


def test_floor_of_the_usual_geometry_is_three_periods_of_a_millisecond() -> None:
    assert floor_ms(48000, 48, 48) == 3.0
    assert floor_ms(48000, 12, 6) == pytest.approx(0.625)
