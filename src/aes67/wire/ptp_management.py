"""IEEE 1588-2019 clause 15: as much of management as it takes to ask a clock for its parent."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from aes67.errors import WireError
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Other, Quality, pack, parse

TLV_MANAGEMENT = 0x0001
PARENT_DATA_SET = 0x2002
GET = 0
RESPONSE = 2
ALL_PORTS = PortIdentity(b"\xff" * 8, 0xFFFF)

_BODY = struct.Struct(">8sHBBBx")
"""targetPortIdentity, startingBoundaryHops, boundaryHops, actionField."""
_TLV = struct.Struct(">HHH")
"""tlvType, lengthField, managementId."""
_PARENT = struct.Struct(">8sHBxHIBBBHB8s")
"""Table 70: parent port, parentStats, variance, rate, priority1, quality, priority2, identity."""


@dataclass(frozen=True, slots=True)
class ParentDataSet:
    """parentDS (8.2.3) without its statistics."""

    parent: PortIdentity
    grandmaster: bytes
    priority1: int
    quality: Quality
    priority2: int


def parent_request(source: PortIdentity, sequence_id: int, domain: int) -> bytes:
    """GET PARENT_DATA_SET of whoever receives it; the data field is there, and means nothing."""
    header = Header(h.MANAGEMENT, source, sequence_id, domain)
    body = _BODY.pack(ALL_PORTS.clock, ALL_PORTS.port, 0, 0, GET)
    body += _TLV.pack(TLV_MANAGEMENT, 2 + _PARENT.size, PARENT_DATA_SET) + bytes(_PARENT.size)
    return pack(Other(header, body))


def parse_parent(data: bytes) -> ParentDataSet | None:
    """The answer to a `parent_request`; None: another message.

    Raises:
        WireError: no PTP message, or an answer that is too short.
    """
    message = parse(data)
    if not isinstance(message, Other) or message.header.message_type != h.MANAGEMENT:
        return None
    body = message.body
    if len(body) < _BODY.size + _TLV.size:
        raise WireError(f"management message of {len(body)} bytes", h.HEADER_BYTES)
    _, _, _, _, action = _BODY.unpack_from(body)
    kind, length, number = _TLV.unpack_from(body, _BODY.size)
    if (action & 0x0F, kind, number) != (RESPONSE, TLV_MANAGEMENT, PARENT_DATA_SET):
        return None
    start = _BODY.size + _TLV.size
    if length < 2 + _PARENT.size or len(body) < start + _PARENT.size:
        raise WireError(f"PARENT_DATA_SET of {length} bytes", h.HEADER_BYTES + _BODY.size)
    (clock, port, _, _, _, priority1, clock_class, accuracy, variance, priority2, grandmaster) = (
        _PARENT.unpack_from(body, start)
    )
    quality = Quality(clock_class, accuracy, variance)
    return ParentDataSet(PortIdentity(clock, port), grandmaster, priority1, quality, priority2)
