"""PTP over UDP/IPv4 (1588 annex C): the event and the general socket of one port."""

from __future__ import annotations

import contextlib
import socket
import struct

from aes67.errors import Refused
from aes67.net.loop_back import loop_if_heard
from aes67.net.timestamping import (
    STAMPING,
    CrossClock,
    Sent,
    StampedSocket,
    hardware_address,
    interface_index,
)

EVENT_PORT = 319
GENERAL_PORT = 320
SO_BINDTODEVICE = 25
IP_MULTICAST_ALL = 49


class PtpSockets:
    """Ports 319 and 320 on one interface, shared with any other PTP stack on this host.

    Args:
        interface: its name.
        group: multicast address to join and to send to.
        event_dscp: 0 to 63, of Sync and Delay_Req.
        general_dscp: 0 to 63, of the rest.
        stamping: SOF_TIMESTAMPING_ flags; fewer than the default stand for a poorer kernel.

    Raises:
        Refused: no such interface, or no right to bind the ports.
    """

    def __init__(
        self,
        interface: str,
        group: str,
        event_dscp: int,
        general_dscp: int,
        stamping: int = STAMPING,
    ) -> None:
        self.interface = interface
        self.index = interface_index(interface)
        self.hardware_address = hardware_address(interface)
        self.clock = CrossClock()
        self._group = group
        self.event = StampedSocket(self._open(EVENT_PORT, event_dscp), stamping, self.clock)
        try:
            self.general: StampedSocket | None = StampedSocket(
                self._open(GENERAL_PORT, general_dscp), 0, self.clock
            )
        except BaseException:
            self.event.close()
            raise
        self.look_around()

    def look_around(self) -> None:
        """Let the event messages be heard on this host if there is anybody to hear them."""
        loop_if_heard(self.event.socket, self.index)

    def send(self, data: bytes, *, event: bool) -> Sent:
        """Send on port 319 (`event`) or 320; OSError as the network says."""
        assert self.general is not None
        if event:
            return self.event.send(data, (self._group, EVENT_PORT))
        return self.general.send(data, (self._group, GENERAL_PORT))

    def rejoin(self) -> None:
        """Leave the group and join it again: who is at the other end of the link hears it."""
        assert self.general is not None
        member = struct.pack("4s4si", socket.inet_aton(self._group), bytes(4), self.index)
        for each in (self.event.socket, self.general.socket):
            for option in (socket.IP_DROP_MEMBERSHIP, socket.IP_ADD_MEMBERSHIP):
                with contextlib.suppress(OSError):
                    each.setsockopt(socket.IPPROTO_IP, option, member)

    def close(self) -> None:
        """Leave the group and give the ports back."""
        self.event.close()
        if self.general is not None:
            self.general.close()

    def _open(self, port: int, dscp: int) -> socket.socket:
        each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                each.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, self.interface.encode() + b"\0")
                each.bind(("", port))
            except PermissionError as error:
                raise Refused("port", port, _no_right(port)) from error
            except OSError as error:
                raise Refused("port", port, f"UDP port {port}: {error.strerror}") from error
            each.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
            index = struct.pack("4s4si", bytes(4), bytes(4), self.index)
            each.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, index)
            each.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            each.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
            member = struct.pack("4s4si", socket.inet_aton(self._group), bytes(4), self.index)
            each.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        except OSError as error:
            each.close()
            raise Refused("interface", self.interface, f"PTP group: {error.strerror}") from error
        except Refused:
            each.close()
            raise
        return each


def _no_right(port: int) -> str:
    return (
        f"binding UDP port {port} (PTP) needs CAP_NET_BIND_SERVICE: run as root, give the service "
        "AmbientCapabilities=CAP_NET_BIND_SERVICE, or set "
        "sysctl net.ipv4.ip_unprivileged_port_start=319"
    )
