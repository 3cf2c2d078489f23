"""PTP on Ethernet (EtherType 0x88F7): one raw socket of a port for all its messages.

Raw sockets need CAP_NET_RAW. Frames this host sends itself are not seen here, so that two stacks on
one interface do not know of each other: with 802.1AS the neighbour would have two answers.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct

from aes67.errors import Refused
from aes67.net.timestamping import (
    SOL_PACKET,
    STAMPING,
    CrossClock,
    Sent,
    StampedSocket,
    interface_index,
)

ETHERTYPE = 0x88F7
PACKET_ADD_MEMBERSHIP = 1
PACKET_DROP_MEMBERSHIP = 2
PACKET_MR_MULTICAST = 0
ETHERNET = 1
"""ARPHRD_ETHER; lo, which is none, does as well."""
LOOPBACK = 772
_MEMBER = struct.Struct("=iHH8s")
NO_RIGHT = (
    "gPTP is spoken in raw Ethernet frames, which needs CAP_NET_RAW: run as root, or give the "
    "service AmbientCapabilities=CAP_NET_RAW (aes67 service install --raw-packets)"
)


class EthernetSockets:
    """All PTP frames to one group address on one interface.

    Args:
        interface: its name.
        group: the multicast address, six bytes.
        stamping: SOF_TIMESTAMPING_ flags; fewer than the default stand for a poorer kernel.

    Raises:
        Refused: no such interface, it is no Ethernet, or no right to open a raw socket.
    """

    general: StampedSocket | None = None
    """There is no second socket."""

    def __init__(self, interface: str, group: bytes, stamping: int = STAMPING) -> None:
        assert len(group) == 6
        self.interface = interface
        self.index = interface_index(interface)
        self.clock = CrossClock()
        self._group = group
        opened = self._open()
        self.hardware_address: bytes = opened.getsockname()[4]
        self.event = StampedSocket(opened, stamping, self.clock)

    def send(self, data: bytes, *, event: bool) -> Sent:
        """Send a frame, stamped whether `event` or not; OSError as the network says."""
        return self.event.send(data, (self.interface, ETHERTYPE, 0, 0, self._group))

    def look_around(self) -> None:
        """Whoever listens on this host hears a frame without a copy of it."""

    def rejoin(self) -> None:
        """Ask the interface for the group again."""
        for option in (PACKET_DROP_MEMBERSHIP, PACKET_ADD_MEMBERSHIP):
            with contextlib.suppress(OSError):
                self._member(self.event.socket, option)

    def close(self) -> None:
        """Leave the group and close."""
        self.event.close()

    def _open(self) -> socket.socket:
        try:
            each = socket.socket(
                socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            )
        except OSError as error:
            # a sandbox without AF_PACKET in RestrictAddressFamilies says EAFNOSUPPORT
            denied = isinstance(error, PermissionError) or error.errno == errno.EAFNOSUPPORT
            why = NO_RIGHT if denied else f"PTP on Ethernet: {error.strerror}"
            raise Refused("interface", self.interface, why) from error
        try:
            each.bind((self.interface, ETHERTYPE))
            if each.getsockname()[3] not in (ETHERNET, LOOPBACK):
                raise Refused("interface", self.interface, "gPTP needs an Ethernet interface")
            self._member(each, PACKET_ADD_MEMBERSHIP)
        except OSError as error:
            each.close()
            reason = f"PTP on Ethernet: {error.strerror}"
            raise Refused("interface", self.interface, reason) from error
        except Refused:
            each.close()
            raise
        return each

    def _member(self, each: socket.socket, option: int) -> None:
        member = _MEMBER.pack(self.index, PACKET_MR_MULTICAST, 6, self._group)
        each.setsockopt(SOL_PACKET, option, member)
