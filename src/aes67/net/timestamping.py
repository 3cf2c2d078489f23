"""Sockets whose packets the kernel or the network card stamps, and readings to convert the stamps.

A card's stamps are in the time of its own clock (PHC), which is not ours to convert. The kernel's
are CLOCK_REALTIME and jump whenever somebody sets that clock. So each is converted to
CLOCK_MONOTONIC_RAW at once, with a cross-reading of both clocks (best of three), and stamps that
straddle a step are dropped. Nothing here ever sets a clock.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import Any, NamedTuple

from aes67.errors import Refused
from aes67.net.ifreq import SIOCGIFHWADDR, ask_address

SO_TIMESTAMPING = 37
SCM_TIMESTAMPING = 37
IP_RECVERR = 11
SOL_PACKET = 263
PACKET_TX_TIMESTAMP = 16
TX_HARDWARE = 1 << 0
TX_SOFTWARE = 1 << 1
RX_HARDWARE = 1 << 2
RX_SOFTWARE = 1 << 3
SOFTWARE = 1 << 4
RAW_HARDWARE = 1 << 6
OPT_ID = 1 << 7
OPT_CMSG = 1 << 10
OPT_TSONLY = 1 << 11
OPT_TX_SWHW = 1 << 14
STAMPING = TX_SOFTWARE | RX_SOFTWARE | SOFTWARE | OPT_CMSG | OPT_TSONLY
STAMPING_CARD = TX_HARDWARE | RX_HARDWARE | RAW_HARDWARE | OPT_TX_SWHW
"""Besides STAMPING: the card's stamps as well as the kernel's, so that falling back is free."""
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
APART_NS = 10_000_000
"""Readings further apart than this show the rate of REALTIME against RAW."""

_AT_ONCE = int(socket.MSG_DONTWAIT)
_FROM_ERROR_QUEUE = int(socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
"""As plain numbers: putting two of Python's flags together takes as long as the call itself."""
_STAMPS = struct.Struct("qqqqqq")
_EXTENDED_ERROR = struct.Struct("IBBBBII")
_ERRORS = ((socket.IPPROTO_IP, IP_RECVERR), (SOL_PACKET, PACKET_TX_TIMESTAMP))
NS = 1_000_000_000


class CrossClock:
    """Converts CLOCK_REALTIME to CLOCK_MONOTONIC_RAW and notices when REALTIME is stepped."""

    def __init__(self) -> None:
        self.steps = 0
        self._raw_ns, self._ahead_ns = self._measure()
        self._older_raw_ns, self._older_ahead_ns = self._raw_ns, self._ahead_ns

    def read(self) -> tuple[int, int]:
        """(RAW, REALTIME) of the same instant, within about 0.1 us."""
        raw_ns, ahead_ns = self._measure()
        return raw_ns, raw_ns + ahead_ns

    def renew(self) -> bool:
        """Read the clocks again for `to_raw`; False when REALTIME was stepped since the last."""
        raw_ns, ahead_ns = self._measure()
        allowed = STEP_FLOOR_NS + STEP_SLEW * (raw_ns - self._raw_ns)
        steady = abs(ahead_ns - self._ahead_ns) <= allowed
        if not steady:
            self.steps += 1
            self._older_raw_ns, self._older_ahead_ns = raw_ns, ahead_ns
        elif raw_ns - self._raw_ns >= APART_NS:
            self._older_raw_ns, self._older_ahead_ns = self._raw_ns, self._ahead_ns
        self._raw_ns, self._ahead_ns = raw_ns, ahead_ns
        return steady

    def to_raw(self, real_ns: int) -> int | None:
        """CLOCK_MONOTONIC_RAW of a stamp taken less than 1 s before `renew`; None if it was not."""
        raw_ns = real_ns - self._ahead_ns
        age = self._raw_ns - raw_ns
        if not -STEP_FLOOR_NS <= age <= STAMP_AGE_NS:
            return None
        # a packet may have waited a while, and REALTIME that NTP disciplines runs at another rate
        between = self._raw_ns - self._older_raw_ns
        if age <= 0 or between < APART_NS:
            return raw_ns
        return raw_ns + (self._ahead_ns - self._older_ahead_ns) * min(age, between) // between

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


class Received(NamedTuple):
    """A packet; `stamp_ns` is CLOCK_MONOTONIC_RAW of the kernel's stamp, None without one.

    `dropped` says that there was a stamp which a step of REALTIME made worthless; `hardware_ns` is
    the card's stamp in the time of its clock, None without one.
    """

    data: bytes
    source: str
    stamp_ns: int | None
    read_ns: int
    dropped: bool = False
    hardware_ns: int | None = None


