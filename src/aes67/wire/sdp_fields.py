"""Fields of a session description that have a grammar of their own: o=, c= and a= values.

Each has its reader and, as `text`, its writer; `sdp` cuts the text and sorts the lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from aes67.errors import WireError

_NUMBER = re.compile(r"[0-9]{1,40}")
_ADDRESS_TYPES = {"IP4": "IP4", "IPV4": "IP4", "IP6": "IP6", "IPV6": "IP6"}
"""Some broadcast gear writes IPV4 where RFC 8866 says IP4."""


@dataclass(frozen=True)
class Attribute:
    """An a= line: `name` or `name:value`; `value` is None for a property without a colon."""

    name: str
    value: str | None = None
    number: int = field(default=0, compare=False)

    @property
    def text(self) -> str:
        """The value of its a= line."""
        return self.name if self.value is None else f"{self.name}:{self.value}"


@dataclass(frozen=True)
class Origin:
    """The o= line (RFC 8866, 5.2). `session_id` stays text: VLC writes 20 digits, some write none.

    `version` is a non-negative integer of any size; larger means newer.
    """

    username: str
    session_id: str
    version: int
    address: str
    address_type: str = "IP4"
    network_type: str = "IN"

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """Everything but the version: equal for two versions of the same session."""
        network = (self.network_type, self.address_type, self.address)
        return (self.username, self.session_id, *network)

    @property
    def text(self) -> str:
        """The value of its o= line."""
        return (
            f"{self.username} {self.session_id} {self.version} "
            f"{self.network_type} {self.address_type} {self.address}"
        )


@dataclass(frozen=True)
class Connection:
    """A c= line (RFC 8866, 5.7): address as written, TTL 0 to 255 (IPv4 multicast), group count."""

    address: str
    ttl: int | None = None
    count: int = 1
    address_type: str = "IP4"
    number: int = field(default=0, compare=False)

    @property
    def text(self) -> str:
        """The value of its c= line."""
        text = f"IN {self.address_type} {self.address}"
        if self.ttl is not None:
            text += f"/{self.ttl}"
        return text if self.count == 1 else f"{text}/{self.count}"


def read_number(text: str, what: str, line: int, highest: int | None = None) -> int:
    """A decimal number without sign, at most 40 digits and at most `highest`.

    Raises:
        WireError: naming `what`, at `line`.
    """
    if not _NUMBER.fullmatch(text):
        raise WireError(f"{what} {text[:40]!r} is not a number", line)
    value = int(text)
    if highest is not None and value > highest:
        raise WireError(f"{what} {value} is above {highest}", line)
    return value


def read_origin(value: str, line: int) -> Origin | None:
    """Read the value of an o= line; None with fewer than six fields.

    Raises:
        WireError: the session version is no number.
    """
    fields = value.split()
    if len(fields) < 6:
        return None
    if len(fields) > 6 and not _NUMBER.fullmatch(fields[2]):
        # A user name with spaces: the five fields that matter are the last ones.
        fields = [" ".join(fields[:-5]), *fields[-5:]]
    return Origin(
        username=fields[0],
        session_id=fields[1],
        version=read_number(fields[2], "session version in o=", line),
        network_type=fields[3],
        address_type=fields[4],
        address=fields[5],
    )


def read_connection(value: str, line: int) -> Connection:
    """Read the value of a c= line; the address may be a host name here.

    Raises:
        WireError: fields missing, an unknown address type, or numbers out of range.
    """
    fields = value.split()
    if len(fields) < 3 or fields[0].upper() != "IN":
        raise WireError(f"connection {value[:60]!r} is not 'IN IP4 address'", line)
    address_type = _ADDRESS_TYPES.get(fields[1].upper())
    if address_type is None:
        raise WireError(f"address type {fields[1][:20]!r} is neither IP4 nor IP6", line)
    address, *numbers = fields[2].split("/")
    if not address or len(numbers) > (2 if address_type == "IP4" else 1):
        raise WireError(f"connection address {fields[2][:60]!r} is malformed", line)
    ttl = None
    if numbers and address_type == "IP4":
        ttl = read_number(numbers.pop(0), "TTL in c=", line, 255)
    count = read_number(numbers[0], "address count in c=", line, 65_535) if numbers else 1
    return Connection(address, ttl, count, address_type, line)
