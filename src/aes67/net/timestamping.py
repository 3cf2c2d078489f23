"""PTP sockets over UDP/IPv4 with kernel timestamps, and the clock readings to convert them.

Kernel software stamps are CLOCK_REALTIME and jump whenever somebody sets that clock. So each is
converted to CLOCK_MONOTONIC_RAW at once, with a cross-reading of both clocks (best of three), and
stamps that straddle a step are dropped. Nothing here ever sets a clock.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import time
from dataclasses import dataclass

from aes67.errors import Refused

EVENT_PORT = 319
GENERAL_PORT = 320

SO_BINDTODEVICE = 25
SO_TIMESTAMPING = 37
SCM_TIMESTAMPING = 37
IP_RECVERR = 11
IP_MULTICAST_ALL = 49
SIOCGIFHWADDR = 0x8927
TX_SOFTWARE = 1 << 1
RX_SOFTWARE = 1 << 3
SOFTWARE = 1 << 4
OPT_ID = 1 << 7
OPT_CMSG = 1 << 10
OPT_TSONLY = 1 << 11
STAMPING = TX_SOFTWARE | RX_SOFTWARE | SOFTWARE | OPT_CMSG | OPT_TSONLY
ORIGIN_TIMESTAMPING = 4

PACKET_BYTES = 2048
ANCILLARY_BYTES = 512
BATCH = 64
"""Transmit stamps read in one go before others get their turn."""
READINGS = 3
STEP_FLOOR_NS = 200_000
STEP_SLEW = 0.002
"""REALTIME may drift from RAW by this (NTP slews 500 ppm at most) without having been stepped."""
STAMP_AGE_NS = 1_000_000_000

_STAMPS = struct.Struct("qqqqqq")
_EXTENDED_ERROR = struct.Struct("IBBBBII")


class CrossClock:
    """Converts CLOCK_REALTIME to CLOCK_MONOTONIC_RAW and notices when REALTIME is stepped."""

    def __init__(self) -> None:
        self.steps = 0
        self._raw_ns, self._ahead_ns = self._measure()

    def read(self) -> tuple[int, int]:
        """(RAW, REALTIME) of the same instant, within about 0.1 us."""
        raw_ns, ahead_ns = self._measure()
        return raw_ns, raw_ns + ahead_ns

    def renew(self) -> bool:
        """Read the clocks again for `to_raw`; False when REALTIME was stepped since the last."""
        raw_ns, ahead_ns = self._measure()
        allowed = STEP_FLOOR_NS + STEP_SLEW * (raw_ns - self._raw_ns)
        steady = abs(ahead_ns - self._ahead_ns) <= allowed
        self._raw_ns, self._ahead_ns = raw_ns, ahead_ns
        if not steady:
            self.steps += 1
        return steady

    def to_raw(self, real_ns: int) -> int | None:
        """CLOCK_MONOTONIC_RAW of a stamp taken less than 1 s before `renew`; None if it was not."""
        raw_ns = real_ns - self._ahead_ns
        age = self._raw_ns - raw_ns
        return raw_ns if -STEP_FLOOR_NS <= age <= STAMP_AGE_NS else None

    @staticmethod
    def _measure() -> tuple[int, int]:
        """RAW, and REALTIME minus RAW, of the narrowest of three bracketed readings."""
        best = (1 << 62, 0, 0)
        for _ in range(READINGS):
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            real = time.clock_gettime_ns(time.CLOCK_REALTIME)
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            middle = (before + after) // 2
            best = min(best, (after - before, middle, real - middle))
        return best[1], best[2]


def raw_now() -> int:
    """CLOCK_MONOTONIC_RAW in ns."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)


@dataclass(frozen=True, slots=True)
class Received:
    """A packet; `stamp_ns` is CLOCK_MONOTONIC_RAW of the kernel's stamp, None without one.

    `dropped` says that there was a stamp which a step of REALTIME made worthless.
    """

    data: bytes
    source: str
    stamp_ns: int | None
    read_ns: int
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """An event message on its way: the kernel will stamp it as number `id`."""

    id: int
    before_ns: int
    after_ns: int


