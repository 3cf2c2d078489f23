"""The kernel's message structures for recvmmsg and sendmmsg on 64-bit Linux, and filling them."""

from __future__ import annotations

import socket
import struct
from typing import Any

import numpy as np

MESSAGE = np.dtype(
    {
        "names": [
            "name", "name_length", "vector", "vector_length", "control", "control_length",
            "flags", "length",
        ],
        "formats": ["<i8", "<u4", "<i8", "<i8", "<i8", "<i8", "<i4", "<u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)  # fmt: skip
"""`struct mmsghdr`: a `msghdr` and the length of what was received."""
VECTOR = np.dtype({"names": ["base", "length"], "formats": ["<i8", "<i8"], "offsets": [0, 8],
                   "itemsize": 16})  # fmt: skip
"""`struct iovec`."""

NAME_BYTES = 16
"""`struct sockaddr_in`."""
IP_PKTINFO = 8
_IP_TTL_BYTES = 4
_CONTROL_HEADER = struct.Struct("=qii")
"""`struct cmsghdr`: length with this header, level, type."""
CONTROL_HEADER_BYTES = _CONTROL_HEADER.size
SEND_CONTROL_BYTES = 2 * (CONTROL_HEADER_BYTES + 8)
"""TTL and TOS, each an int padded to 8."""
RECEIVE_CONTROL_BYTES = 64
"""IP_PKTINFO (28 octets) and room to see that there is more than expected."""
PKTINFO_ADDRESS = CONTROL_HEADER_BYTES + 8
"""Offset of the header's destination address in a control message of IP_PKTINFO."""


def ipv4_name(address: int, port: int) -> bytes:
    """`struct sockaddr_in` of an address in host byte order."""
    return struct.pack("=H", socket.AF_INET) + struct.pack("!HI", port, address) + bytes(8)


def send_control(ttl: int, dscp: int) -> bytes:
    """Control messages that give one datagram its TTL and DSCP."""

    def message(kind: int, value: int) -> bytes:
        length = CONTROL_HEADER_BYTES + _IP_TTL_BYTES
        return _CONTROL_HEADER.pack(length, socket.IPPROTO_IP, kind) + struct.pack("=ii", value, 0)

    return message(socket.IP_TTL, ttl) + message(socket.IP_TOS, dscp << 2)


def address_of(array: np.ndarray[Any, Any]) -> int:
    """Address of an array's first byte; the caller keeps the array alive."""
    return int(array.ctypes.data)
