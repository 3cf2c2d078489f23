"""Names and numbers that follow from what a stream is: never random, so a restart changes nothing.

Node id and session id follow the contract; SSRC and row identity are hashes.
"""

from __future__ import annotations

import hashlib
import ipaddress


def node_id(custom: str, address: str) -> str:
    """The node's name: the custom one, else `Daemon` and the address with its bytes turned.

    >>> node_id("", "10.0.1.1")
    'Daemon 000a0101'
    """
    return custom or f"Daemon {_turned(address):08x}"


def session_id(address: str, source_id: int) -> int:
    """The session id in o= of a source, 32 bits.

    >>> session_id("10.0.1.1", 0)
    655617
    """
    return (_turned(address) + source_id) % 2**32


def _turned(address: str) -> int:
    a, b, c, d = ipaddress.IPv4Address(address or "0.0.0.0").packed
    return int.from_bytes((b, a, d, c), "big")


def ssrc(name: str, source_id: int, codec: str, rate: int, channels: int, frames: int) -> int:
    """SSRC of a source, 32 bits: equal for a restarted engine and for a hot-standby twin.

    `name` is that of the node, see `session.sender_name`.
    """
    return _hash("ssrc", name, source_id, codec, rate, channels, frames) >> 31


def identity(*parts: object) -> int:
    """A number that is equal for equal parts: positive, 63 bits, never 0."""
    return _hash(*parts) or 1


def _hash(*parts: object) -> int:
    text = "\0".join(repr(part) for part in parts)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