class Sent(NamedTuple):
    """An event message on its way: the kernel will stamp it as number `id`."""

    id: int
    before_ns: int
    after_ns: int


class Departed(NamedTuple):
    """A stamp of message `id`: the card's, or the kernel's in CLOCK_MONOTONIC_RAW.

    With neither it was the kernel's and a step of REALTIME made it worthless.
    """

    id: int
    stamp_ns: int | None
    hardware_ns: int | None = None


class StampedSocket:
    """A non-blocking datagram socket with stamps.

    Args:
        each: the socket, which it takes over.
        stamping: SOF_TIMESTAMPING_ flags; 0: none are wanted.
        clock: converts stamps; one for all sockets of a port, so that a step is counted once.
    """

    def __init__(self, each: socket.socket, stamping: int, clock: CrossClock) -> None:
        self.socket = each
        self._stamping = stamping
        self._clock = clock
        self._next_id = 0
        if stamping:
            self._number_stamps()

    def send(self, data: bytes, address: Any) -> Sent:
        """Send; OSError as the network says."""
        before = raw_now()
        try:
            self.socket.sendto(data, address)
        except OSError:
            if self._stamping:
                self._number_stamps()  # whether the failed one was counted nobody can tell
            raise
        sent = Sent(self._next_id, before, raw_now())
        self._next_id = (self._next_id + 1) & 0xFFFFFFFF
        return sent

    def transmit_stamps(
        self, at_most: int = BATCH, *, steady: bool | None = None
    ) -> list[Departed]:
        """Stamps of messages that have left; with a card's clock a message may have two.

        `steady` is what `CrossClock.renew` has just said; None: it is asked for each stamp.
        """
        found: list[Departed] = []
        for _ in range(BATCH):
            if len(found) >= at_most:
                break
            try:
                _, ancillary, _, _ = self.socket.recvmsg(
                    0, ANCILLARY_BYTES, _FROM_ERROR_QUEUE
                )
            except OSError:
                break  # empty; or an ICMP error of an earlier packet, which only the queue had
            number = _number(ancillary)
            real_ns, hardware_ns = _stamps(ancillary)
            if number is None:
                continue
            if real_ns is not None:
                known = self._clock.renew() if steady is None else steady
                found.append(Departed(number, self._clock.to_raw(real_ns) if known else None))
            if hardware_ns is not None:
                found.append(Departed(number, None, hardware_ns))
        return found

    def receive(self, *, steady: bool | None = None) -> Received | None:
        """The next packet waiting; None without one. `steady`: see `transmit_stamps`."""
        try:
            data, ancillary, _, address = self.socket.recvmsg(
                PACKET_BYTES, ANCILLARY_BYTES, _AT_ONCE
            )
        except OSError:
            return None
        real_ns, hardware_ns = _stamps(ancillary)
        stamp_ns, dropped = None, False
        if real_ns is not None:
            known = self._clock.renew() if steady is None else steady
            stamp_ns = self._clock.to_raw(real_ns) if known else None
            dropped = stamp_ns is None
        return Received(data, _source(address), stamp_ns, raw_now(), dropped, hardware_ns)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def _number_stamps(self) -> None:
        """Ask for stamps numbered from 0; turning the numbers on anew restarts them."""
        with contextlib.suppress(OSError):  # a kernel without: no stamp will come, and be missed
            self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, self._stamping)
            numbered = self._stamping | (OPT_ID if self._stamping & TX_SOFTWARE else 0)
            self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, numbered)
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
    return ask_address(name, SIOCGIFHWADDR)[:6]


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


def _source(address: Any) -> str:
    """Whoever sent it: an IPv4 address, or the MAC address of AF_PACKET."""
    first = address[0]
    return str(first) if len(address) < 5 else bytes(address[4]).hex(":")


def _stamps(ancillary: list[tuple[int, int, bytes]]) -> tuple[int | None, int | None]:
    """The kernel's stamp in ns of CLOCK_REALTIME and the card's in ns of its clock."""
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == SCM_TIMESTAMPING and len(value) >= _STAMPS.size:
            parts = _STAMPS.unpack_from(value)
            software, hardware = parts[0] * NS + parts[1], parts[4] * NS + parts[5]
            return software or None, hardware or None
    return None, None


def _number(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The number of a message from the error queue; None: it is about something else."""
    for level, kind, value in ancillary:
        if (level, kind) in _ERRORS and len(value) >= _EXTENDED_ERROR.size:
            _, origin, _, _, _, _, data = _EXTENDED_ERROR.unpack_from(value)
            if origin == ORIGIN_TIMESTAMPING:
                return int(data)
    return None
