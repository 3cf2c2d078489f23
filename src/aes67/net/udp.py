"""Media sockets and multicast memberships: set-up only, the tick does the rest.

A media socket is bound to the wildcard address and to one interface, so that source port and
destination port are equal and one socket takes all groups of that port. SO_REUSEADDR, and not
SO_REUSEPORT, lets several processes of a host have it: each then gets a copy of every multicast
datagram, whatever option the others chose, while SO_REUSEPORT would deal unicast streams out among
processes by hash. A unicast stream goes to the socket bound last; a datagram to the host's own
unicast address reaches sockets on the interface its sender is bound to, on `lo` if to none.

The kernel limits memberships of one socket (20 by default), not of a host: they live on helper
sockets, and IP_MULTICAST_ALL gives what a helper joined to every socket of that port.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct

from aes67.net.ifreq import SIOCGIFADDR, ask_address

IP_MULTICAST_ALL = 49
IP_PKTINFO = 8
MCAST_JOIN_SOURCE_GROUP = 46
MCAST_LEAVE_SOURCE_GROUP = 47
SO_RCVBUFFORCE = 33
SO_SNDBUFFORCE = 32
BUFFER_BYTES = 8 << 20
"""64 streams of 1 ms packets for about 50 ms, as the kernel accounts them."""
MEMBERSHIPS_PER_SOCKET = 20
_STORAGE_BYTES = 128
"""`struct sockaddr_storage`."""

_Member = tuple[int, str, str | None]
"""Interface index, group, sender."""


def open_media_socket(interface: str, port: int) -> socket.socket:
    """A UDP socket for media in both directions on one interface.

    Raises:
        OSError: no such interface, the port is taken by a socket that does not share, or (before
            Linux 5.7) no right to bind to an interface.
    """
    media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        media.setblocking(False)
        media.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        media.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        _enlarge(media, socket.SO_RCVBUF, SO_RCVBUFFORCE)
        _enlarge(media, socket.SO_SNDBUF, SO_SNDBUFFORCE)
        media.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        media.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 1)
        media.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        send_from(media, interface)
        media.bind(("", port))
    except OSError:
        media.close()
        raise
    return media


def send_from(media: socket.socket, interface: str) -> None:
    """Have what is sent to groups leave by this interface, under its first address.

    To be called again when that address has changed: the kernel refuses to send from one that the
    machine does not have any more.

    Raises:
        OSError: no such interface.
    """
    index = socket.if_nametoindex(interface)
    outgoing = struct.pack("=4s4si", bytes(4), interface_address(interface), index)
    media.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, outgoing)


def interface_address(interface: str) -> bytes:
    """The interface's first IPv4 address, 0.0.0.0 when it has none.

    As source of what is sent to a group: left to choose, the kernel passes over addresses of host
    scope, so that on `lo` the packets would carry another interface's address, or none.
    """
    try:
        return ask_address(interface, SIOCGIFADDR)[2:6]  # past the port
    except OSError:
        return bytes(4)


def _enlarge(media: socket.socket, option: int, privileged: int) -> None:
    """Ask for BUFFER_BYTES; without CAP_NET_ADMIN the kernel gives what the sysctl allows."""
    try:
        media.setsockopt(socket.SOL_SOCKET, privileged, BUFFER_BYTES)
    except OSError:
        media.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)


class Memberships:
    """Multicast groups this process is a member of, on as many helper sockets as that takes."""

    def __init__(self) -> None:
        self._helpers: list[tuple[socket.socket, set[_Member]]] = []

    def join(self, index: int, group: str, source: str | None = None) -> None:
        """Join a group on the interface of an index, of any sender or of one (RFC 4607).

        Joining again does nothing.

        Raises:
            OSError: no such interface, or the kernel will not.
        """
        key = (index, group, source)
        if any(key in joined for _, joined in self._helpers):
            return
        for helper, joined in self._helpers:
            if len(joined) < MEMBERSHIPS_PER_SOCKET and _takes(joined, key):
                try:
                    _change(helper, index, group, source, join=True)
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise
                    continue
                joined.add(key)
                return
        helper = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            _change(helper, index, group, source, join=True)
        except OSError:
            helper.close()
            raise
        self._helpers.append((helper, {key}))

    def leave(self, index: int, group: str, source: str | None = None) -> None:
        """Leave a group; one that was not joined, or whose interface has gone, is left already."""
        key = (index, group, source)
        for position, (helper, joined) in enumerate(self._helpers):
            if key in joined:
                joined.discard(key)
                with contextlib.suppress(OSError):
                    _change(helper, index, group, source, join=False)
                if not joined:
                    helper.close()
                    del self._helpers[position]
                return

    def rejoin(self, index: int) -> int:
        """Leave and join again all groups of an interface, so that its new neighbour hears of them.

        A link that was lost and is back may end at a switch that knows nothing of us, and would
        learn of our groups only by its querier's next question, two minutes later. Returns how
        many groups there are; one that cannot be joined any more is forgotten.
        """
        found = 0
        for helper, joined in self._helpers:
            for key in sorted(joined, key=str):
                if key[0] != index:
                    continue
                with contextlib.suppress(OSError):
                    _change(helper, *key, join=False)
                try:
                    _change(helper, *key, join=True)
                    found += 1
                except OSError:
                    joined.discard(key)
        return found

    def close(self) -> None:
        """Leave everything."""
        for helper, _ in self._helpers:
            helper.close()
        self._helpers.clear()


def _takes(joined: set[_Member], key: _Member) -> bool:
    """Whether a helper can take one more: a group is wanted there from all senders or from some."""
    index, group, source = key
    return all(
        other_source is not None and source is not None
        for other_index, other_group, other_source in joined
        if (other_index, other_group) == (index, group)
    )


def _change(
    helper: socket.socket, index: int, group: str, source: str | None, *, join: bool
) -> None:
    if source is None:
        option = socket.IP_ADD_MEMBERSHIP if join else socket.IP_DROP_MEMBERSHIP
        request = struct.pack("=4s4si", socket.inet_aton(group), bytes(4), index)
    else:
        option = MCAST_JOIN_SOURCE_GROUP if join else MCAST_LEAVE_SOURCE_GROUP
        request = struct.pack("=I4x", index) + _storage(group) + _storage(source)
    helper.setsockopt(socket.IPPROTO_IP, option, request)


def _storage(address: str) -> bytes:
    name = struct.pack("=HH", socket.AF_INET, 0) + socket.inet_aton(address)
    return name.ljust(_STORAGE_BYTES, b"\0")
