"""Session announcements (SAP, RFC 2974): one datagram to and from a value.

Who announces what when, and when a session expires, is decided elsewhere. Messages without a
payload type are read (RFC 2974, 6), and a zlib stream may begin before or after the payload type,
since the RFC can be read either way.
"""

from __future__ import annotations

import ipaddress
import zlib
from dataclasses import dataclass

from aes67.errors import WireError

PORT = 9875
GROUP_LOCAL = "239.255.255.255"
"""IPv4 local scope, what AES67 devices use."""
GROUP_GLOBAL = "224.2.127.254"
GROUP_IPV6 = "ff02::2:7ffe"
"""Link-local scope; the scope digit may be any."""
SDP_TYPE = "application/sdp"

HEADER_BYTES = 8
"""Flags, authentication length, message id hash and an IPv4 originating source."""
MAX_PAYLOAD_BYTES = 65_536
"""Most octets a compressed payload may unpack to."""
MAX_TYPE_BYTES = 255

VERSION_SHIFT = 5
VERSION = 1
IPV6_BIT = 0x10
DELETION_BIT = 0x04
ENCRYPTED_BIT = 0x02
COMPRESSED_BIT = 0x01


@dataclass(frozen=True)
class SapMessage:
    """An announcement or deletion.

    Attributes:
        payload: unpacked; a session description, in a deletion sometimes only its o= line.
        origin: address of the announcer in numbers, IPv4 or IPv6.
        message_hash: 0 to 65535 in network order. With `origin` it names the session by RFC 2974,
            but PipeWire sends 0 for all of its sessions.
        deletion: the session is withdrawn.
        payload_type: MIME type; None when the message carries none.
        authentication: authentication data, whole 32-bit words, never checked.
        compressed: the payload travels as a zlib stream.
    """

    payload: bytes
    origin: str
    message_hash: int
    deletion: bool = False
    payload_type: str | None = SDP_TYPE
    authentication: bytes = b""
    compressed: bool = False

    def pack(self) -> bytes:
        """The datagram.

        Raises:
            WireError: origin, hash, payload type or authentication data cannot be written.
        """
        origin = _address(self.origin)
        if not 0 <= self.message_hash < 2**16:
            raise WireError(f"message id hash {self.message_hash} is not 16 bits", 2)
        if len(self.authentication) % 4 or len(self.authentication) > 4 * 255:
            raise WireError("authentication data is not up to 255 words", 1)
        flags = VERSION << VERSION_SHIFT
        flags |= IPV6_BIT if len(origin) == 16 else 0
        flags |= DELETION_BIT if self.deletion else 0
        flags |= COMPRESSED_BIT if self.compressed else 0
        head = bytes((flags, len(self.authentication) // 4))
        body = self._type_octets() + self.payload
        if self.compressed:
            body = zlib.compress(body)
        return head + self.message_hash.to_bytes(2, "big") + origin + self.authentication + body

    def _type_octets(self) -> bytes:
        if self.payload_type is None:
            if not self.payload.startswith(b"v=0"):
                raise WireError("only a session description may go without a payload type")
            return b""
        text = self.payload_type.encode("ascii", "replace")
        if not text.isascii() or not 0 < len(text) <= MAX_TYPE_BYTES or b"\0" in text:
            raise WireError(f"payload type {self.payload_type[:40]!r} is no MIME type")
        if text.startswith(b"v=0"):
            raise WireError("a payload type must not look like a session description")
        return text + b"\0"


def parse(data: bytes) -> SapMessage:
    """Read one datagram.

    Raises:
        WireError: truncated, not version 1, encrypted, or a zlib stream that is broken or unpacks
            to more than MAX_PAYLOAD_BYTES.
    """
    if len(data) < HEADER_BYTES:
        raise WireError(f"SAP message of {len(data)} octets is shorter than its header", len(data))
    flags = data[0]
    if flags >> VERSION_SHIFT != VERSION:
        raise WireError(f"SAP version {flags >> VERSION_SHIFT} is not 1")
    if flags & ENCRYPTED_BIT:
        raise WireError("encrypted SAP message")
    origin_end = 4 + (16 if flags & IPV6_BIT else 4)
    body = origin_end + 4 * data[1]
    if body > len(data):
        raise WireError("SAP message ends inside its header", len(data))
    payload_type, payload = _payload(data[body:], bool(flags & COMPRESSED_BIT), body)
    return SapMessage(
        payload=payload,
        origin=str(ipaddress.ip_address(data[4:origin_end])),
        message_hash=int.from_bytes(data[2:4], "big"),
        deletion=bool(flags & DELETION_BIT),
        payload_type=payload_type,
        authentication=bytes(data[origin_end:body]),
        compressed=bool(flags & COMPRESSED_BIT),
    )


def message_hash(payload: bytes) -> int:
    """A hash for an announcement we make: CRC-16/CCITT-FALSE with its octets swapped, never 0.

    The AES67 daemon writes this CRC least significant octet first; 0 would say "no hash".
    """
    value = crc16(payload)
    return (value >> 8 | (value & 0xFF) << 8) or 1


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, preset 0xFFFF, not reflected; check value 0x29B1."""
    register = 0xFFFF
    for octet in data:
        register ^= octet << 8
        for _ in range(8):
            register = (register << 1 ^ 0x1021 if register & 0x8000 else register << 1) & 0xFFFF
    return register


def _payload(body: bytes, compressed: bool, offset: int) -> tuple[str | None, bytes]:
    if not compressed:
        return _typed(body, offset)
    # A zlib stream begins with 0x78 ("x"), so a type in clear can only be told by its NUL.
    clear, nul, rest = body.partition(b"\0")
    if nul and rest[:1] == b"\x78" and b"/" in clear and _is_text(clear):
        return clear.decode("ascii"), _unpacked(rest, offset + len(clear) + 1)
    return _typed(_unpacked(body, offset), offset)


def _typed(body: bytes, offset: int) -> tuple[str | None, bytes]:
    """Split the payload type off; RFC 2974, 6: a payload that begins with v=0 has none."""
    if body.startswith(b"v=0"):
        return None, bytes(body)
    end = body.find(b"\0", 0, MAX_TYPE_BYTES + 1)
    if end < 1 or not _is_text(body[:end]):
        raise WireError("neither a payload type nor a session description", offset)
    return body[:end].decode("ascii"), bytes(body[end + 1 :])


def _is_text(octets: bytes) -> bool:
    return 0 < len(octets) <= MAX_TYPE_BYTES and all(0x20 <= octet < 0x7F for octet in octets)


def _unpacked(stream: bytes, offset: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        payload = inflater.decompress(stream, MAX_PAYLOAD_BYTES + 1)
    except zlib.error:
        raise WireError("payload is no zlib stream", offset) from None
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise WireError(f"payload unpacks to more than {MAX_PAYLOAD_BYTES} octets", offset)
    if not inflater.eof:
        raise WireError("zlib stream ends early", offset + len(stream))
    return payload


def _address(text: str) -> bytes:
    try:
        return ipaddress.ip_address(text).packed
    except ValueError:
        raise WireError(f"origin {text[:60]!r} is no IP address", 4) from None
