"""Sample formats of the self-tests: known bytes, round trips, and what a narrow wire leaves."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.errors import Refused
from aes67.selftest.samples import FORMATS, decode, encode, sample_format, truncate

SAMPLE = 0x12345678
KNOWN = {
    "S16_LE": bytes.fromhex("3412"),
    "S24_3LE": bytes.fromhex("563412"),
    "S24_LE": bytes.fromhex("56341200"),
    "S32_LE": bytes.fromhex("78563412"),
    "FLOAT_LE": struct.pack("<f", 0x123456 / (1 << 23)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_known_bytes(name: str) -> None:
    form = FORMATS[name]
    samples = np.array([[SAMPLE]], dtype=np.int32)
    assert encode(samples, form) == KNOWN[name]
    kept = SAMPLE >> (32 - form.bits) << (32 - form.bits)
    assert decode(KNOWN[name], form, 1)[0, 0] == kept


@given(
    name=st.sampled_from(sorted(FORMATS)),
    values=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=24),
)
def test_what_is_encoded_comes_back_without_the_bits_the_format_lacks(
    name: str, values: list[int]
) -> None:
    form = FORMATS[name]
    samples = np.array(values, dtype=np.int32).reshape(-1, 1)
    data = encode(samples, form)
    assert len(data) == len(values) * form.sample_bytes
    expected = [value >> (32 - form.bits) << (32 - form.bits) for value in values]
    assert decode(data, form, 1)[:, 0].tolist() == expected


def test_frames_are_interleaved() -> None:
    samples = np.array([[0x01000000, 0x02000000], [0x03000000, 0x04000000]], dtype=np.int32)
    assert encode(samples, FORMATS["S16_LE"]) == bytes.fromhex("0001 0002 0003 0004")
    assert decode(bytes.fromhex("0001 0002 0003 0004"), FORMATS["S16_LE"], 2).tolist() == (
        samples.tolist()
    )


def test_the_top_byte_of_s24_le_says_nothing() -> None:
    assert decode(bytes.fromhex("563412ff"), FORMATS["S24_LE"], 1)[0, 0] == 0x12345600


def test_floats_beyond_full_scale_saturate() -> None:
    data = struct.pack("<2f", 1.5, -1.5)
    assert decode(data, FORMATS["FLOAT_LE"], 1)[:, 0].tolist() == [2**31 - 1, -(2**31)]


@given(st.integers(-(2**31), 2**31 - 1), st.integers(1, 32))
def test_truncate_clears_the_low_bits(value: int, bits: int) -> None:
    kept = int(truncate(np.array([[value]], dtype=np.int32), bits)[0, 0])
    assert kept == value >> (32 - bits) << (32 - bits)


def test_an_unknown_format_is_refused_with_the_list() -> None:
    with pytest.raises(Refused, match="S24_3LE"):
        sample_format("S20_LE")
    assert sample_format("s16_le").name == "S16_LE"
