"""A socket that hears IGMP; it takes CAP_NET_RAW, without which nobody can tell who asks."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

IP_PKTINFO = 8
_PACKET_INFO = struct.Struct("=i4s4s")
_PACKET_BYTES = 2048
_ANCILLARY_BYTES = 128
_IP_HEADER_BYTES = 20


@dataclass(frozen=True)
class Heard:
    """An IGMP message: on which interface, from whom, and its octets without the IP header."""

    index: int
    source: str
    data: bytes


def open_igmp() -> socket.socket:
    """A non-blocking socket that gets every IGMP message this host gets.

    Raises:
        OSError: EPERM without CAP_NET_RAW.
    """
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    heard = socket.socket(socket.AF_INET, kind, socket.IPPROTO_IGMP)
    try:
        heard.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    except OSError:
        heard.close()
        raise
    return heard


def receive(heard: socket.socket) -> Heard | None:
    """The next message waiting; None without one."""
    try:
        packet, ancillary, _, address = heard.recvmsg(_PACKET_BYTES, _ANCILLARY_BYTES)
    except OSError:
        return None
    index = 0
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO and len(value) >= _PACKET_INFO.size:
            index = _PACKET_INFO.unpack_from(value)[0]
    start = 4 * (packet[0] & 0x0F) if packet else _IP_HEADER_BYTES
    return Heard(index, str(address[0]), packet[start:])
