"""Reads RTCP datagrams (RFC 3550, 6).

A lone report without a source description is accepted: that is what ffmpeg sends first.
"""

from __future__ import annotations

from aes67.errors import WireError
from aes67.wire.rtcp import (
    BLOCK_BYTES,
    COUNT_MASK,
    GOODBYE,
    HEADER_BYTES,
    PADDING_BIT,
    RECEIVER_REPORT,
    SENDER_INFO_BYTES,
    SENDER_REPORT,
    SOURCE_DESCRIPTION,
    VERSION,
    Goodbye,
    OtherPacket,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceChunk,
    SourceDescription,
)


def parse(data: bytes) -> tuple[RtcpPacket, ...]:
    """Read a datagram of one or more packets.

    Raises:
        WireError: truncated, not version 2, a type below 192, or counts that do not fit.
    """
    packets: list[RtcpPacket] = []
    start = 0
    while start < len(data) or not packets:
        if len(data) - start < HEADER_BYTES:
            raise WireError("RTCP packet shorter than its header", start)
        flags, packet_type = data[start], data[start + 1]
        if flags >> 6 != VERSION:
            raise WireError(f"RTCP version {flags >> 6} is not 2", start)
        if not 192 <= packet_type <= 223:
            raise WireError(f"{packet_type} is no RTCP packet type", start + 1)
        end = start + HEADER_BYTES + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        if end > len(data):
            raise WireError("RTCP packet runs past the datagram", start + 2)
        body_end = end
        if flags & PADDING_BIT:
            body_end -= _padding(data, start, end)
        body = bytes(data[start + HEADER_BYTES : body_end])
        packets.append(_parsed(packet_type, flags & COUNT_MASK, body, start + HEADER_BYTES))
        start = end
    return tuple(packets)


def _parsed(packet_type: int, count: int, body: bytes, offset: int) -> RtcpPacket:
    if packet_type == SENDER_REPORT:
        blocks = _parsed_blocks(body, 4 + SENDER_INFO_BYTES, count, offset)
        ntp, timestamp, sent, octets = (
            int.from_bytes(body[at:to], "big") for at, to in ((4, 12), (12, 16), (16, 20), (20, 24))
        )
        return SenderReport(_word(body, 0), ntp, timestamp, sent, octets, blocks)
    if packet_type == RECEIVER_REPORT:
        blocks = _parsed_blocks(body, 4, count, offset)
        return ReceiverReport(_word(body, 0), blocks)
    if packet_type == SOURCE_DESCRIPTION:
        return _parsed_description(body, count, offset)
    if packet_type == GOODBYE:
        return _parsed_goodbye(body, count, offset)
    return OtherPacket(packet_type, count, body)


def _parsed_blocks(body: bytes, start: int, count: int, offset: int) -> tuple[ReportBlock, ...]:
    """Report blocks; what follows them is a profile's extension and passed over."""
    if len(body) < start + BLOCK_BYTES * count:
        raise WireError(f"{count} report blocks do not fit", offset)
    return tuple(
        ReportBlock(
            ssrc=_word(body, at),
            fraction_lost=body[at + 4],
            cumulative_lost=int.from_bytes(body[at + 5 : at + 8], "big", signed=True),
            highest_sequence=_word(body, at + 8),
            jitter=_word(body, at + 12),
            last_report=_word(body, at + 16),
            delay=_word(body, at + 20),
        )
        for at in range(start, start + BLOCK_BYTES * count, BLOCK_BYTES)
    )


def _parsed_description(body: bytes, count: int, offset: int) -> SourceDescription:
    chunks = []
    at = 0
    for _ in range(count):
        if at + 4 > len(body):
            raise WireError("SDES chunk runs past the packet", offset + at)
        ssrc, items = _word(body, at), []
        at += 4
        while True:
            if at >= len(body):
                raise WireError("SDES items have no end", offset + at)
            if body[at] == 0:
                break
            if at + 2 > len(body) or at + 2 + body[at + 1] > len(body):
                raise WireError("SDES item runs past the packet", offset + at)
            items.append((body[at], body[at + 2 : at + 2 + body[at + 1]]))
            at += 2 + body[at + 1]
        at += 4 - at % 4
        chunks.append(SourceChunk(ssrc, tuple(items)))
    return SourceDescription(tuple(chunks))


def _parsed_goodbye(body: bytes, count: int, offset: int) -> Goodbye:
    end = 4 * count
    if end > len(body):
        raise WireError(f"{count} sources do not fit", offset)
    reason = b""
    if end < len(body):
        reason = body[end + 1 : end + 1 + body[end]]
        if len(reason) != body[end]:
            raise WireError("reason runs past the packet", offset + end)
    return Goodbye(tuple(_word(body, at) for at in range(0, end, 4)), reason)


def _padding(data: bytes, start: int, end: int) -> int:
    padding = data[end - 1]
    if padding == 0 or padding % 4 or padding > end - start - HEADER_BYTES or end != len(data):
        raise WireError(f"RTCP padding of {padding} octets does not fit", end - 1)
    return padding


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
