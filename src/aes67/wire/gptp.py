"""IEEE 802.1AS-2020: what its PTP messages have that those of IEEE 1588 have not.

The messages themselves are those of `ptp_messages`, on Ethernet with majorSdoId 1 (10.6.2.2.1).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from aes67.errors import WireError
from aes67.wire.ptp_messages import TLV_ORGANIZATION_EXTENSION, TLV_PATH_TRACE, Tlv

ETHERTYPE = 0x88F7
MULTICAST_MAC = bytes.fromhex("0180c200000e")
"""Individual LAN Scope group address: no bridge forwards it (10.5.3)."""
MAJOR_SDO = 1
MINOR_VERSION = 1
"""minorVersionPTP of PTP 2.1, on which 802.1AS-2020 is built (10.6.2.2.4)."""

ORGANIZATION = bytes.fromhex("0080c2")
FOLLOW_UP_INFORMATION = ORGANIZATION + bytes.fromhex("000001")
INTERVAL_REQUEST = ORGANIZATION + bytes.fromhex("000002")

INTERVAL_STOP = 127
INTERVAL_INITIAL = 126
INTERVAL_KEEP = -128
"""Values of an interval request that are no interval (table 10-18 and following)."""

SCALED_RATE_BITS = 41
"""Fractional bits of a scaledRateOffset."""
SCALED_NS_BITS = 16
PATH_TRACE_LIMIT = 179
"""Clock identities that fit an Announce in a frame of 1500 bytes (10.6.3.3.4)."""

_INFORMATION = struct.Struct(">6siH12si")
_REQUEST = struct.Struct(">6sbbbBH")
_INT96_MAX = 2**95 - 1


@dataclass(frozen=True, slots=True)
class FollowUpInformation:
    """Clause 11.4.4.3: how the grandmaster's rate and time base stand.

    `rate_offset` is (grandmaster's rate / sender's rate - 1) * 2^41; `time_base` counts the time
    bases of the grandmaster modulo 2^16; `phase_change` is its last jump in 2^-16 ns;
    `frequency_change` its last change of rate, relative, in 2^-41.
    """

    rate_offset: int = 0
    time_base: int = 0
    phase_change: int = 0
    frequency_change: int = 0


@dataclass(frozen=True, slots=True)
class IntervalRequest:
    """Clause 10.6.4.3: which intervals (base-2 logarithms of seconds) a neighbour asks for."""

    link_delay: int
    time_sync: int
    announce: int
    flags: int = 0


def information_tlv(information: FollowUpInformation) -> Tlv:
    """The Follow_Up information TLV; rates saturate at 32 bits, the phase change at 96."""
    phase = max(-_INT96_MAX - 1, min(_INT96_MAX, information.phase_change))
    value = _INFORMATION.pack(
        FOLLOW_UP_INFORMATION,
        saturated(information.rate_offset),
        information.time_base & 0xFFFF,
        phase.to_bytes(12, "big", signed=True),
        saturated(information.frequency_change),
    )
    return Tlv(TLV_ORGANIZATION_EXTENSION, value)


def parse_information(tlvs: tuple[Tlv, ...]) -> FollowUpInformation | None:
    """The Follow_Up information among `tlvs`; None without one.

    Raises:
        WireError: it is there and has not 28 bytes.
    """
    value = _organization(tlvs, FOLLOW_UP_INFORMATION)
    if value is None:
        return None
    if len(value) != _INFORMATION.size:
        raise WireError(f"Follow_Up information of {len(value)} bytes, not 28", 0)
    _, rate, base, phase, frequency = _INFORMATION.unpack(value)
    return FollowUpInformation(rate, base, int.from_bytes(phase, "big", signed=True), frequency)


def interval_request_tlv(request: IntervalRequest) -> Tlv:
    """The message interval request TLV of a Signaling message."""
    value = _REQUEST.pack(
        INTERVAL_REQUEST,
        request.link_delay,
        request.time_sync,
        request.announce,
        request.flags,
        0,
    )
    return Tlv(TLV_ORGANIZATION_EXTENSION, value)


def parse_interval_request(tlvs: tuple[Tlv, ...]) -> IntervalRequest | None:
    """The interval request among `tlvs`; None without one.

    Raises:
        WireError: it is there and has not 12 bytes.
    """
    value = _organization(tlvs, INTERVAL_REQUEST)
    if value is None:
        return None
    if len(value) != _REQUEST.size:
        raise WireError(f"interval request of {len(value)} bytes, not 12", 0)
    _, link_delay, time_sync, announce, flags, _ = _REQUEST.unpack(value)
    return IntervalRequest(link_delay, time_sync, announce, flags)


def path_trace_tlv(path: tuple[bytes, ...]) -> Tlv:
    """The path trace TLV (10.6.3.3): clock identities from the grandmaster to the sender."""
    assert all(len(each) == 8 for each in path)
    return Tlv(TLV_PATH_TRACE, b"".join(path))


def saturated(scaled: int) -> int:
    """A scaledRateOffset within its 32 bits, which hold 976 ppm."""
    return max(-(2**31), min(2**31 - 1, scaled))


def _organization(tlvs: tuple[Tlv, ...], name: bytes) -> bytes | None:
    for tlv in tlvs:
        if tlv.type == TLV_ORGANIZATION_EXTENSION and tlv.value[:6] == name:
            return tlv.value
    return None
