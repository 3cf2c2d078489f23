"""RTP packets (RFC 3550, 5.1) to and from values, and the header's offsets for the media kernels.

The engine's own path never builds a `RtpPacket`: its kernels write and read the bytes in place with
the constants below. The dataclass serves tests, tools and everything that looks at one packet.
"""

from __future__ import annotations

from dataclasses import dataclass

from aes67.errors import WireError

VERSION = 2
HEADER_BYTES = 12
"""Fixed header without CSRCs and extension."""
CSRC_BYTES = 4
EXTENSION_HEADER_BYTES = 4

FLAGS_OFFSET = 0
"""Version (2 bits), padding, extension, CSRC count (4 bits)."""
TYPE_OFFSET = 1
"""Marker (1 bit), payload type (7 bits)."""
SEQUENCE_OFFSET = 2
TIMESTAMP_OFFSET = 4
SSRC_OFFSET = 8

VERSION_SHIFT = 6
PLAIN_FLAGS = VERSION << VERSION_SHIFT
"""First octet of a packet without padding, extension and CSRCs: 0x80, all that AES67 sends."""
PADDING_BIT = 0x20
EXTENSION_BIT = 0x10
CSRC_COUNT_MASK = 0x0F
MARKER_BIT = 0x80
PAYLOAD_TYPE_MASK = 0x7F

RTCP_TYPES = range(192, 224)
"""Values of the second octet that are RTCP where both share a port (RFC 5761, 4)."""


@dataclass(frozen=True)
class RtpExtension:
    """Header extension (RFC 3550, 5.3.1): 16-bit profile and whole 32-bit words."""

    profile: int
    data: bytes = b""


@dataclass(frozen=True)
class RtpPacket:
    """One RTP packet.

    Attributes:
        payload_type: 0 to 127.
        sequence: 0 to 65535.
        timestamp, ssrc: 0 to 2^32 - 1.
        payload: without padding.
        marker: AES67 sends 0 and a receiver ignores it (GStreamer sets it in the first packet).
        csrcs: up to 15 contributing sources.
        extension: None without one.
        padding: octets of padding at the end including the count octet, 0 to 255.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: RtpExtension | None = None
    padding: int = 0

    def pack(self) -> bytes:
        """The packet's bytes.

        Raises:
            WireError: a field is outside its range; `offset` is where it would have stood.
        """
        _check_range(self)
        flags = PLAIN_FLAGS | len(self.csrcs)
        flags |= PADDING_BIT if self.padding else 0
        flags |= EXTENSION_BIT if self.extension is not None else 0
        parts = [
            bytes((flags, (MARKER_BIT if self.marker else 0) | self.payload_type)),
            self.sequence.to_bytes(2, "big"),
            self.timestamp.to_bytes(4, "big"),
            self.ssrc.to_bytes(4, "big"),
            *(csrc.to_bytes(4, "big") for csrc in self.csrcs),
        ]
        if self.extension is not None:
            parts.append(self.extension.profile.to_bytes(2, "big"))
            parts.append((len(self.extension.data) // 4).to_bytes(2, "big"))
            parts.append(self.extension.data)
        parts.append(self.payload)
        if self.padding:
            parts.append(bytes(self.padding - 1) + bytes((self.padding,)))
        return b"".join(parts)


def parse(data: bytes) -> RtpPacket:
    """Read one packet; whatever the payload type is.

    Raises:
        WireError: too short, not version 2, or CSRCs, extension or padding that do not fit.
    """
    if len(data) < HEADER_BYTES:
        raise WireError(f"RTP packet of {len(data)} octets is shorter than its header", len(data))
    flags, kind = data[FLAGS_OFFSET], data[TYPE_OFFSET]
    if flags >> VERSION_SHIFT != VERSION:
        raise WireError(f"RTP version {flags >> VERSION_SHIFT} is not 2", FLAGS_OFFSET)
    start = HEADER_BYTES + CSRC_BYTES * (flags & CSRC_COUNT_MASK)
    if start > len(data):
        raise WireError("RTP contributing sources run past the packet", HEADER_BYTES)
    csrcs = tuple(
        int.from_bytes(data[at : at + CSRC_BYTES], "big")
        for at in range(HEADER_BYTES, start, CSRC_BYTES)
    )
    extension = None
    if flags & EXTENSION_BIT:
        extension = _extension(data, start)
        start += EXTENSION_HEADER_BYTES + len(extension.data)
    padding = _padding(data, start) if flags & PADDING_BIT else 0
    return RtpPacket(
        payload_type=kind & PAYLOAD_TYPE_MASK,
        sequence=int.from_bytes(data[SEQUENCE_OFFSET : SEQUENCE_OFFSET + 2], "big"),
        timestamp=int.from_bytes(data[TIMESTAMP_OFFSET : TIMESTAMP_OFFSET + 4], "big"),
        ssrc=int.from_bytes(data[SSRC_OFFSET : SSRC_OFFSET + 4], "big"),
        payload=bytes(data[start : len(data) - padding]),
        marker=bool(kind & MARKER_BIT),
        csrcs=csrcs,
        extension=extension,
        padding=padding,
    )


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram on a shared port is RTCP rather than RTP (RFC 5761, 4)."""
    return len(data) > TYPE_OFFSET and data[TYPE_OFFSET] in RTCP_TYPES


def _extension(data: bytes, start: int) -> RtpExtension:
    body = start + EXTENSION_HEADER_BYTES
    if body > len(data):
        raise WireError("RTP header extension runs past the packet", start)
    end = body + 4 * int.from_bytes(data[start + 2 : body], "big")
    if end > len(data):
        raise WireError("RTP header extension runs past the packet", start + 2)
    return RtpExtension(int.from_bytes(data[start : start + 2], "big"), bytes(data[body:end]))


def _padding(data: bytes, start: int) -> int:
    padding = data[-1]
    if padding == 0 or padding > len(data) - start:
        raise WireError(f"RTP padding of {padding} octets does not fit", len(data) - 1)
    return padding


def _check_range(packet: RtpPacket) -> None:
    extension = packet.extension
    rules = (
        (len(packet.csrcs) <= CSRC_COUNT_MASK, "more than 15 contributing sources", FLAGS_OFFSET),
        (0 <= packet.padding <= 255, "padding is not 0 to 255", FLAGS_OFFSET),
        (0 <= packet.payload_type <= 127, "payload type is not 0 to 127", TYPE_OFFSET),
        (0 <= packet.sequence < 2**16, "sequence number is not 16 bits", SEQUENCE_OFFSET),
        (0 <= packet.timestamp < 2**32, "timestamp is not 32 bits", TIMESTAMP_OFFSET),
        (0 <= packet.ssrc < 2**32, "SSRC is not 32 bits", SSRC_OFFSET),
        (all(0 <= each < 2**32 for each in packet.csrcs), "CSRC is not 32 bits", HEADER_BYTES),
        (
            extension is None
            or (0 <= extension.profile < 2**16 and len(extension.data) % 4 == 0
                and len(extension.data) < 4 * 2**16),
            "header extension is not up to 65535 words with a 16-bit profile",
            HEADER_BYTES + CSRC_BYTES * len(packet.csrcs),
        ),
    )  # fmt: skip
    for holds, reason, offset in rules:
        if not holds:
            raise WireError(reason, offset)
