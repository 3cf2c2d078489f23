"""RTP audio payloads: linear PCM (RFC 3190, AES67 7) and AM824 (ST 2110-31, IEC 61883-6).

A payload is whole frames, a frame is one sample of each channel in channel order, big-endian.
AM824 carries one AES3 subframe per channel in 32 bits, most significant octet first:

    bit  31 30  29  28  27  26  25  24  23 ............ 0
          0  0   B   F   P   C   U   V   AES3 slots 4-27, MSB first

B: first frame of a block of 192; F: first subframe of its frame (so even channels); P: even parity
over slots 4 to 31, i.e. over everything of this word but B, F and P itself. The AES67 daemon's
kernel driver calls plain 32-bit samples AM824 (`framing: raw`), which is what L32 would be.

The functions are the readable reference the media kernels are tested against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aes67.errors import WireError

MAX_PAYLOAD_BYTES = 1460
"""Payload that fits an Ethernet frame: 1500 - 20 (IPv4) - 8 (UDP) - 12 (RTP)."""
MAX_PAYLOAD_BYTES_ST2110 = 1440
"""ST 2110-10's standard UDP size limit: 1460 octets of UDP datagram, headers of UDP and RTP in."""

SUBFRAME_BYTES = 4
AUDIO_MASK = 0xFF_FFFF
VALIDITY_BIT = 1 << 24
USER_BIT = 1 << 25
CHANNEL_STATUS_BIT = 1 << 26
PARITY_BIT = 1 << 27
FRAME_BIT = 1 << 28
BLOCK_BIT = 1 << 29
LABEL_MASK = 0b11 << 30
"""Both 0 in AES3 data; anything else is another kind of IEC 61883-6 data."""
BLOCK_FRAMES = 192
"""Frames in a channel status block."""
CHANNEL_STATUS_BYTES = BLOCK_FRAMES // 8


@dataclass(frozen=True)
class Codec:
    """A payload format of a stream: its name in SDP, its sample's size on the wire and the number
    it has in the stream tables."""

    name: str
    number: int
    sample_bytes: int
    sample_bits: int

    def frame_bytes(self, channels: int) -> int:
        """Octets of one frame of `channels` channels."""
        return self.sample_bytes * channels

    def max_frames(self, channels: int) -> int:
        """Most frames of `channels` channels that fit one packet of MAX_PAYLOAD_BYTES."""
        return MAX_PAYLOAD_BYTES // self.frame_bytes(channels)


L16 = Codec("L16", 1, 2, 16)
L24 = Codec("L24", 2, 3, 24)
AM824 = Codec("AM824", 3, 4, 32)
"""Plain 32-bit samples under the name AM824, as the AES67 daemon sends (`framing: raw`)."""
AM824_AES3 = Codec("AM824", 4, 4, 24)
"""AES3 subframes as ST 2110-31 defines them (`framing: aes3`)."""

CODECS = {"L16": L16, "L24": L24, "AM824": AM824}
"""By name in SDP; the framing of AM824 is not in the SDP, raw is the contract's default."""


def codec(name: str, framing: str = "raw") -> Codec:
    """The codec of a name in any case and, for AM824, a framing (`raw` or `aes3`).

    Raises:
        WireError: no such codec.
    """
    found = CODECS.get(name.upper())
    if found is None:
        raise WireError(f"codec {name[:20]!r} is not L16, L24 or AM824")
    return AM824_AES3 if found is AM824 and framing == "aes3" else found


@dataclass(frozen=True)
class Subframe:
    """One AES3 subframe.

    Attributes:
        audio: signed 24-bit sample.
        invalid: the V bit, 1 says the sample is not fit for conversion to analogue.
        user, channel_status: the U and C bits.
        block_start: first frame of a block. frame_start: first subframe of a frame.
    """

    audio: int
    invalid: bool = False
    user: bool = False
    channel_status: bool = False
    block_start: bool = False
    frame_start: bool = False

    def pack(self) -> bytes:
        """The subframe's four octets with its parity.

        Raises:
            WireError: the sample does not fit 24 bits.
        """
        if not -(2**23) <= self.audio < 2**23:
            raise WireError(f"sample {self.audio} does not fit 24 bits")
        word = self.audio & AUDIO_MASK
        word |= VALIDITY_BIT if self.invalid else 0
        word |= USER_BIT if self.user else 0
        word |= CHANNEL_STATUS_BIT if self.channel_status else 0
        word |= PARITY_BIT if word.bit_count() & 1 else 0
        word |= FRAME_BIT if self.frame_start else 0
        word |= BLOCK_BIT if self.block_start else 0
        return word.to_bytes(SUBFRAME_BYTES, "big")


