"""Linear samples to and from payload words: flat, in payload order, no channel is looked at here.

A payload is an array of int32 words as they lie in memory (little-endian machine, big-endian
payload): RTP headers are whole words, so a payload always begins on one. Samples are canonical:
int32, left-justified. Packing writes whole words, so up to two words beyond the payload; buffers
have that slack.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes67.jit import kernel
from aes67.media.words import MASK32, signed32, swapped32
from aes67.shm.layout import CODEC_AM824, CODEC_L16, CODEC_L24

Words = npt.NDArray[np.int32]
Samples = npt.NDArray[np.int32]

SLACK_WORDS = 4
"""Words a payload buffer, and samples a sample buffer, must have beyond what they hold."""

_GROUP = 4
"""L24 samples that fill whole words: four in three."""


@kernel
def sample_bytes(codec: int) -> int:
    """Octets of one sample on the wire."""
    if codec == CODEC_L16:
        return 2
    if codec == CODEC_L24:
        return 3
    return 4


@kernel
def pack_l16(words: Words, samples: Samples) -> None:
    """The top 16 bits of each sample."""
    for i in range(samples.shape[0] // 2):
        first = swapped32(int(samples[2 * i])) & 0xFFFF
        second = swapped32(int(samples[2 * i + 1])) & 0xFFFF
        words[i] = signed32(first | second << 16)
    if samples.shape[0] % 2:
        last = samples.shape[0] - 1
        words[last // 2] = swapped32(int(samples[last])) & 0xFFFF


@kernel
def unpack_l16(samples: Samples, words: Words) -> None:
    """The inverse of `pack_l16`; the low 16 bits are zero."""
    for i in range((samples.shape[0]) // 2):
        pair = swapped32(int(words[i]))
        samples[2 * i] = signed32(pair & 0xFFFF_0000)
        samples[2 * i + 1] = signed32(pair << 16)
    if samples.shape[0] % 2:
        last = samples.shape[0] - 1
        samples[last] = signed32(swapped32(int(words[last // 2])) & 0xFFFF_0000)


@kernel
def pack_l24(words: Words, samples: Samples) -> None:
    """The top 24 bits of each sample."""
    groups = samples.shape[0] // _GROUP
    for g in range(groups):
        a = swapped32(int(samples[4 * g])) & 0xFF_FFFF
        b = swapped32(int(samples[4 * g + 1])) & 0xFF_FFFF
        c = swapped32(int(samples[4 * g + 2])) & 0xFF_FFFF
        d = swapped32(int(samples[4 * g + 3])) & 0xFF_FFFF
        words[3 * g] = signed32(a | b << 24)
        words[3 * g + 1] = signed32(b >> 8 | c << 16)
        words[3 * g + 2] = signed32(c >> 16 | d << 8)
    left = samples.shape[0] - _GROUP * groups
    if left:
        a = swapped32(int(samples[_GROUP * groups])) & 0xFF_FFFF
        b = swapped32(int(samples[_GROUP * groups + 1])) & 0xFF_FFFF if left > 1 else 0
        c = swapped32(int(samples[_GROUP * groups + 2])) & 0xFF_FFFF if left > 2 else 0
        words[3 * groups] = signed32(a | b << 24)
        words[3 * groups + 1] = signed32(b >> 8 | c << 16)
        words[3 * groups + 2] = signed32(c >> 16)


@kernel
def unpack_l24(samples: Samples, words: Words) -> None:
    """The inverse of `pack_l24`; the low 8 bits are zero."""
    groups = samples.shape[0] // _GROUP
    for g in range(groups):
        a = swapped32(int(words[3 * g]))
        b = swapped32(int(words[3 * g + 1]))
        c = swapped32(int(words[3 * g + 2]))
        samples[4 * g] = signed32(a & 0xFFFF_FF00)
        samples[4 * g + 1] = signed32(a << 24 | (b >> 8) & 0xFF_FF00)
        samples[4 * g + 2] = signed32(b << 16 | (c >> 16) & 0xFF00)
        samples[4 * g + 3] = signed32(c << 8)
    left = samples.shape[0] - _GROUP * groups
    if left:
        a = swapped32(int(words[3 * groups]))
        b = swapped32(int(words[3 * groups + 1])) if left > 1 else 0
        c = swapped32(int(words[3 * groups + 2])) if left > 2 else 0
        samples[4 * groups] = signed32(a & 0xFFFF_FF00)
        if left > 1:
            samples[4 * groups + 1] = signed32(a << 24 | (b >> 8) & 0xFF_FF00)
        if left > 2:
            samples[4 * groups + 2] = signed32(b << 16 | (c >> 16) & 0xFF00)


@kernel
def swap_words(target: Words, source: Words) -> None:
    """Samples to AM824 (raw) words or back: 32 bits with their bytes reversed."""
    for i in range(source.shape[0]):
        target[i] = signed32(swapped32(int(source[i])) & MASK32)


@kernel
def pack(codec: int, words: Words, samples: Samples) -> None:
    """Samples to payload words; any codec but AM824 with AES3 framing."""
    if codec == CODEC_L16:
        pack_l16(words, samples)
    elif codec == CODEC_L24:
        pack_l24(words, samples)
    elif codec == CODEC_AM824:
        swap_words(words, samples)


@kernel
def unpack(codec: int, samples: Samples, words: Words) -> None:
    """Payload words to `samples`; any codec but AM824 with AES3 framing."""
    if codec == CODEC_L16:
        unpack_l16(samples, words)
    elif codec == CODEC_L24:
        unpack_l24(samples, words)
    elif codec == CODEC_AM824:
        swap_words(samples, words[: samples.shape[0]])
