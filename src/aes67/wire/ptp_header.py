"""IEEE 1588-2019 clause 13.3: the header common to all PTP messages, and the numbers in it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from aes67.errors import WireError

EVENT_PORT = 319
GENERAL_PORT = 320
MULTICAST_IPV4 = "224.0.1.129"
"""All messages but peer delay (annex C.3)."""
PEER_MULTICAST_IPV4 = "224.0.0.107"

SYNC = 0x0
DELAY_REQ = 0x1
PDELAY_REQ = 0x2
PDELAY_RESP = 0x3
FOLLOW_UP = 0x8
DELAY_RESP = 0x9
PDELAY_RESP_FOLLOW_UP = 0xA
ANNOUNCE = 0xB
SIGNALING = 0xC
MANAGEMENT = 0xD

MESSAGE_NAMES = {
    SYNC: "Sync",
    DELAY_REQ: "Delay_Req",
    PDELAY_REQ: "Pdelay_Req",
    PDELAY_RESP: "Pdelay_Resp",
    FOLLOW_UP: "Follow_Up",
    DELAY_RESP: "Delay_Resp",
    PDELAY_RESP_FOLLOW_UP: "Pdelay_Resp_Follow_Up",
    ANNOUNCE: "Announce",
    SIGNALING: "Signaling",
    MANAGEMENT: "Management",
}

# flagField, octet 0 in the high byte (table 37)
ALTERNATE_MASTER = 0x0100
TWO_STEP = 0x0200
UNICAST = 0x0400
LEAP_61 = 0x0001
LEAP_59 = 0x0002
UTC_OFFSET_VALID = 0x0004
PTP_TIMESCALE = 0x0008
TIME_TRACEABLE = 0x0010
FREQUENCY_TRACEABLE = 0x0020

HEADER_BYTES = 34
_SEQUENCE = 30
"""Offset of the sequenceId (table 35)."""
_HEADER = struct.Struct(">BBHBBHqI8sHHBb")
_CONTROL = {SYNC: 0, DELAY_REQ: 1, FOLLOW_UP: 2, DELAY_RESP: 3, MANAGEMENT: 4}
NO_INTERVAL = 0x7F
"""logMessageInterval of messages that have none (table 42)."""


@dataclass(frozen=True, order=True, slots=True)
class PortIdentity:
    """Clause 5.3.5: `clock` is 8 bytes, `port` 0 to 65535 (65535: all ports)."""

    clock: bytes
    port: int

    def __post_init__(self) -> None:
        assert len(self.clock) == 8
        assert 0 <= self.port <= 0xFFFF

    def __str__(self) -> str:
        return f"{dashed(self.clock)}/{self.port}"


@dataclass(frozen=True, slots=True)
class Header:
    """Every field of clause 13.3 but messageLength and controlField, which follow from the rest.

    `correction` is in 2^-16 ns; `flags` as the constants of this file; `log_interval` is the
    base-2 logarithm of seconds.
    """

    message_type: int
    source: PortIdentity
    sequence_id: int
    domain: int = 0
    flags: int = 0
    correction: int = 0
    log_interval: int = NO_INTERVAL
    major_sdo: int = 0
    minor_sdo: int = 0
    minor_version: int = 0
    type_specific: int = 0

    @property
    def two_step(self) -> bool:
        """Whether a Follow_Up carries the precise time."""
        return bool(self.flags & TWO_STEP)


def dashed(identity: bytes) -> str:
    """A clock identity as SDP and the contract write it: `00-1D-C1-FF-FE-00-00-01`."""
    return identity.hex("-").upper()


def pack_header(header: Header, body_bytes: int) -> bytes:
    """The 34 bytes before a body of `body_bytes`."""
    return _HEADER.pack(
        header.major_sdo << 4 | header.message_type,
        header.minor_version << 4 | 2,
        HEADER_BYTES + body_bytes,
        header.domain,
        header.minor_sdo,
        header.flags,
        header.correction,
        header.type_specific,
        header.source.clock,
        header.source.port,
        header.sequence_id,
        _CONTROL.get(header.message_type, 5),
        header.log_interval,
    )


def with_sequence(message: bytes, sequence_id: int) -> bytes:
    """The same packed message with another sequenceId."""
    return message[:_SEQUENCE] + sequence_id.to_bytes(2) + message[_SEQUENCE + 2 :]


def parse_header(data: bytes) -> tuple[Header, bytes]:
    """The header and the bytes behind it up to messageLength (padding after that is dropped).

    Raises:
        WireError: shorter than a header, versionPTP not 2, a reserved messageType, or a
            messageLength that does not fit.
    """
    if len(data) < HEADER_BYTES:
        raise WireError(f"PTP message of {len(data)} bytes is shorter than its header", len(data))
    (
        sdo_type, version, length, domain, minor_sdo, flags, correction, specific,
        clock, port, sequence_id, _control, log_interval,
    ) = _HEADER.unpack_from(data)
    if version & 0x0F != 2:
        raise WireError(f"versionPTP is {version & 0x0F}, not 2", 1)
    message_type = sdo_type & 0x0F
    if message_type not in MESSAGE_NAMES:
        raise WireError(f"messageType {message_type:#x} is reserved", 0)
    if not HEADER_BYTES <= length <= len(data):
        raise WireError(f"messageLength {length} in a packet of {len(data)} bytes", 2)
    header = Header(
        message_type=message_type,
        source=PortIdentity(clock, port),
        sequence_id=sequence_id,
        domain=domain,
        flags=flags,
        correction=correction,
        log_interval=log_interval,
        major_sdo=sdo_type >> 4,
        minor_sdo=minor_sdo,
        minor_version=version >> 4,
        type_specific=specific,
    )
    return header, data[HEADER_BYTES:length]


def with_correction(header: Header, correction: int) -> Header:
    """The same header with another correctionField, saturated to 64 bits as 13.3.2.9 asks."""
    return replace(header, correction=max(-(2**63), min(2**63 - 1, correction)))
