"""One pass over a payload against the three it stands for, which are tested by themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.engine.planar import BLOCK, READ_BEYOND, place_payload
from aes67.jit import kernel
from aes67.media.meters import peak_of
from aes67.media.pcm import SLACK_WORDS, sample_bytes, unpack
from aes67.media.playout import spread
from aes67.shm.layout import CODEC_AM824, CODEC_L16, CODEC_L24, SINK_ROW
from aes67.wire.payload import MAX_PAYLOAD_BYTES

DEVICE_CHANNELS = 80
BUS_FRAMES = 512
UNTOUCHED = 0x5A5A5A5A


@kernel
def place(
    codec: int, source: int, frames: int, channel_map: Any, channels: int,
    bus: Any, first: int, spare: int,
) -> int:  # fmt: skip
    """`place_payload` for Python code."""
    return place_payload(codec, source, frames, channel_map, channels, bus, first, spare)


def sink(codec: int, channel_map: list[int]) -> Any:
    row = np.zeros(1, SINK_ROW.dtype)[0]
    row["codec"] = codec
    row["channels"] = len(channel_map)
    row["map"][: len(channel_map)] = channel_map
    return row


def expected(row: Any, words: Any, frames: int, first: int) -> tuple[Any, int]:
    """The bus and the peak by `unpack`, `peak_of` and `spread`."""
    bus = np.full((DEVICE_CHANNELS, BUS_FRAMES), UNTOUCHED, np.int32)
    samples = np.zeros(frames * int(row["channels"]), np.int32)
    unpack(int(row["codec"]), samples, words)
    spread(bus, row, samples, first)
    return bus, peak_of(samples)


def placed(row: Any, words: Any, frames: int, first: int) -> tuple[Any, int]:
    bus = np.full((DEVICE_CHANNELS, BUS_FRAMES), UNTOUCHED, np.int32)
    spare = np.full(frames + 1, UNTOUCHED, np.int32)
    peak = place(
        int(row["codec"]), words.ctypes.data, frames, row["map"], int(row["channels"]),
        bus, first, spare.ctypes.data,
    )  # fmt: skip
    assert spare[frames] == UNTOUCHED
    return bus, peak


@pytest.mark.parametrize("codec", [CODEC_L16, CODEC_L24, CODEC_AM824])
@given(data=st.data())
def test_it_is_what_the_three_passes_are(codec: int, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(DEVICE_CHANNELS)))
    channels = data.draw(st.integers(BLOCK, 64))
    most = MAX_PAYLOAD_BYTES // (channels * sample_bytes(codec))
    frames = data.draw(st.integers(BLOCK, most))
    absent = data.draw(st.sets(st.integers(0, channels - 1)))
    row = sink(codec, [-1 if c in absent else order[c] for c in range(channels)])
    octets = frames * channels * sample_bytes(codec)
    seed = data.draw(st.integers(0, 2**32 - 1))
    words = np.random.default_rng(seed).integers(-(2**31), 2**31, octets // 4 + SLACK_WORDS)
    words = words.astype(np.int32) >> data.draw(st.sampled_from([0, 12, 31]))
    first = data.draw(st.integers(0, 3)) * BUS_FRAMES + data.draw(
        st.integers(0, BUS_FRAMES - frames)
    )
    bus, peak = placed(row, words, frames, first)
    wanted, loudest = expected(row, words, frames, first)
    assert np.array_equal(bus, wanted)
    assert peak == loudest


def test_the_loudest_sample_of_all_is_minus_one() -> None:
    words = np.zeros(4 * 4 + SLACK_WORDS, np.int32)
    words[7] = 0x80  # big-endian: 0x80000000
    _, peak = placed(sink(CODEC_AM824, [0, 1, 2, 3]), words, 4, 0)
    assert peak == 1 << 23


def test_it_reads_no_further_than_it_says() -> None:
    assert READ_BEYOND <= 4 * SLACK_WORDS
    row = sink(CODEC_L24, [0, 1, 2, 3])
    words = np.zeros(3 * 4 + READ_BEYOND // 4, np.int32)
    words[12:] = -1  # what lies behind is no part of any sample
    bus, peak = placed(row, words, 4, 0)
    assert peak == 0
    assert not bus[:4, :4].any()
