"""A source somewhere in the network, as both ways of discovery describe it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any, Literal

from aes67.wire import sap
from aes67.wire.sdp import SessionDescription

Kind = Literal["SAP", "mDNS"]
SECOND_NS = 1_000_000_000
LABEL_BYTES = 63


@dataclass(frozen=True)
class RemoteSource:
    """A discovered source.

    Attributes:
        kind: how it was found.
        id: in the contract's spelling, unique in a list.
        name: of the session (SAP) or the service instance (mDNS).
        domain: mDNS only.
        address: of the announcer.
        sdp: the description as text.
        description: the same, read.
        seen_ns: when it was last heard of.
        period_s: between its announcements, 0 for mDNS.
    """

    kind: Kind
    id: str
    name: str
    domain: str
    address: str
    sdp: str
    description: SessionDescription
    seen_ns: int
    period_s: int = 0

    def contract(self, now_ns: int) -> dict[str, Any]:
        """The contract's object, keys in its order."""
        return {
            "source": self.kind,
            "id": self.id,
            "name": self.name,
            "domain": self.domain,
            "address": self.address,
            "sdp": self.sdp,
            "last_seen": max(0, now_ns - self.seen_ns) // SECOND_NS,
            "announce_period": self.period_s,
        }


def sap_id(origin: str, message_hash: int) -> str:
    """The contract's id: address and hash as a little-endian machine reads them.

    >>> sap_id("10.1.2.3", 0x1234)
    'sap:50462986-13330'
    """
    address = int.from_bytes(ipaddress.ip_address(origin).packed, "little")
    return f"sap:{address}-{int.from_bytes(message_hash.to_bytes(2, 'big'), 'little')}"


def mdns_id(text: str) -> str:
    """The contract's id of a source found by mDNS: a checksum of its description."""
    return f"rtsp:{sap.crc16(text.encode('utf-8', 'surrogateescape')):x}"


def readable(octets: bytes) -> str:
    """Octets of a description as text that can be shown: UTF-8, else Latin-1; no NUL at the end."""
    octets = octets.rstrip(b"\0")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def label(text: str) -> str:
    """As much of a name as a DNS label holds.

    Full stops become one dot leaders, which look the same: a full stop may stand in a label (RFC
    6763, 4.3), but zeroconf writes two labels then, and nobody else can resolve the service.
    """
    octets = text.replace(".", "\N{ONE DOT LEADER}").encode("utf-8", "replace")
    return octets[:LABEL_BYTES].decode(errors="ignore")
