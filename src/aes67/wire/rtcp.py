"""RTCP (RFC 3550, 6): sender and receiver reports, source descriptions, goodbye.

A datagram is a tuple of packets. Packets of a kind not known here (application, feedback, extended
reports) are kept as `OtherPacket`. Datagrams are read in `rtcp_reader`.
"""

from __future__ import annotations

from dataclasses import dataclass

from aes67.errors import WireError

VERSION = 2
SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
GOODBYE = 203
CNAME = 1
"""SDES item type of the canonical name, the one every source has."""
TOOL = 6

HEADER_BYTES = 4
SENDER_INFO_BYTES = 20
BLOCK_BYTES = 24
PADDING_BIT = 0x20
COUNT_MASK = 0x1F

NTP_UNIX_SECONDS = 2_208_988_800
"""Seconds from the NTP epoch (1900) to the UNIX epoch (1970)."""


@dataclass(frozen=True)
class ReportBlock:
    """What a receiver says of one source (RFC 3550, 6.4.1).

    Attributes:
        fraction_lost: lost since the last report, in 1/256, 0 to 255.
        cumulative_lost: lost since the beginning, signed 24 bits (duplicates count negative).
        highest_sequence: cycles in the upper 16 bits, sequence number in the lower.
        jitter: interarrival jitter in timestamp units.
        last_report: middle 32 bits of the last sender report's NTP time, 0: none.
        delay: since that report, in 1/65536 s.
    """

    ssrc: int
    fraction_lost: int = 0
    cumulative_lost: int = 0
    highest_sequence: int = 0
    jitter: int = 0
    last_report: int = 0
    delay: int = 0

    def pack(self) -> bytes:
        """The block's 24 octets.

        Raises:
            WireError: a field does not fit.
        """
        if not -(2**23) <= self.cumulative_lost < 2**23:
            raise WireError(f"cumulative loss {self.cumulative_lost} does not fit 24 bits")
        return (
            _field(self.ssrc, 4, "SSRC")
            + _field(self.fraction_lost, 1, "fraction lost")
            + self.cumulative_lost.to_bytes(3, "big", signed=True)
            + _field(self.highest_sequence, 4, "highest sequence number")
            + _field(self.jitter, 4, "jitter")
            + _field(self.last_report, 4, "last report")
            + _field(self.delay, 4, "delay since last report")
        )


@dataclass(frozen=True)
class SenderReport:
    """A sender's clock reading and counts; `ntp_time` in 2^-32 s since 1900."""

    ssrc: int
    ntp_time: int
    rtp_timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()

    def pack(self) -> bytes:
        """The packet's bytes. Raises WireError when a field does not fit."""
        info = (
            _field(self.ntp_time, 8, "NTP time")
            + _field(self.rtp_timestamp, 4, "RTP timestamp")
            + _field(self.packets, 4, "packet count")
            + _field(self.octets, 4, "octet count")
        )
        body = _field(self.ssrc, 4, "SSRC") + info + _blocks(self.blocks)
        return _packet(SENDER_REPORT, len(self.blocks), body)


@dataclass(frozen=True)
class ReceiverReport:
    """A receiver's report of the sources it hears."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()

    def pack(self) -> bytes:
        """The packet's bytes. Raises WireError when a field does not fit."""
        body = _field(self.ssrc, 4, "SSRC") + _blocks(self.blocks)
        return _packet(RECEIVER_REPORT, len(self.blocks), body)


@dataclass(frozen=True)
class SourceChunk:
    """One source's items: (type 1 to 255, text of up to 255 octets)."""

    ssrc: int
    items: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class SourceDescription:
    """Names of sources (SDES, RFC 3550, 6.5)."""

    chunks: tuple[SourceChunk, ...]

    def pack(self) -> bytes:
        """The packet's bytes. Raises WireError when a field does not fit."""
        body = b""
        for chunk in self.chunks:
            part = _field(chunk.ssrc, 4, "SSRC")
            for kind, text in chunk.items:
                if not 1 <= kind <= 255 or len(text) > 255:
                    raise WireError(f"SDES item {kind} of {len(text)} octets cannot be written")
                part += bytes((kind, len(text))) + text
            body += part + bytes(4 - len(part) % 4)  # at least one NUL ends the items
        return _packet(SOURCE_DESCRIPTION, len(self.chunks), body)


@dataclass(frozen=True)
class Goodbye:
    """Sources that leave (RFC 3550, 6.6), with a reason of up to 255 octets; empty: none."""

    ssrcs: tuple[int, ...]
    reason: bytes = b""

    def pack(self) -> bytes:
        """The packet's bytes. Raises WireError when a field does not fit."""
        body = b"".join(_field(ssrc, 4, "SSRC") for ssrc in self.ssrcs)
        if self.reason:
            text = _field(len(self.reason), 1, "length of the reason") + self.reason
            body += text + bytes(-len(text) % 4)
        return _packet(GOODBYE, len(self.ssrcs), body)


@dataclass(frozen=True)
class OtherPacket:
    """A packet of another type: `count` is its 5-bit field, `body` what follows its length."""

    packet_type: int
    count: int
    body: bytes

    def pack(self) -> bytes:
        """The packet's bytes. Raises WireError when a field does not fit."""
        if len(self.body) % 4:
            raise WireError("RTCP body is not whole 32-bit words")
        return _packet(self.packet_type, self.count, self.body)


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye | OtherPacket


def pack(packets: tuple[RtcpPacket, ...]) -> bytes:
    """A datagram of these packets in their order. Raises WireError when a field does not fit."""
    return b"".join(packet.pack() for packet in packets)


def ntp_time(unix_ns: int) -> int:
    """NTP time (2^-32 s since 1900, modulo 2^64) of a UNIX time in ns."""
    seconds, ns = divmod(unix_ns, 10**9)
    return ((seconds + NTP_UNIX_SECONDS << 32) + (ns << 32) // 10**9) % 2**64


def _field(value: int, octets: int, name: str) -> bytes:
    if not 0 <= value < 1 << 8 * octets:
        raise WireError(f"{name} {value} does not fit {8 * octets} bits")
    return value.to_bytes(octets, "big")


def _blocks(blocks: tuple[ReportBlock, ...]) -> bytes:
    return b"".join(block.pack() for block in blocks)


def _packet(packet_type: int, count: int, body: bytes) -> bytes:
    if not 0 <= count <= COUNT_MASK:
        raise WireError(f"count {count} does not fit 5 bits")
    if not 192 <= packet_type <= 223:
        raise WireError(f"{packet_type} is no RTCP packet type", 1)
    if len(body) // 4 > 0xFFFF:
        raise WireError("RTCP packet longer than 65535 words", 2)
    return bytes((VERSION << 6 | count, packet_type)) + (len(body) // 4).to_bytes(2, "big") + body
