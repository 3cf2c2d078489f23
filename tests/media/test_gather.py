"""Reading playback rings, and which packets of a source are due."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aes67.media import gather, packetize
from aes67.media.meters import UNITY
from aes67.media.state import SOURCE_STATE
from reference import media as twin

RING_FRAMES = 32


def noise(seed: int, shape: tuple[int, ...], loud: bool = False) -> np.ndarray:
    random = np.random.default_rng(seed)
    limit = 2**31 if loud else 2**28
    return random.integers(-limit, limit, shape).astype(np.int32)


@given(
    ring_channels=st.integers(1, 16),
    channels=st.integers(1, 16),
    first=st.integers(0, 15),
    slot=st.integers(0, RING_FRAMES - 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_copying_takes_neighbouring_channels(
    ring_channels: int, channels: int, first: int, slot: int, seed: int
) -> None:
    first %= ring_channels
    channels = min(channels, ring_channels - first)
    frames = RING_FRAMES - slot
    ring = noise(seed, (RING_FRAMES, ring_channels), loud=True)
    samples = np.zeros(frames * channels, np.int32)
    gather.copy_frames(samples, ring, slot, first, channels)
    assert samples.tolist() == ring[slot:, first : first + channels].ravel().tolist()


streams = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 8)), min_size=1, max_size=4)


@given(
    channel_map=st.lists(st.integers(0, 15), min_size=1, max_size=8),
    streams=streams,
    gain=st.sampled_from([UNITY, 0, UNITY // 3, UNITY - 1, 2 * UNITY]),
    frames=st.integers(1, 12),
    loud=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_sum_of_streams_equals_the_twin(
    channel_map: list[int],
    streams: list[tuple[int, int]],
    gain: int,
    frames: int,
    loud: bool,
    seed: int,
) -> None:
    mapping = np.array(channel_map, np.int16)
    sums = np.zeros(frames * len(channel_map), np.int64)
    rows = []
    for number, (first, channels) in enumerate(streams):
        ring = noise(seed + number, (RING_FRAMES, channels), loud)
        gather.add_frames(sums, ring, 5, mapping, first, gain)
        rows.append((first, {f: ring[5 + f].tolist() for f in range(frames)}))
    samples = np.zeros(len(sums), np.int32)
    clipped = gather.saturate(samples, sums)
    assert samples.tolist() == twin.mixed(range(frames), channel_map, rows, gain)
    outside = [not -(2**31) <= value < 2**31 for value in sums.tolist()]
    assert clipped == sum(outside)
    for first, channels in streams:
        touched = [
            clip and 0 <= channel_map[at % len(channel_map)] - first < channels
            for at, clip in enumerate(outside)
        ]
        found = gather.count_saturated(sums, mapping, first, channels, 0, frames)
        assert found == sum(touched)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(0, 30), st.integers(1, 20))
def test_cover_says_whether_a_plain_copy_will_do(
    channel_map: list[int], first: int, channels: int
) -> None:
    inside = [first <= device < first + channels for device in channel_map]
    in_order = channel_map == list(range(channel_map[0], channel_map[0] + len(channel_map)))
    expected = 0 if not any(inside) else 2 if all(inside) and in_order else 1
    assert gather.covers(np.array(channel_map, np.int16), first, channels) == expected


def new_source() -> np.void:
    state = np.zeros(1, SOURCE_STATE)[0]
    state["next_packet"] = -1
    return state


@given(
    length=st.integers(6, 192),
    start=st.integers(0, 10**12),
    steps=st.lists(st.integers(0, 900), min_size=1, max_size=40),
)
def test_every_packet_is_sent_once_complete_and_in_order(
    length: int, start: int, steps: list[int]
) -> None:
    """Whatever the ticks' distance: no gap that is not counted, none early, none twice."""
    state = new_source()
    now = start
    packetize.skip_old(state, now, length, 48_000, 8)
    expected = start // length
    for step in steps:
        now += step
        skipped = packetize.skip_old(state, now, length, 48_000, 8)
        expected += skipped
        assert state["next_packet"] == expected
        count = packetize.due(state, now, length, 8)
        assert 0 <= count <= 8
        state["next_packet"] += count
        expected += count
        assert expected * length <= now, "a packet left before its last frame had ended"
    if skipped == 0 and count < 8:
        assert expected == now // length, "something that was due stayed behind"


def test_a_stall_is_caught_up_in_bounded_steps_and_old_packets_are_counted() -> None:
    state = new_source()
    packetize.skip_old(state, 4800, 48, 48_000, 8)
    now = 4800 + 48_000
    assert packetize.skip_old(state, now, 48, 48_000, 8) == 1000 - 50, "50 ms are worth sending"
    sent = []
    for _ in range(7):
        assert packetize.skip_old(state, now, 48, 48_000, 8) == 0
        sent.append(packetize.due(state, now, 48, 8))
        state["next_packet"] += sent[-1]
    assert sent == [8] * 6 + [2]
