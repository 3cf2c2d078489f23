"""The test signal: silence, then known noise of an exact length, then silence.

Noise that uses every bit finds a swapped byte, a shifted bit or a scaled sample anywhere; its exact
length finds a repeated or a missing stretch. It is one block of a prime number of frames repeated,
so an hour of it costs a block of memory, and 16 frames of it are found at one place only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aes67.selftest.samples import SampleFormat, Samples, encode, truncate

BLOCK_FRAMES = 65521
"""Frames after which the noise repeats (a prime, so it never falls in step with a buffer)."""


@dataclass(frozen=True)
class Signal:
    """A stretch of noise: `frames` of it on `channels` channels, made from `seed`."""

    frames: int
    channels: int
    seed: int = 67

    def block(self) -> Samples:
        """The repeated block; no frame of it is silent on any channel in its top 16 bits."""
        generator = np.random.default_rng(self.seed)
        shape = (BLOCK_FRAMES, self.channels)
        noise = generator.integers(-(2**31), 2**31, size=shape, dtype=np.int64).astype(np.int32)
        noise[truncate(noise, 16) == 0] |= np.int32(1 << 20)
        return noise

    def played(self, form: SampleFormat) -> Samples:
        """The block as the application plays it: with no more bits than its format has."""
        return truncate(self.block(), form.bits)

    def expected(self, form: SampleFormat, wire_bits: int) -> Samples:
        """The block as it must be recorded after a wire of `wire_bits` bits a sample."""
        return truncate(self.block(), min(form.bits, wire_bits))


def chunks(
    signal: Signal, form: SampleFormat, lead_frames: int, tail_frames: int
) -> Iterator[bytes]:
    """The bytes to play: lead-in of silence, the noise, tail of silence; about 100 kB at a time.

    The noise is made by this call, which takes a moment; the iteration only hands it out.
    """
    block = encode(signal.played(form), form)
    return _pieces(signal, block, form.sample_bytes * signal.channels, (lead_frames, tail_frames))


def _pieces(
    signal: Signal, block: bytes, frame_bytes: int, silence: tuple[int, int]
) -> Iterator[bytes]:
    step = max(1, 100_000 // frame_bytes)
    lead_frames, tail_frames = silence
    yield from _silence(lead_frames, frame_bytes, step)
    position = 0
    while position < signal.frames:
        start = position % BLOCK_FRAMES
        count = min(step, BLOCK_FRAMES - start, signal.frames - position)
        yield block[start * frame_bytes : (start + count) * frame_bytes]
        position += count
    yield from _silence(tail_frames, frame_bytes, step)


def _silence(frames: int, frame_bytes: int, step: int) -> Iterator[bytes]:
    for start in range(0, frames, step):
        yield bytes(min(step, frames - start) * frame_bytes)
