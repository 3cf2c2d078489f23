"""Samples out of playback rings: interleaved frames of all PCMs that cover a source's channels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes67.jit import kernel
from aes67.media.meters import UNITY, amplified
from aes67.media.pcm import Samples
from aes67.media.words import INT32_MAX, INT32_MIN

Ring = npt.NDArray[np.int32]
"""[frames][channels]"""
Sums = npt.NDArray[np.int64]
Map = npt.NDArray[np.int16]


@kernel
def copy_frames(samples: Samples, ring: Ring, slot: int, first: int, channels: int) -> None:
    """Fill `samples` with frames from ring row `slot` on, which does not wrap within them.

    `first` is the ring's channel of stream channel 0, the others follow it.
    """
    frames = samples.shape[0] // channels
    at = 0
    for f in range(slot, slot + frames):
        row = ring[f, first : first + channels]
        for c in range(channels):
            samples[at + c] = row[c]
        at += channels


@kernel
def add_frames(
    sums: Sums, ring: Ring, slot: int, channel_map: Map, first: int, gain_q30: int
) -> None:
    """Add frames from ring row `slot` on, times a gain, where the map meets the ring's channels.

    Args:
        sums: of whole frames, which fit the ring from `slot` on.
        channel_map: device channel of each stream channel.
        first: device channel of the ring's channel 0.
        gain_q30: 0 to 2, unity is 2^30 and exact.
    """
    channels = channel_map.shape[0]
    frames = sums.shape[0] // channels
    for c in range(channels):
        column = int(channel_map[c]) - first
        if column < 0 or column >= ring.shape[1]:
            continue
        for f in range(frames):
            sample = int(ring[slot + f, column])
            if gain_q30 != UNITY:
                sample = amplified(sample, gain_q30)
            sums[f * channels + c] += sample


@kernel
def saturate(samples: Samples, sums: Sums) -> int:
    """`sums` clipped to 32 bits; returns how many had to be."""
    clipped = 0
    for i in range(samples.shape[0]):
        value = min(max(sums[i], INT32_MIN), INT32_MAX)
        clipped += 1 if value != sums[i] else 0
        samples[i] = value
    return clipped


@kernel
def count_saturated(
    sums: Sums, channel_map: Map, first: int, ring_channels: int, begin: int, end: int
) -> int:
    """How many sums of frames [begin, end) a ring took part in do not fit 32 bits."""
    channels = channel_map.shape[0]
    found = 0
    for c in range(channels):
        column = int(channel_map[c]) - first
        if column < 0 or column >= ring_channels:
            continue
        for f in range(begin, end):
            value = sums[f * channels + c]
            found += 1 if value < INT32_MIN or value > INT32_MAX else 0
    return found


@kernel
def covers(channel_map: Map, first: int, ring_channels: int) -> int:
    """How a ring meets a map: 0 not at all, 1 in part or in another order, 2 whole and in order."""
    inside = 0
    in_order = True
    for c in range(channel_map.shape[0]):
        column = int(channel_map[c]) - first
        if 0 <= column < ring_channels:
            inside += 1
        in_order = in_order and channel_map[c] == channel_map[0] + c
    if inside == 0:
        return 0
    return 2 if in_order and inside == channel_map.shape[0] else 1
