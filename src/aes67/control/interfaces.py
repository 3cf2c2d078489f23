"""The machine's network interfaces, asked of the kernel by rtnetlink: names, addresses, MACs."""

from __future__ import annotations

import socket
import struct

from aes67.session.network import Interface, Network

RTM_NEWLINK, RTM_GETLINK, RTM_NEWADDR, RTM_GETADDR = 16, 18, 20, 22
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
IFA_ADDRESS, IFA_LOCAL = 1, 2
IFLA_ADDRESS, IFLA_IFNAME = 1, 3

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")


def network() -> Network:
    """All interfaces with their IPv4 addresses, primary ones first as the kernel lists them.

    Raises:
        OSError: the kernel does not answer.
    """
    links: dict[int, tuple[str, str]] = {}
    for _, body in _dump(RTM_GETLINK, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0), RTM_NEWLINK):
        _, _, index, _, _ = _LINK.unpack_from(body)
        attributes = _attributes(body[_LINK.size :])
        name = attributes.get(IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
        links[index] = (name, attributes.get(IFLA_ADDRESS, b"").hex(":"))
    addresses: dict[int, list[str]] = {}
    request = _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)
    for _, body in _dump(RTM_GETADDR, request, RTM_NEWADDR):
        family, _, _, _, index = _ADDRESS.unpack_from(body)
        attributes = _attributes(body[_ADDRESS.size :])
        packed = attributes.get(IFA_LOCAL) or attributes.get(IFA_ADDRESS) or b""
        if family == socket.AF_INET and len(packed) == 4:
            addresses.setdefault(index, []).append(socket.inet_ntoa(packed))
    return Network(
        tuple(
            Interface(name, mac, tuple(addresses.get(index, ())))
            for index, (name, mac) in sorted(links.items())
        )
    )


def _dump(kind: int, body: bytes, answer: int) -> list[tuple[int, bytes]]:
    """The messages of type `answer` the kernel sends on a dump request."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC) as link:
        link.settimeout(2.0)
        link.bind((0, 0))
        size = _HEADER.size + len(body)
        link.send(_HEADER.pack(size, kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
        found: list[tuple[int, bytes]] = []
        while True:
            data = link.recv(1 << 17)
            while len(data) >= _HEADER.size:
                length, type_, _, _, _ = _HEADER.unpack_from(data)
                if type_ == NLMSG_DONE:
                    return found
                if type_ == NLMSG_ERROR:
                    raise OSError("rtnetlink refuses the request")
                if type_ == answer:
                    found.append((type_, data[_HEADER.size : length]))
                data = data[(length + 3) & ~3 :]


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found.setdefault(kind, data[_ATTRIBUTE.size : length])
        data = data[(length + 3) & ~3 :]
    return found
