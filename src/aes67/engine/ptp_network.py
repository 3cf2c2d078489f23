"""One PTP port's sockets on the event loop: packets with their stamps in, messages out.

Between `net.ptp_udp` or `net.ethernet` (which know sockets, not the loop) and the timekeeper (which
knows the clock, not the stamps): matches transmit stamps with messages, climbs up and down the
ladder.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Protocol

from aes67.clock.timebase import MS
from aes67.net.ethernet import EthernetSockets
from aes67.net.ptp_udp import PtpSockets
from aes67.net.timestamping import CrossClock, Received, Sent, StampedSocket, claim, raw_now
from aes67.ptp.ladder import Ladder, Rung
from aes67.ptp.port_types import Outgoing
from aes67.wire.gptp import MULTICAST_MAC
from aes67.wire.ptp_header import MULTICAST_IPV4, PortIdentity

GENERAL_DSCP = {46: 34, 48: 46}
"""Of the general messages, by that of the event messages: AES67's and RAVENNA's pairs."""
STAMP_TIMEOUT_NS = 20 * MS
MAX_STACKS = 16

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who takes packets and transmit stamps: a `ptp.ordinary_clock.OrdinaryClock`."""

    def receive(self, data: bytes, source: str, now_ns: int, stamp_ns: int | None) -> None: ...
    def sent(self, token: tuple[int, int], stamp_ns: int | None, now_ns: int) -> None: ...


class Sockets(Protocol):
    """The sockets of one port: `net.ptp_udp` or `net.ethernet`."""

    interface: str
    index: int
    hardware_address: bytes
    clock: CrossClock
    event: StampedSocket

    @property
    def general(self) -> StampedSocket | None:
        """Of the messages without a stamp, if that is another one."""
        ...

    def send(self, data: bytes, *, event: bool) -> Sent:
        """OSError as the network says."""
        ...

    def rejoin(self) -> None:
        """Join the group again."""
        ...

    def close(self) -> None:
        """Leave the network."""
        ...


def open_udp(
    interface: str, dscp: int, stamping: int, after: Callable[[], None]
) -> PtpNetwork:
    """A port over UDP/IPv4: see `PtpSockets` and `PtpNetwork`."""
    general = GENERAL_DSCP.get(dscp, dscp)
    return PtpNetwork(PtpSockets(interface, MULTICAST_IPV4, dscp, general, stamping), after)


def open_ethernet(
    interface: str, dscp: int, stamping: int, after: Callable[[], None]
) -> PtpNetwork:
    """A port on Ethernet, which has no DSCP: see `EthernetSockets` and `PtpNetwork`."""
    return PtpNetwork(EthernetSockets(interface, MULTICAST_MAC, stamping), after)


