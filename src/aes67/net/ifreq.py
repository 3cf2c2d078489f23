"""What the kernel is asked of one interface by ioctl (netdevice(7)): `struct ifreq` and numbers."""

from __future__ import annotations

import array
import fcntl
import socket
import struct

SIOCGIFADDR = 0x8915
SIOCGIFHWADDR = 0x8927
SIOCETHTOOL = 0x8946
SIOCSHWTSTAMP = 0x89B0
SIOCGHWTSTAMP = 0x89B1

_NAME_BYTES = 15
"""IFNAMSIZ less the NUL."""
_POINTER = struct.Struct("@16sP16x")
_SOCKADDR = struct.Struct("@16sH22s")
"""Name, then of the union a `struct sockaddr`: family and what follows it."""


def ask_address(interface: str, request: int) -> bytes:
    """What follows the family in the `struct sockaddr` the kernel answers with.

    Raises:
        OSError: no such interface, or it has no such address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        question = _SOCKADDR.pack(interface.encode()[:_NAME_BYTES], 0, b"")
        _, _, answer = _SOCKADDR.unpack(fcntl.ioctl(asking, request, question))
    return bytes(answer)


def exchange(interface: str, request: int, data: array.array[int]) -> None:
    """An ioctl whose request points at `data`, which the kernel reads and writes.

    Raises:
        OSError: no such interface, or its driver refuses.
    """
    address, _ = data.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, request, _POINTER.pack(interface.encode()[:_NAME_BYTES], address))
