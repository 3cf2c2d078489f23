"""One PTP port's sockets on the event loop: packets with their stamps in, messages out.

Between `net.ptp_udp` or `net.ethernet` (which know sockets, not the loop) and the timekeeper (which
knows the clock, not the stamps): reads and sends, climbs up and down the ladder.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Protocol

from aes67.clock.timebase import NS
from aes67.engine.card_clock import CardClock
from aes67.engine.departures import Departures
from aes67.net.own_packets import drop_own
from aes67.net.timestamping import (
    CrossClock,
    Received,
    Sent,
    StampedSocket,
    claim,
    raw_now,
)
from aes67.ptp.ladder import Ladder, Rung
from aes67.ptp.port_types import Outgoing
from aes67.wire.ptp_header import PortIdentity

MAX_STACKS = 16
CROWD = 64
"""So many packets at one `collect` are too many to let them wait."""
CROWD_NS = 10 * NS
GENERAL = 0x8
"""Lowest messageType of the general messages, which no card stamps."""

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

    def look_around(self) -> None:
        """See who listens on this host."""
        ...

    def rejoin(self) -> None:
        """Join the group again."""
        ...

    def close(self) -> None:
        """Leave the network."""
        ...


class PtpNetwork:
    """Open sockets and what waits on them.

    Args:
        sockets: of the port, which it takes over.
        after: called after each packet or stamp that went to the listener.
        card: the network card's clock if the sockets ask for its stamps; taken over too.
        why_not: in words, why there is no `card`.
    """

    def __init__(
        self,
        sockets: Sockets,
        after: Callable[[], None],
        card: CardClock | None = None,
        why_not: str = "",
    ) -> None:
        self.sockets = sockets
        self.ladder = Ladder()
        self.listener: Listener | None = None
        self.send_errors = 0
        self._card = card
        self._why_not = why_not
        self._after = after
        self._name: socket.socket | None = None
        self._departures = Departures(sockets.event, self.ladder, self._card_stamp, self._tell)
        number = 0
        for number in range(MAX_STACKS):
            self._name_text = f"aes67-ptp-{self.sockets.index}-{number}"
            self._name = claim(self._name_text)
            if self._name is not None:
                break
        self.identity = PortIdentity(clock_identity(self.sockets.hardware_address, number), 1)
        if sockets.general is not None:  # frames of our own do not come back
            for each in (sockets.event, sockets.general):
                drop_own(each.socket, self.identity.clock, self.identity.port)
        self._loop = asyncio.get_running_loop()
        self._at_once = False
        self._crowded_until_ns = 0
        self.listen(at_once=True)

    @property
    def index(self) -> int:
        """The interface's index."""
        return self.sockets.index

    @property
    def system_clock_steps(self) -> int:
        """Steps of CLOCK_REALTIME that were noticed at stamps."""
        return self.sockets.clock.steps

    @property
    def card_words(self) -> str:
        """The card's clock and how it is read, or why its stamps are not used."""
        return self._why_not if self._card is None else self._card.words

    def send(self, messages: list[Outgoing]) -> None:
        """Send these; a failure is counted, the first one logged."""
        for message in messages:
            try:
                self._send(message)
            except OSError as error:
                self.forget()  # the numbers of stamps start anew after a failure
                self.send_errors += 1
                if self.send_errors == 1:
                    log.warning("PTP on %s: %s", self.sockets.interface, error)

    def listen(self, *, at_once: bool) -> None:
        """Pass packets on as they come, or let them wait for `collect`.

        They wait only where the kernel stamps them, and not in a crowd that would fill the socket.
        """
        if not at_once:
            crowded = self._crowded_until_ns and raw_now() < self._crowded_until_ns
            at_once = bool(crowded) or self.ladder.rung is Rung.USERSPACE
        if at_once is self._at_once:
            return
        self._at_once = at_once
        readers = [(self.sockets.event, self._event_readable)]
        if self.sockets.general is not None:
            readers.append((self.sockets.general, self._general_readable))
        for each, readable in readers:
            if at_once:
                self._loop.add_reader(each.socket.fileno(), readable)
            else:
                self._loop.remove_reader(each.socket.fileno())

    def collect(self) -> None:
        """Pass on what waits, stamps and packets; nothing does while all goes on at once."""
        if self._at_once:
            return
        # what waits came before this reading: if REALTIME was stepped, none of it can be converted
        steady = self.sockets.clock.renew()
        self._departures.take(steady=steady)
        for each in (self.sockets.event, self.sockets.general):
            for _ in range(CROWD if each is not None else 0):
                packet = each.receive(steady=steady) if each is not None else None
                if packet is None:
                    break
                event = each is self.sockets.event
                self._pass_on(packet, self._receive_stamp(packet) if event else None)
            else:
                if each is not None:
                    self._crowded_until_ns = raw_now() + CROWD_NS

    def handle_timer(self, now_ns: int) -> None:
        """Read the card's clock; give up the stamps that have not come in time."""
        if self._card is not None:
            self._card.read(now_ns)
            self.ladder.use_card(self._card.usable(now_ns))
        self._departures.handle_timer(now_ns)

    def next_deadline(self) -> int | None:
        """When the oldest stamp is given up or the card's clock to be read; None: neither."""
        # the stamps of what is sent meanwhile wait for `collect`, as packets do
        times = self._departures.deadlines() if self._at_once else []
        if self._card is not None:
            times.append(self._card.next_ns)
        return min(times, default=None)

    def forget(self) -> None:
        """Nobody waits any more for the stamps of what was sent."""
        self._departures.forget()

    def lend_name(self) -> None:
        """Let who comes in our place be the same clock on this interface."""
        if self._name is not None:
            self._name.close()
            self._name = None

    def take_name_back(self) -> None:
        """Nobody came."""
        if self._name is None:
            self._name = claim(self._name_text)

    def look_around(self) -> None:
        """See who listens on this host."""
        self.sockets.look_around()

    def rejoin(self) -> None:
        """Join the groups again, as the link has come back."""
        self.sockets.rejoin()
        self.ladder.link_back()

    def close(self) -> None:
        """Leave the loop and the groups."""
        self._loop.remove_reader(self.sockets.event.socket.fileno())
        if self.sockets.general is not None:
            self._loop.remove_reader(self.sockets.general.socket.fileno())
        self.sockets.close()
        if self._card is not None:
            self._card.close()
        if self._name is not None:
            self._name.close()

    def _event_readable(self) -> None:
        """A packet on port 319 or in a frame, or a transmit stamp in the error queue."""
        packet = self.sockets.event.receive()
        if packet is None or self._departures.waiting:
            self._departures.take(every=packet is None)
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
        if packet.data[:1] and packet.data[0] & 0x0F >= GENERAL:
            return None
        now_ns = packet.read_ns
        card_ns = self._card_stamp(packet.hardware_ns, now_ns)
        if not packet.dropped:
            expected = card_ns is not None if self.ladder.card else None
            self.ladder.received(packet.stamp_ns is not None, now_ns, expected)
        if self.ladder.rung is Rung.HARDWARE:
            return card_ns
        return now_ns if self.ladder.rung is Rung.USERSPACE else packet.stamp_ns

    def _card_stamp(self, stamp_ns: int | None, now_ns: int) -> int | None:
        if self._card is None or stamp_ns is None or not self.ladder.card:
            return None
        return self._card.to_raw(stamp_ns, now_ns)

    def _tell(self, token: tuple[int, int], stamp_ns: int | None, now_ns: int) -> None:
        if self.listener is not None:
            self.listener.sent(token, stamp_ns, now_ns)

    def _send(self, message: Outgoing) -> None:
        if not message.event:
            self.sockets.send(message.data, event=False)
            return
        # the kernel wakes whoever watches for a stamp before it passes the message on: that made
        # each 3 us slower than a peer's, half of it an error of time
        watched = self._at_once
        event = self.sockets.event.socket.fileno()
        if watched:
            self._loop.remove_reader(event)
        try:
            self._send_event(message)
        finally:
            if watched:
                self._loop.add_reader(event, self._event_readable)

    def _send_event(self, message: Outgoing) -> None:
        sent = self.sockets.send(message.data, event=True)
        self._departures.add(sent, message.token)
        if self._at_once:
            # on lo and veth the stamp is there already, elsewhere within tens of microseconds
            self._departures.take()


def clock_identity(hardware_address: bytes, number: int) -> bytes:
    """An EUI-64 of our own on an interface: ptp4l on the same one has the FF-FE form of its MAC.

    The locally administered bit is set, so the two bytes in the middle are ours to choose;
    `number` tells several engines on one interface apart.
    """
    first = hardware_address[0] | 0x02
    middle = bytes((0xAE, 0x67 + number))
    return bytes((first,)) + hardware_address[1:3] + middle + hardware_address[3:6]