class PtpSockets:
    """Ports 319 and 320 on one interface, shared with any other PTP stack on this host.

    Args:
        interface: its name.
        groups: multicast addresses to join.
        event_dscp: 0 to 63, of Sync and Delay_Req.
        general_dscp: 0 to 63, of the rest.
        stamping: SOF_TIMESTAMPING_ flags; fewer than the default stand for a poorer kernel.

    Raises:
        Refused: no such interface, or no right to bind the ports.
    """

    def __init__(
        self,
        interface: str,
        groups: tuple[str, ...],
        event_dscp: int,
        general_dscp: int,
        stamping: int = STAMPING,
    ) -> None:
        self.interface = interface
        self.index = interface_index(interface)
        self.hardware_address = hardware_address(interface)
        self.clock = CrossClock()
        self._next_id = 0
        self._stamping = stamping
        self._groups = groups
        opened: list[socket.socket] = []
        try:
            for port, dscp in ((EVENT_PORT, event_dscp), (GENERAL_PORT, general_dscp)):
                opened.append(self._open(port, dscp, groups))
            self.event, self.general = opened
            self._number_stamps()
        except BaseException:
            for each in opened:
                each.close()
            raise

    def send_general(self, data: bytes, group: str) -> None:
        """Send on port 320; OSError as the network says."""
        self.general.sendto(data, (group, GENERAL_PORT))

    def send_event(self, data: bytes, group: str) -> Sent:
        """Send on port 319; OSError as the network says."""
        before = raw_now()
        try:
            self.event.sendto(data, (group, EVENT_PORT))
        except OSError:
            self._number_stamps()  # whether the failed one was counted nobody can tell
            raise
        sent = Sent(self._next_id, before, raw_now())
        self._next_id = (self._next_id + 1) & 0xFFFFFFFF
        return sent

    def transmit_stamps(self) -> list[tuple[int, int | None]]:
        """(number, CLOCK_MONOTONIC_RAW) of event messages that have left; None: stamp worthless."""
        found: list[tuple[int, int | None]] = []
        for _ in range(BATCH):
            try:
                _, ancillary, _, _ = self.event.recvmsg(
                    0, ANCILLARY_BYTES, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
                )
            except OSError:
                break  # empty; or an ICMP error of an earlier packet, which only the queue had
            number, real_ns = _numbered(ancillary)
            if number is None or real_ns is None:
                continue
            steady = self.clock.renew()
            found.append((number, self.clock.to_raw(real_ns) if steady else None))
        return found

    def receive(self, each: socket.socket) -> Received | None:
        """The next packet waiting at `event` or `general`; None without one."""
        try:
            data, ancillary, _, address = each.recvmsg(
                PACKET_BYTES, ANCILLARY_BYTES, socket.MSG_DONTWAIT
            )
        except OSError:
            return None
        real_ns = _stamp(ancillary)
        stamp_ns, dropped = None, False
        if real_ns is not None:
            steady = self.clock.renew()
            stamp_ns = self.clock.to_raw(real_ns) if steady else None
            dropped = stamp_ns is None
        return Received(data, str(address[0]), stamp_ns, raw_now(), dropped)

    def rejoin(self) -> None:
        """Leave the groups and join them again: who is at the other end of the link hears it."""
        for each in (self.event, self.general):
            for group in self._groups:
                member = struct.pack("4s4si", socket.inet_aton(group), bytes(4), self.index)
                with contextlib.suppress(OSError):
                    each.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, member)
                with contextlib.suppress(OSError):
                    each.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)

    def close(self) -> None:
        """Leave the groups and give the ports back."""
        self.event.close()
        self.general.close()

    def _open(self, port: int, dscp: int, groups: tuple[str, ...]) -> socket.socket:
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
            for group in groups:
                member = struct.pack("4s4si", socket.inet_aton(group), bytes(4), self.index)
                each.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        except OSError as error:
            each.close()
            raise Refused("interface", self.interface, f"PTP group: {error.strerror}") from error
        except Refused:
            each.close()
            raise
        return each

    def _number_stamps(self) -> None:
        """Ask for stamps numbered from 0; turning the numbers on anew restarts them."""
        with contextlib.suppress(OSError):  # a kernel without: no stamp will come, and be missed
            self.event.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, self._stamping)
            numbered = self._stamping | (OPT_ID if self._stamping & TX_SOFTWARE else 0)
            self.event.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, numbered)
        self._next_id = 0


def interface_index(name: str) -> int:
    """The interface's index; Refused names those there are."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        there = ", ".join(each for _, each in socket.if_nameindex())
        raise Refused("interface", name, f"no such network interface; there are: {there}") from None


def hardware_address(name: str) -> bytes:
    """The interface's MAC address, six bytes (zeros on lo)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking, SIOCGIFHWADDR, struct.pack("256s", name.encode()[:15]))
    return answer[18:24]


def claim(name: str) -> socket.socket | None:
    """An abstract name that nobody else in this network namespace holds; None if somebody does.

    It is held until the returned socket is closed or the process ends.
    """
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        held.bind("\0" + name)
    except OSError:
        held.close()
        return None
    return held


def _no_right(port: int) -> str:
    return (
        f"binding UDP port {port} (PTP) needs CAP_NET_BIND_SERVICE: run as root, give the service "
        "AmbientCapabilities=CAP_NET_BIND_SERVICE, or set "
        "sysctl net.ipv4.ip_unprivileged_port_start=319"
    )


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The software stamp in ns of CLOCK_REALTIME."""
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == SCM_TIMESTAMPING and len(value) >= _STAMPS.size:
            seconds, nanoseconds = _STAMPS.unpack_from(value)[:2]
            if seconds or nanoseconds:
                return int(seconds * 1_000_000_000 + nanoseconds)
    return None


def _numbered(ancillary: list[tuple[int, int, bytes]]) -> tuple[int | None, int | None]:
    """(number, stamp) of a message from the error queue."""
    number = None
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_RECVERR:
            _, origin, _, _, _, _, data = _EXTENDED_ERROR.unpack_from(value)
            if origin == ORIGIN_TIMESTAMPING:
                number = data
    return number, _stamp(ancillary)
