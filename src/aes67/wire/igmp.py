"""IGMP membership queries (RFC 1112, 2236, 3376), as far as telling that somebody asks.

Who asks keeps the switches of a network forwarding multicast; without a querier, those that snoop
stop after some minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

from aes67.errors import WireError

QUERY = 0x11
MESSAGE_BYTES = 8
V3_BYTES = 12


@dataclass(frozen=True)
class Query:
    """A membership query.

    Attributes:
        version: 1, 2 or 3.
        group: asked for, in dotted form; `0.0.0.0`: for all.
    """

    version: int
    group: str

    @property
    def general(self) -> bool:
        """Whether it asks for all groups: only a querier does that regularly."""
        return self.group == "0.0.0.0"


def parse_query(data: bytes) -> Query | None:
    """Read an IGMP message; None when it is another one than a query.

    Raises:
        WireError: too short, or with a wrong checksum.
    """
    if len(data) < MESSAGE_BYTES:
        raise WireError("IGMP message shorter than 8 octets", len(data))
    if checksum(data) != 0:
        raise WireError("IGMP checksum is wrong", 2)
    if data[0] != QUERY:
        return None
    group = ".".join(str(octet) for octet in data[4:8])
    if len(data) >= V3_BYTES:
        return Query(3, group)
    return Query(2 if data[1] else 1, group)


def pack_query(query: Query, response_tenths: int = 100) -> bytes:
    """The bytes of a query; `response_tenths`: time to answer in 1/10 s, 1 to 127.

    Raises:
        WireError: the group or the version cannot be written.
    """
    if query.version not in (1, 2, 3):
        raise WireError(f"there is no IGMP version {query.version}")
    octets = [int(part) for part in query.group.split(".") if part.isdecimal()]
    if len(octets) != 4 or max(octets) > 255:
        raise WireError(f"{query.group} is no group")
    code = 0 if query.version == 1 else response_tenths
    body = bytes((QUERY, code, 0, 0, *octets))
    if query.version == 3:
        body += bytes((2, 125, 0, 0))  # robustness 2, every 125 s, no sources
    return body[:2] + checksum(body).to_bytes(2, "big") + body[4:]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071); 0 over a message that has a right one in it."""
    if len(data) % 2:
        data += b"\0"
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