def parse_subframe(data: bytes) -> Subframe:
    """Read one AES3 subframe.

    Raises:
        WireError: not four octets, a label other than AES3's, or wrong parity.
    """
    if len(data) != SUBFRAME_BYTES:
        raise WireError(f"subframe of {len(data)} octets, not {SUBFRAME_BYTES}", len(data))
    word = int.from_bytes(data, "big")
    if word & LABEL_MASK:
        raise WireError(f"label {data[0]:#04x} is not AES3 data")
    if (word & ~(FRAME_BIT | BLOCK_BIT)).bit_count() & 1:
        raise WireError("wrong parity in AES3 subframe")
    return Subframe(
        audio=_signed(word & AUDIO_MASK, 24),
        invalid=bool(word & VALIDITY_BIT),
        user=bool(word & USER_BIT),
        channel_status=bool(word & CHANNEL_STATUS_BIT),
        block_start=bool(word & BLOCK_BIT),
        frame_start=bool(word & FRAME_BIT),
    )


def pack_samples(samples: Sequence[int], codec: Codec) -> bytes:
    """Signed samples of `codec.sample_bits` to payload octets; not for AES3 framing.

    Raises:
        WireError: a sample does not fit; `offset` is where it would have stood.
    """
    assert codec is not AM824_AES3, "AES3 subframes carry more than samples: use Subframe"
    limit = 1 << (codec.sample_bits - 1)
    parts = []
    for index, sample in enumerate(samples):
        if not -limit <= sample < limit:
            raise WireError(
                f"sample {sample} does not fit {codec.sample_bits} bits",
                index * codec.sample_bytes,
            )
        parts.append(sample.to_bytes(codec.sample_bytes, "big", signed=True))
    return b"".join(parts)


def parse_samples(payload: bytes, codec: Codec, channels: int) -> tuple[int, ...]:
    """Payload octets to signed samples in their order; not for AES3 framing.

    Raises:
        WireError: not a whole number of frames.
    """
    assert codec is not AM824_AES3, "AES3 subframes carry more than samples: use parse_subframe"
    frame = codec.frame_bytes(channels)
    if len(payload) % frame:
        raise WireError(
            f"payload of {len(payload)} octets is no whole number of frames of {frame}",
            len(payload) - len(payload) % frame,
        )
    size = codec.sample_bytes
    return tuple(
        int.from_bytes(payload[at : at + size], "big", signed=True)
        for at in range(0, len(payload), size)
    )


def channel_status(rate: int) -> bytes:
    """A professional channel status block for linear PCM at `rate` Hz (AES3-2, table 1).

    Octet 0: professional, PCM, no emphasis, locked, rate 44.1, 48 or 32 kHz; octet 2: 24 bits;
    octet 4: other rates; octet 23: the CRC. Bit 0 of an octet is sent first.
    """
    block = bytearray(CHANNEL_STATUS_BYTES)
    block[0] = 0x05 | {48_000: 0b10 << 6, 44_100: 0b01 << 6, 32_000: 0b11 << 6}.get(rate, 0)
    block[2] = 0b101_100
    block[4] = {
        24_000: 1, 96_000: 2, 192_000: 3, 384_000: 4, 22_050: 9, 88_200: 10, 176_400: 11,
        352_800: 12,
    }.get(rate, 0) << 3  # fmt: skip
    block[23] = channel_status_crc(bytes(block[:23]))
    return bytes(block)


def channel_status_crc(octets: bytes) -> int:
    """CRC of the first 23 octets of a block (AES3-2): x^8+x^4+x^3+x^2+1, preset to ones."""
    register = 0xFF
    for octet in octets:
        register ^= octet
        for _ in range(8):
            register = (register >> 1) ^ (0xB8 if register & 1 else 0)
    return register


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
