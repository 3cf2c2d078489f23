"""Network interfaces as the kernel lists them over rtnetlink: names, flags, MAC, IPv4 addresses.

Netlink answers for the network namespace of the caller, which /sys does only after a remount.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

IFF_UP = 0x1
IFF_LOOPBACK = 0x8
IFF_RUNNING = 0x40
IFF_MULTICAST = 0x1000

_RTM_NEWLINK = 16
_RTM_GETLINK = 18
_RTM_NEWADDR = 20
_RTM_GETADDR = 22
_NLM_F_REQUEST = 0x1
_NLM_F_DUMP = 0x300
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_RTMGRP_LINK = 0x1
_RTMGRP_IPV4_IFADDR = 0x10
_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_CARRIER_UP_COUNT = 47
_IFA_ADDRESS = 1
_IFA_LOCAL = 2

_MESSAGE = struct.Struct("=IHHII")
"""`struct nlmsghdr`: length with this header, type, flags, sequence, port."""
_LINK = struct.Struct("=BxHiII")
"""`struct ifinfomsg`: family, type, index, flags, change."""
_ADDRESS = struct.Struct("=BBBBI")
"""`struct ifaddrmsg`: family, prefix length, flags, scope, index."""
_ATTRIBUTE = struct.Struct("=HH")
"""`struct rtattr`: length with this header, type."""
_RECEIVE_BYTES = 1 << 16
_TYPE_MASK = 0x3FFF


@dataclass(frozen=True)
class Interface:
    """One network interface.

    Attributes:
        name, index: as the kernel knows it.
        flags: IFF_... bits.
        mac: 6 octets on Ethernet, zeros on `lo`, empty without a link address.
        addresses: IPv4 in dotted form, the primary one first.
        carrier_ups: how often its link has come up since it is there; 0 where nobody counts.
    """

    name: str
    index: int
    flags: int
    mac: bytes = b""
    addresses: tuple[str, ...] = ()
    carrier_ups: int = 0

    @property
    def usable(self) -> bool:
        """Up and with a carrier."""
        return bool(self.flags & IFF_UP and self.flags & IFF_RUNNING)

    @property
    def loopback(self) -> bool:
        """Whether it is `lo`."""
        return bool(self.flags & IFF_LOOPBACK)

    @property
    def address(self) -> str | None:
        """The primary IPv4 address."""
        return self.addresses[0] if self.addresses else None


def list_interfaces() -> tuple[Interface, ...]:
    """All interfaces of this network namespace, by index.

    Raises:
        OSError: the kernel does not answer.
    """
    found = {each.index: each for each in parse_links(_dump(_RTM_GETLINK, _LINK.size))}
    for index, address in parse_addresses(_dump(_RTM_GETADDR, _ADDRESS.size)):
        if index in found:
            each = found[index]
            found[index] = replace(each, addresses=(*each.addresses, address))
    return tuple(found[index] for index in sorted(found))


def interface(name: str) -> Interface:
    """The interface of a name.

    Raises:
        OSError: ENODEV, there is none.
    """
    for each in list_interfaces():
        if each.name == name:
            return each
    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name)


def open_changes() -> socket.socket:
    """A non-blocking socket that becomes readable when an interface or an address changes.

    What it says is not worth reading: on a change, ask `list_interfaces` again.

    Raises:
        OSError: the kernel will not.
    """
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    changes = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
    try:
        changes.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR))
    except OSError:
        changes.close()
        raise
    return changes


def parse_links(data: bytes) -> Iterator[Interface]:
    """Interfaces, without addresses, out of RTM_NEWLINK messages; what is cut off is left out."""
    for body in _messages(data, _RTM_NEWLINK, _LINK.size):
        _, _, index, flags, _ = _LINK.unpack_from(body)
        attributes = dict(_attributes(body[_LINK.size :]))
        name = attributes.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
        if name:
            ups = int.from_bytes(attributes.get(_IFLA_CARRIER_UP_COUNT, b"")[:4], sys.byteorder)
            mac = attributes.get(_IFLA_ADDRESS, b"")
            yield Interface(name, index, flags, mac, carrier_ups=ups)


def parse_addresses(data: bytes) -> Iterator[tuple[int, str]]:
    """(interface index, IPv4 address) out of RTM_NEWADDR messages."""
    for body in _messages(data, _RTM_NEWADDR, _ADDRESS.size):
        family, _, _, _, index = _ADDRESS.unpack_from(body)
        attributes = dict(_attributes(body[_ADDRESS.size :]))
        address = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS) or b""
        if family == socket.AF_INET and len(address) == 4:
            yield index, socket.inet_ntoa(address)


def _messages(data: bytes, kind: int, least: int) -> Iterator[bytes]:
    """Bodies of all netlink messages of one type."""
    while len(data) >= _MESSAGE.size:
        length, found, *_ = _MESSAGE.unpack_from(data)
        if not _MESSAGE.size <= length <= len(data):
            return
        if found == kind and length >= _MESSAGE.size + least:
            yield data[_MESSAGE.size : length]
        data = data[_aligned(length) :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= length <= len(data):
            return
        yield kind & _TYPE_MASK, data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _dump(request: int, body_bytes: int) -> bytes:
    """All messages the kernel answers a dump request with."""
    length = _MESSAGE.size + body_bytes
    header = _MESSAGE.pack(length, request, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0)
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE) as link:
        link.settimeout(1.0)
        link.send(header + bytes(body_bytes))
        answer = b""
        while True:
            part = link.recv(_RECEIVE_BYTES)
            answer += part
            if _ends(part):
                return answer


def _ends(part: bytes) -> bool:
    """Whether a datagram of a dump is the last one; an error of the kernel is one too."""
    while len(part) >= _MESSAGE.size:
        length, kind, *_ = _MESSAGE.unpack_from(part)
        if kind in (_NLMSG_DONE, _NLMSG_ERROR) or not _MESSAGE.size <= length <= len(part):
            return True
        part = part[_aligned(length) :]
    return False