class PtpNetwork:
    """Open sockets and what waits on them.

    Args:
        sockets: of the port, which it takes over.
        after: called after each packet or stamp that went to the listener.
    """

    def __init__(self, sockets: Sockets, after: Callable[[], None]) -> None:
        self.sockets = sockets
        self.ladder = Ladder()
        self.listener: Listener | None = None
        self.send_errors = 0
        self._after = after
        self._name: socket.socket | None = None
        self._waiting: dict[int, tuple[tuple[int, int], int]] = {}
        number = 0
        for number in range(MAX_STACKS):
            self._name = claim(f"aes67-ptp-{self.sockets.index}-{number}")
            if self._name is not None:
                break
        self.identity = PortIdentity(clock_identity(self.sockets.hardware_address, number), 1)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sockets.event.socket.fileno(), self._event_readable)
        if sockets.general is not None:
            self._loop.add_reader(sockets.general.socket.fileno(), self._general_readable)

    @property
    def index(self) -> int:
        """The interface's index."""
        return self.sockets.index

    @property
    def system_clock_steps(self) -> int:
        """Steps of CLOCK_REALTIME that were noticed at stamps."""
        return self.sockets.clock.steps

    def send(self, messages: list[Outgoing]) -> None:
        """Send these; a failure is counted, the first one logged."""
        for message in messages:
            try:
                self._send(message)
            except OSError as error:
                self._waiting.clear()  # the numbers of stamps start anew after a failure
                self.send_errors += 1
                if self.send_errors == 1:
                    log.warning("PTP on %s: %s", self.sockets.interface, error)

    def handle_timer(self, now_ns: int) -> None:
        """Give up the stamps that have not come in time."""
        for number, (token, until_ns) in list(self._waiting.items()):
            if now_ns >= until_ns:
                del self._waiting[number]
                self.ladder.transmitted(False, now_ns)
                if self.ladder.rung is Rung.KERNEL and self.listener is not None:
                    self.listener.sent(token, None, now_ns)

    def next_deadline(self) -> int | None:
        """When the oldest stamp is given up; None: none is waited for."""
        return min((until_ns for _, until_ns in self._waiting.values()), default=None)

    def rejoin(self) -> None:
        """Join the groups again."""
        self.sockets.rejoin()

    def close(self) -> None:
        """Leave the loop and the groups."""
        self._loop.remove_reader(self.sockets.event.socket.fileno())
        if self.sockets.general is not None:
            self._loop.remove_reader(self.sockets.general.socket.fileno())
        self.sockets.close()
        if self._name is not None:
            self._name.close()

    def _event_readable(self) -> None:
        """A packet on port 319 or in a frame, or a transmit stamp in the error queue."""
        packet = self.sockets.event.receive()
        if packet is None or self._waiting:
            self._take_transmit_stamps()
        if packet is not None:
            self._pass_on(packet, self._receive_stamp(packet))
        self._after()

    def _general_readable(self) -> None:
        """A packet on port 320."""
        general = self.sockets.general
        packet = general.receive() if general is not None else None
        if packet is not None:
            self._pass_on(packet, None)
            self._after()

    def _pass_on(self, packet: Received, stamp_ns: int | None) -> None:
        if self.listener is not None:
            self.listener.receive(packet.data, packet.source, packet.read_ns, stamp_ns)

    def _receive_stamp(self, packet: Received) -> int | None:
        if not packet.dropped:
            self.ladder.received(packet.stamp_ns is not None, packet.read_ns)
        if self.ladder.rung is Rung.USERSPACE:
            return packet.read_ns
        return packet.stamp_ns

    def _take_transmit_stamps(self) -> None:
        for departed in self.sockets.event.transmit_stamps():
            waiting = self._waiting.pop(departed.id, None)
            if waiting is None:
                continue  # given up already, or of a message whose stamp is of no interest
            now_ns = raw_now()
            self.ladder.transmitted(True, now_ns)
            if self.ladder.rung is Rung.KERNEL and self.listener:
                self.listener.sent(waiting[0], departed.stamp_ns, now_ns)

    def _send(self, message: Outgoing) -> None:
        sent = self.sockets.send(message.data, event=message.event)
        if not message.event:
            return
        self._waiting[sent.id] = (message.token, sent.after_ns + STAMP_TIMEOUT_NS)
        if self.ladder.rung is not Rung.KERNEL and self.listener is not None:
            middle = (sent.before_ns + sent.after_ns) // 2
            self.listener.sent(message.token, middle, sent.after_ns)
        # on lo and veth the stamp is there already, elsewhere within some tens of microseconds
        self._take_transmit_stamps()


def clock_identity(hardware_address: bytes, number: int) -> bytes:
    """An EUI-64 of our own on an interface: ptp4l on the same one has the FF-FE form of its MAC.

    The locally administered bit is set, so the two bytes in the middle are ours to choose;
    `number` tells several engines on one interface apart.
    """
    first = hardware_address[0] | 0x02
    middle = bytes((0xAE, 0x67 + number))
    return bytes((first,)) + hardware_address[1:3] + middle + hardware_address[3:6]
