"""What opens a PTP port on the network: a row for each transport of `ptp.profiles`.

The seam for another kind of port: a function that opens a `PortShell` and a row in OPENERS here,
and the port itself, without sockets, in `ptp.ports.KINDS`. The timekeeper knows neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aes67.engine.card_clock import CardClock, open_card
from aes67.engine.ptp_network import Listener, PtpNetwork, Sockets
from aes67.net.ethernet import EthernetSockets
from aes67.net.ptp_udp import PtpSockets
from aes67.net.timestamping import STAMPING_CARD, raw_now
from aes67.ptp.ladder import Ladder
from aes67.ptp.port_types import Outgoing
from aes67.ptp.profiles import Transport
from aes67.wire.gptp import MULTICAST_MAC
from aes67.wire.ptp_header import MULTICAST_IPV4, PortIdentity

GENERAL_DSCP = {46: 34, 48: 46}
"""Of the general messages, by that of the event messages: AES67's and RAVENNA's pairs."""


class PortShell(Protocol):
    """The sockets of one port on the event loop.

    Attributes:
        identity: made of the interface's hardware address; the clock takes that of its first port.
        ladder: which timestamps come.
        listener: who takes packets and stamps; set by the owner.
        send_errors: messages the network did not take.
    """

    identity: PortIdentity
    ladder: Ladder
    listener: Listener | None
    send_errors: int

    @property
    def index(self) -> int:
        """The interface's index: another one is another interface of the same name."""
        ...

    @property
    def system_clock_steps(self) -> int:
        """Steps of CLOCK_REALTIME that were noticed at stamps."""
        ...

    @property
    def card_words(self) -> str:
        """The network card's clock, or why its stamps are not used."""
        ...

    def lend_name(self) -> None:
        """Give up the number that tells engines on one interface apart, for a successor."""
        ...

    def take_name_back(self) -> None:
        """There is no successor."""
        ...

    def send(self, messages: list[Outgoing]) -> None:
        """Send these; never raises."""
        ...

    def listen(self, *, at_once: bool) -> None:
        """Pass packets on as they come, or let them wait for `collect` if that does no harm."""
        ...

    def collect(self) -> None:
        """Pass on what waits, stamps and packets; nothing does while all goes on at once."""
        ...

    def handle_timer(self, now_ns: int) -> None:
        """Give up what has not come in time."""
        ...

    def next_deadline(self) -> int | None:
        """When `handle_timer` wants to be called; None: it does not."""
        ...

    def forget(self) -> None:
        """Nobody waits any more for the stamps of what was sent."""
        ...

    def look_around(self) -> None:
        """See who else listens on this host; called once a second, seldom while all is patient."""
        ...

    def rejoin(self) -> None:
        """Join the groups again: the link was away, and a switch may have forgotten them."""
        ...

    def close(self) -> None:
        """Leave the loop and the network."""
        ...


OpenPort = Callable[[str, int, int, Callable[[], None], str], PortShell]
"""(interface, DSCP of event messages, SOF_TIMESTAMPING_ flags, called after each packet or stamp,
`wanted` of `engine.card_clock.open_card`); raises Refused."""

def open_udp(
    interface: str, dscp: int, stamping: int, after: Callable[[], None], card: str
) -> PtpNetwork:
    """A port over UDP/IPv4: see `PtpSockets`, `open_card` and `PtpNetwork`."""
    general = GENERAL_DSCP.get(dscp, dscp)

    def sockets(flags: int) -> Sockets:
        return PtpSockets(interface, MULTICAST_IPV4, dscp, general, flags)

    clock, why = open_card(interface, card, False, raw_now())
    return _with_card(sockets, stamping, after, clock, why)


def open_ethernet(
    interface: str, dscp: int, stamping: int, after: Callable[[], None], card: str
) -> PtpNetwork:
    """A port on Ethernet, which has no DSCP: see `EthernetSockets`, `open_card`, `PtpNetwork`."""

    def sockets(flags: int) -> Sockets:
        return EthernetSockets(interface, MULTICAST_MAC, flags)

    clock, why = open_card(interface, card, True, raw_now())
    return _with_card(sockets, stamping, after, clock, why)


def _with_card(
    sockets: Callable[[int], Sockets],
    stamping: int,
    after: Callable[[], None],
    clock: CardClock | None,
    why: str,
) -> PtpNetwork:
    """The sockets, asking for stamps of the card too if its clock is known."""
    try:
        opened = sockets(stamping | (STAMPING_CARD if clock else 0))
    except BaseException:
        if clock is not None:
            clock.close()
        raise
    return PtpNetwork(opened, after, clock, why)


OPENERS: dict[Transport, OpenPort] = {
    Transport.UDP_IPV4: open_udp,
    Transport.ETHERNET: open_ethernet,
}
