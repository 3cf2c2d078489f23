"""The Transport header of RTSP (RFC 2326, 12.39): what a client offers, what a server grants."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aes67.errors import WireError

MAX_OFFERS = 16
MAX_PARAMETERS = 32
PROFILES = ("RTP/AVP", "RTP/AVP/UDP")

_PARAMETER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:=(\"[^\"\r\n]*\"|[^\";,\r\n]*))?")


@dataclass(frozen=True)
class Transport:
    """One way of transport.

    Attributes:
        protocol: such as `RTP/AVP` or `RTP/AVP/TCP`.
        parameters: in their order; None as value of those without one.
    """

    protocol: str
    parameters: tuple[tuple[str, str | None], ...] = ()

    def get(self, name: str) -> str | None:
        """Value of a parameter in any case; empty without a value, None when it is not there."""
        for key, value in self.parameters:
            if key.lower() == name:
                return value or ""
        return None

    @property
    def is_multicast(self) -> bool:
        """RTP over UDP to a group, which it is unless it says `unicast`."""
        return self.protocol.upper() in PROFILES and self.get("unicast") is None

    @property
    def text(self) -> str:
        """As it stands in the header.

        Raises:
            WireError: a name or value would break the header.
        """
        parts = [self.protocol]
        for key, value in self.parameters:
            part = key if value is None else f"{key}={value}"
            if not _PARAMETER.fullmatch(part):
                raise WireError(f"parameter {part[:40]!r} cannot be written")
            parts.append(part)
        return ";".join(parts)


def parse(text: str) -> tuple[Transport, ...]:
    """The offers of a Transport header, the client's favourite first.

    Raises:
        WireError: malformed, more than MAX_OFFERS or MAX_PARAMETERS.
    """
    found = []
    for offer in _split(text, ","):
        parts = _split(offer, ";")
        protocol = parts[0].strip()
        if not re.fullmatch(r"[0-9A-Za-z.+\-]{1,16}(?:/[0-9A-Za-z.+\-]{1,16}){1,3}", protocol):
            raise WireError(f"{protocol[:40]!r} is no transport")
        parameters = []
        for part in parts[1 : MAX_PARAMETERS + 2]:
            match = _PARAMETER.fullmatch(part.strip())
            if match is None:
                raise WireError(f"{part[:40]!r} is no parameter of a transport")
            parameters.append((match[1], match[2]))
        if len(parameters) > MAX_PARAMETERS:
            raise WireError(f"more than {MAX_PARAMETERS} parameters")
        found.append(Transport(protocol, tuple(parameters)))
        if len(found) > MAX_OFFERS:
            raise WireError(f"more than {MAX_OFFERS} transports")
    return tuple(found)


def _split(text: str, separator: str) -> list[str]:
    """At separators that are not quoted."""
    pieces, quoted = [""], False
    for character in text:
        quoted ^= character == '"'
        if character == separator and not quoted:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces
