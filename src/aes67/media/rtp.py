"""The RTP header (RFC 3550, 5.1) in a packet of int32 words, and the 16-bit sequence arithmetic."""

from __future__ import annotations

from typing import NamedTuple

from aes67.jit import kernel
from aes67.media.pcm import Words
from aes67.media.words import MASK32, signed32, swapped32
from aes67.wire.rtp import (
    CSRC_COUNT_MASK,
    EXTENSION_BIT,
    HEADER_BYTES,
    PADDING_BIT,
    PAYLOAD_TYPE_MASK,
    PLAIN_FLAGS,
    VERSION,
    VERSION_SHIFT,
)

HEADER_WORDS = HEADER_BYTES // 4


class Packet(NamedTuple):
    """What a received packet says; `valid` is 0 when its header is broken (the rest is 0 then).

    `start` is the payload's first word, `size` its octets without padding.
    """

    valid: int
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    start: int
    size: int


@kernel
def write_header(words: Words, payload_type: int, sequence: int, timestamp: int, ssrc: int) -> None:
    """A header without padding, extension, CSRCs, marker; numbers are taken modulo their width."""
    first = PLAIN_FLAGS << 24 | (payload_type & PAYLOAD_TYPE_MASK) << 16 | sequence & 0xFFFF
    words[0] = signed32(swapped32(first))
    words[1] = signed32(swapped32(timestamp))
    words[2] = signed32(swapped32(ssrc))


@kernel
def parse_header(words: Words, length: int) -> Packet:
    """Read the header of a datagram of `length` octets that fits `words`; the marker is ignored."""
    broken = Packet(0, 0, 0, 0, 0, 0, 0)
    if length < HEADER_BYTES:
        return broken
    first = swapped32(int(words[0]))
    flags = first >> 24
    if flags >> VERSION_SHIFT != VERSION:
        return broken
    start = HEADER_WORDS + (flags & CSRC_COUNT_MASK)
    if flags & EXTENSION_BIT:
        if 4 * (start + 1) > length:
            return broken
        start += 1 + (swapped32(int(words[start])) & 0xFFFF)
    size = length - 4 * start
    if size < 0:
        return broken
    if flags & PADDING_BIT:
        last = length - 1
        padding = (int(words[last // 4]) >> 8 * (last % 4)) & 0xFF
        if padding == 0 or padding > size:
            return broken
        size -= padding
    return Packet(
        1,
        (first >> 16) & PAYLOAD_TYPE_MASK,
        first & 0xFFFF,
        swapped32(int(words[1])),
        swapped32(int(words[2])),
        start,
        size,
    )


@kernel
def sequence_step(newer: int, older: int) -> int:
    """`newer - older` of two 16-bit sequence numbers: -32768 to 32767."""
    return (((newer - older) & 0xFFFF) ^ 0x8000) - 0x8000


@kernel
def ssrc_at(ssrc: int, session_epoch: int) -> int:
    """The SSRC of a source whose row says `ssrc`, after `session_epoch` jumps of the clock.

    A jump breaks the order of sequence numbers and timestamps, so the stream becomes another one
    (RFC 3550, 8.2), the same for everybody who knows row and epoch.
    """
    if session_epoch == 0:
        return ssrc & MASK32
    mixed = (ssrc ^ session_epoch * 0x9E37_79B1) & MASK32
    mixed = ((mixed ^ mixed >> 16) * 0x045D_9F3B) & MASK32
    mixed = ((mixed ^ mixed >> 16) * 0x045D_9F3B) & MASK32
    return mixed ^ mixed >> 16
