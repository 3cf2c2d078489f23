"""IEEE 1588-2019 clause 13.5 to 13.13: the bodies of PTP messages, and their TLVs (clause 14)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from aes67.errors import WireError
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity, pack_header, parse_header

NS = 1_000_000_000
TLV_ORGANIZATION_EXTENSION = 0x0003
TLV_PATH_TRACE = 0x0008

_STAMP = struct.Struct(">HII")
_PORT = struct.Struct(">8sH")
_ANNOUNCE = struct.Struct(">hxBBBHB8sHB")
_TLV = struct.Struct(">HH")

TIME_SOURCE_INTERNAL = 0xA0
STAMP_MAX_NS = (2**48 - 1) * NS + NS - 1


@dataclass(frozen=True, slots=True)
class Tlv:
    """One TLV as it stands; `value` has an even length."""

    type: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Quality:
    """clockQuality (clause 7.6): class, accuracy and offsetScaledLogVariance."""

    clock_class: int
    accuracy: int
    variance: int


@dataclass(frozen=True, slots=True)
class Timed:
    """Sync, Delay_Req, Follow_Up, Pdelay_Req: a header and one timestamp in ns (0 to 2^48 s)."""

    header: Header
    time_ns: int
    tlvs: tuple[Tlv, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Delay_Resp, Pdelay_Resp, Pdelay_Resp_Follow_Up: a timestamp and who asked."""

    header: Header
    time_ns: int
    requester: PortIdentity
    tlvs: tuple[Tlv, ...] = ()


@dataclass(frozen=True, slots=True)
class Announce:
    """Clause 13.5: what a master says of its grandmaster."""

    header: Header
    utc_offset: int
    priority1: int
    quality: Quality
    priority2: int
    grandmaster: bytes
    steps_removed: int
    time_source: int
    time_ns: int = 0
    tlvs: tuple[Tlv, ...] = ()


@dataclass(frozen=True, slots=True)
class Other:
    """Signaling and Management: recognised, counted, their body left alone."""

    header: Header
    body: bytes


Message = Timed | Answer | Announce | Other

_TIMED = {h.SYNC, h.DELAY_REQ, h.FOLLOW_UP}
_ANSWER = {h.DELAY_RESP, h.PDELAY_RESP, h.PDELAY_RESP_FOLLOW_UP}
_PDELAY_REQ_RESERVED = 10


def parse(data: bytes) -> Message:
    """The message in a UDP payload or behind an 0x88F7 Ethernet header.

    Raises:
        WireError: a broken header, a body that is too short, nanoseconds of 10^9 or more, or TLVs
            that do not fill the rest.
    """
    header, body = parse_header(data)
    kind = header.message_type
    if kind in _TIMED:
        return Timed(header, _stamp(body), _tlvs(body, _STAMP.size))
    if kind == h.PDELAY_REQ:
        _need(body, _STAMP.size + _PDELAY_REQ_RESERVED)
        return Timed(header, _stamp(body), _tlvs(body, _STAMP.size + _PDELAY_REQ_RESERVED))
    if kind in _ANSWER:
        size = _STAMP.size + _PORT.size
        _need(body, size)
        requester = PortIdentity(*_PORT.unpack_from(body, _STAMP.size))
        return Answer(header, _stamp(body), requester, _tlvs(body, size))
    if kind == h.ANNOUNCE:
        return _announce(header, body)
    return Other(header, body)


def pack(message: Message) -> bytes:
    """The bytes of a message; `parse(pack(m)) == m` for every valid one."""
    if isinstance(message, Other):
        return pack_header(message.header, len(message.body)) + message.body
    body = _STAMP.pack(*_split(message.time_ns))
    if isinstance(message, Answer):
        body += _PORT.pack(message.requester.clock, message.requester.port)
    elif isinstance(message, Announce):
        body += _ANNOUNCE.pack(
            message.utc_offset,
            message.priority1,
            message.quality.clock_class,
            message.quality.accuracy,
            message.quality.variance,
            message.priority2,
            message.grandmaster,
            message.steps_removed,
            message.time_source,
        )
    elif message.header.message_type == h.PDELAY_REQ:
        body += bytes(_PDELAY_REQ_RESERVED)
    for tlv in message.tlvs:
        body += _TLV.pack(tlv.type, len(tlv.value)) + tlv.value
    return pack_header(message.header, len(body)) + body


def _announce(header: Header, body: bytes) -> Announce:
    size = _STAMP.size + _ANNOUNCE.size
    _need(body, size)
    (utc, priority1, clock_class, accuracy, variance, priority2, grandmaster, steps, source) = (
        _ANNOUNCE.unpack_from(body, _STAMP.size)
    )
    return Announce(
        header=header,
        utc_offset=utc,
        priority1=priority1,
        quality=Quality(clock_class, accuracy, variance),
        priority2=priority2,
        grandmaster=grandmaster,
        steps_removed=steps,
        time_source=source,
        time_ns=_stamp(body),
        tlvs=_tlvs(body, size),
    )


def _need(body: bytes, size: int) -> None:
    if len(body) < size:
        raise WireError(f"body of {len(body)} bytes, {size} needed", h.HEADER_BYTES + len(body))


def _split(time_ns: int) -> tuple[int, int, int]:
    assert 0 <= time_ns <= STAMP_MAX_NS
    seconds, nanoseconds = divmod(time_ns, NS)
    return seconds >> 32, seconds & 0xFFFFFFFF, nanoseconds


def _stamp(body: bytes) -> int:
    _need(body, _STAMP.size)
    high, low, nanoseconds = _STAMP.unpack_from(body)
    if nanoseconds >= NS:
        raise WireError(f"{nanoseconds} nanoseconds in a timestamp", h.HEADER_BYTES + 6)
    return int((high << 32 | low) * NS + nanoseconds)


def _tlvs(body: bytes, position: int) -> tuple[Tlv, ...]:
    found = []
    while position < len(body):
        if len(body) - position < _TLV.size:
            # 14.1.1 lets nothing else follow; some devices pad to a word, which is harmless
            if any(body[position:]):
                raise WireError("bytes after the last TLV", h.HEADER_BYTES + position)
            break
        kind, size = _TLV.unpack_from(body, position)
        position += _TLV.size
        if size % 2 or position + size > len(body):
            raise WireError(f"TLV {kind:#06x} of {size} bytes", h.HEADER_BYTES + position)
        found.append(Tlv(kind, body[position : position + size]))
        position += size
    return tuple(found)


def signaling(message: Other) -> tuple[PortIdentity, tuple[Tlv, ...]]:
    """Whom a Signaling message (13.12) is for, and its TLVs.

    Raises:
        WireError: no room for the target, or TLVs that do not fill the rest.
    """
    _need(message.body, _PORT.size)
    return PortIdentity(*_PORT.unpack_from(message.body)), _tlvs(message.body, _PORT.size)


def path_trace(message: Announce) -> tuple[bytes, ...]:
    """The clocks an Announce went through (16.2.3), outermost first; empty without the TLV."""
    for tlv in message.tlvs:
        if tlv.type == TLV_PATH_TRACE:
            return tuple(
                tlv.value[at : at + 8] for at in range(0, len(tlv.value) - len(tlv.value) % 8, 8)
            )
    return ()


def retimed(message: Timed, time_ns: int) -> Timed:
    """The same message with another timestamp."""
    return replace(message, time_ns=time_ns)
