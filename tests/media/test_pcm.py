"""Payload words equal the octets of wire.payload, for every codec, shape and sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.media import aes3, meters, pcm
from aes67.shm.layout import CODEC_AM824, CODEC_L16, CODEC_L24
from aes67.wire.payload import Subframe, channel_status
from reference import media as twin

CANARY = 0x5A5A5A5A
sample = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([0, -1, 2**31 - 1, -(2**31), 255, 256])
linear = st.sampled_from([CODEC_L16, CODEC_L24, CODEC_AM824])


def words_for(count: int) -> np.ndarray:
    return np.full(count + pcm.SLACK_WORDS, CANARY, np.int32)


@given(linear, st.lists(sample, min_size=1, max_size=70))
def test_packing_equals_the_standards_octets(codec: int, samples: list[int]) -> None:
    expected = twin.payload_of(codec, samples)
    words = words_for(-(-len(expected) // 4))
    pcm.pack(codec, words, np.array(samples, np.int32))
    assert words.tobytes()[: len(expected)] == expected
    assert (words[-(pcm.SLACK_WORDS - 2) :] == CANARY).all()


@given(linear, st.lists(sample, min_size=1, max_size=70))
def test_unpacking_restores_the_bits_the_codec_carries(codec: int, samples: list[int]) -> None:
    payload = twin.payload_of(codec, samples)
    words = np.frombuffer(payload + bytes(-len(payload) % 4 + 16), "<i4").copy()
    out = np.full(len(samples), CANARY, np.int32)
    pcm.unpack(codec, out, words)
    kept = twin.CODECS[codec].sample_bits
    assert out.tolist() == [value >> (32 - kept) << (32 - kept) for value in samples]


@given(
    channels=st.integers(1, 64),
    frames=st.integers(1, 8),
    first=st.integers(0, 2**50),
    seed=st.integers(0, 2**32 - 1),
)
def test_aes3_subframes_follow_the_standard(
    channels: int, frames: int, first: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    samples = random.integers(-(2**31), 2**31, channels * frames).astype(np.int32)
    status = np.unpackbits(np.frombuffer(channel_status(48_000), np.uint8), bitorder="little")
    expected = twin.aes3_payload(samples.tolist(), channels, first, status.tolist())
    words = words_for(len(samples))
    aes3.pack_aes3(words, samples, channels, first, status)
    assert words.tobytes()[: len(expected)] == expected
    out = np.zeros(len(samples), np.int32)
    aes3.unpack_aes3(out, words)
    assert out.tolist() == twin.aes3_samples(expected)
    assert out.tolist() == [value >> 8 << 8 for value in samples.tolist()]


def test_aes3_labels_do_not_reach_the_samples() -> None:
    """V, U, C, parity, block and frame bits of a foreign sender are no audio."""
    frame = Subframe(-3, invalid=True, user=True, channel_status=True, block_start=True,
                     frame_start=True)  # fmt: skip
    out = np.zeros(1, np.int32)
    aes3.unpack_aes3(out, np.frombuffer(frame.pack(), "<i4").copy())
    assert out[0] == -3 << 8


@pytest.mark.parametrize(("codec", "size"), [(CODEC_L16, 2), (CODEC_L24, 3), (CODEC_AM824, 4)])
def test_sample_bytes(codec: int, size: int) -> None:
    assert pcm.sample_bytes(codec) == size


@given(st.lists(sample, max_size=60))
def test_a_meter_shows_the_largest_magnitude(samples: list[int]) -> None:
    largest = max((abs(value) for value in samples), default=0)
    assert meters.peak_of(np.array(samples, np.int32)) == largest >> 8


@given(st.lists(sample, min_size=1, max_size=30), st.integers(0, 2**31))
def test_gain_is_rounded_and_saturated(samples: list[int], gain: int) -> None:
    out = np.array(samples, np.int32)
    meters.amplify(out, gain)
    assert out.tolist() == [twin.amplified(value, gain) for value in samples]


@given(st.lists(sample, min_size=1, max_size=30))
def test_unity_gain_touches_nothing(samples: list[int]) -> None:
    out = np.array(samples, np.int32)
    meters.amplify(out, meters.UNITY)
    assert out.tolist() == samples


def test_a_meter_decays_to_zero() -> None:
    peak = 2**23
    steps = 0
    while peak > 0:
        assert 0 <= meters.decayed(peak) < peak
        peak = meters.decayed(peak)
        steps += 1
    assert meters.decayed(0) == 0
    assert steps < 600, "six seconds at 100 Hz"
