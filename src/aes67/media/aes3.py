"""AM824 with AES3 framing (SMPTE ST 2110-31, 5; IEC 61883-6): one subframe of 32 bits per sample.

Even stream channels are the first subframe of their pair (F), a block of 192 frames begins at media
frames that are multiples of 192 (B), so that blocks too are a pure function of time. V is 0 (fit
for conversion to analogue), U is 0, C carries the block given by the caller, P is even.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes67.jit import kernel
from aes67.media.pcm import Samples, Words
from aes67.media.words import signed32, swapped32
from aes67.wire.payload import (
    AUDIO_MASK,
    BLOCK_BIT,
    BLOCK_FRAMES,
    CHANNEL_STATUS_BIT,
    FRAME_BIT,
    PARITY_BIT,
)


@kernel
def pack_aes3(
    words: Words,
    samples: Samples,
    channels: int,
    first_frame: int,
    status: npt.NDArray[np.uint8],
) -> None:
    """Subframes of interleaved `samples`; `first_frame` is the media frame of the first one.

    Args:
        status: the C bit of each of the 192 frames of a block, 0 or 1.
    """
    frames = samples.shape[0] // channels
    at = 0
    for f in range(frames):
        place = (first_frame + f) % BLOCK_FRAMES
        flags = CHANNEL_STATUS_BIT if status[place] else 0
        block = BLOCK_BIT if place == 0 else 0
        for c in range(channels):
            word = (int(samples[at]) >> 8) & AUDIO_MASK | flags
            parity = word ^ word >> 16
            parity ^= parity >> 8
            parity ^= parity >> 4
            parity ^= parity >> 2
            parity ^= parity >> 1
            word |= PARITY_BIT * (parity & 1) | block
            if c & 1 == 0:
                word |= FRAME_BIT
            words[at] = signed32(swapped32(word))
            at += 1


@kernel
def unpack_aes3(samples: Samples, words: Words) -> None:
    """The top 24 bits of the samples; label bits are ignored, as AES67 receivers must tolerate."""
    for i in range(samples.shape[0]):
        samples[i] = signed32(swapped32(int(words[i])) << 8)
