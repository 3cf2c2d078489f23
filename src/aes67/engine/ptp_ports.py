"""The ports of one clock on the network: opened together, watched, and opened anew one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from aes67.engine.port_kinds import OPENERS, PortShell
from aes67.errors import Refused
from aes67.net.timestamping import interface_index
from aes67.ptp.bmca import PortState
from aes67.ptp.ladder import Rung
from aes67.ptp.ordinary_clock import OrdinaryClock
from aes67.ptp.profiles import Profile
from aes67.wire.ptp_header import PortIdentity

NOBODY = bytes(8)
"""The identity of a clock none of whose interfaces is there yet."""

log = logging.getLogger(__name__)


class _Side:
    """The clock as one of its ports' sockets see it."""

    def __init__(self, clock: OrdinaryClock, number: int) -> None:
        self._clock = clock
        self._number = number

    def receive(self, data: bytes, source: str, now_ns: int, stamp_ns: int | None) -> None:
        """A packet."""
        self._clock.receive(data, source, now_ns, stamp_ns, self._number)

    def sent(self, token: tuple[int, int], stamp_ns: int | None, now_ns: int) -> None:
        """A transmit stamp."""
        self._clock.sent(token, stamp_ns, now_ns, self._number)


class PtpPorts:
    """Port n + 1 of the clock is the n-th of `wanted`.

    Args:
        wanted: interface and profile of each port.
        dscp: of event messages.
        stamping: SOF_TIMESTAMPING_ flags to ask the kernel for.
        after: called after each packet or stamp that went to the clock.
        card: whether to use the network card's stamps: `wanted` of `engine.card_clock.open_card`.
        wait: for interfaces to come, even if none of them is there yet.

    Raises:
        Refused: the first port cannot be opened. A further one is tried again, and so is the first
            where its interface is missing and there is another, or `wait`.
    """

    def __init__(
        self,
        wanted: Sequence[tuple[str, Profile]],
        dscp: int,
        stamping: int,
        after: Callable[[], None],
        card: str = "off",
        wait: bool = False,
    ) -> None:
        self.wanted = tuple(wanted)
        self.troubles = [""] * len(self.wanted)
        self._dscp = dscp
        self._stamping = stamping
        self._after = after
        self._card = card
        self._clock: OrdinaryClock | None = None
        self.clock_identity = NOBODY
        """Of the first port that could be opened."""
        self.shells: list[PortShell | None] = [None] * len(self.wanted)
        refusal, *_ = [self._try_open(number) for number in range(len(self.wanted))]
        may_come = _index(self.wanted[0][0]) is None and (wait or any(self.shells))
        if refusal is not None and not may_come:
            self.close()
            raise refusal

    @property
    def nobody(self) -> bool:
        """Whether no interface was there yet to make an identity of."""
        return self.clock_identity == NOBODY

    def identity(self, number: int) -> PortIdentity:
        """Of port `number` (from 0)."""
        return PortIdentity(self.clock_identity, number + 1)

    @property
    def trouble(self) -> str:
        """Which interfaces are missing, in words; empty: none."""
        return "; ".join(each for each in self.troubles if each)

    @property
    def ways(self) -> tuple[tuple[tuple[str, Profile], ...], int, str]:
        """What makes other sockets necessary: ports, DSCP, use of the card's stamps."""
        return self.wanted, self._dscp, self._card

    def state(self, number: int) -> PortState:
        """Of port `number`: FAULTY without sockets, whatever it would be with them (9.2.5)."""
        if self._clock is None or self.shells[number] is None:
            return PortState.FAULTY
        return self._clock.ports[number].state

    def lend_names(self) -> None:
        """Let the ports that are opened next, instead of these, have the same identity."""
        for shell in self.shells:
            if shell is not None:
                shell.lend_name()

    def take_names_back(self) -> None:
        """None were opened."""
        for shell in self.shells:
            if shell is not None:
                shell.take_name_back()

    def serve(self, clock: OrdinaryClock) -> None:
        """Let `clock` have what comes in from now on; stamps of messages before it are not its."""
        self._clock = clock
        for number, shell in enumerate(self.shells):
            if shell is not None:
                shell.forget()
                shell.listener = _Side(clock, number)

    def listen(self, *, at_once: bool) -> None:
        """Whether packets are passed on as they come, or at `collect`."""
        for shell in self.shells:
            if shell is not None:
                shell.listen(at_once=at_once)

    def collect(self) -> None:
        """Pass on what waits."""
        for shell in self.shells:
            if shell is not None:
                shell.collect()

    def handle_timer(self, now_ns: int) -> None:
        """Give up what has not come in time."""
        for number, shell in enumerate(self.shells):
            if shell is not None:
                shell.handle_timer(now_ns)
                if self._clock is not None:
                    by_card = shell.ladder.rung is Rung.HARDWARE
                    self._clock.ports[number].stamped_by_card(by_card)

    def next_deadline(self) -> int | None:
        """When `handle_timer` wants to be called; None: it does not."""
        wanted = [shell.next_deadline() for shell in self.shells if shell is not None]
        return min((each for each in wanted if each is not None), default=None)

    def send(self, clock: OrdinaryClock) -> None:
        """Send what the clock has to say; a stamp that is there at once makes the next message."""
        more = True
        while more:
            more = False
            for number, shell in enumerate(self.shells):
                messages = clock.outgoing(number)
                if messages and shell is not None:
                    more = True
                    shell.send(messages)

    def check_interfaces(self, *, look_around: bool = True) -> None:
        """Close ports whose interface has gone, open those whose interface is there (again).

        With `look_around` the others look who listens beside them.
        """
        for number, (interface, _) in enumerate(self.wanted):
            shell = self.shells[number]
            index = _index(interface)
            if index is None:
                if shell is not None:
                    log.warning("interface %s is gone", interface)
                    shell.close()
                    self.shells[number] = None
                    self.troubles[number] = f"interface {interface} is gone"
                elif "gone" not in self.troubles[number]:
                    self.troubles[number] = f"there is no interface {interface}"
                continue
            if shell is not None and shell.index == index:
                if look_around:
                    shell.look_around()
                continue
            if shell is not None:
                shell.close()
                self.shells[number] = None
            if self._try_open(number) is None:
                log.info("interface %s is there", interface)

    def link_back(self, name: str) -> None:
        """The link of an interface has come back, or it is another one of the same name."""
        names = [interface for interface, _ in self.wanted]
        if name not in names:
            return
        self.check_interfaces()
        shell = self.shells[names.index(name)]
        if shell is not None:
            shell.rejoin()

    def close(self) -> None:
        """Leave the network."""
        for shell in self.shells:
            if shell is not None:
                shell.close()
        self.shells = [None] * len(self.wanted)

    def stamps(self, number: int) -> dict[str, Any]:
        """What the snapshot says of the timestamps of a port."""
        shell = self.shells[number] if number < len(self.shells) else None
        return {
            "rung": shell.ladder.rung.words if shell else None,
            "receive_missed": shell.ladder.receive_missed if shell else 0,
            "transmit_missed": shell.ladder.transmit_missed if shell else 0,
            "card": shell.card_words if shell else "",
            "card_missed": shell.ladder.card_missed if shell else 0,
            "rung_changes": shell.ladder.changes if shell else 0,
            "system_clock_steps": shell.system_clock_steps if shell else 0,
        }

    @property
    def send_errors(self) -> int:
        """Messages the network did not take, of all ports."""
        return sum(shell.send_errors for shell in self.shells if shell is not None)

    def _try_open(self, number: int) -> Refused | None:
        """Open a port; why that is not possible, if it is not."""
        try:
            shell = self._open(number)
        except Refused as refusal:
            self.troubles[number] = str(refusal)
            if _index(self.wanted[number][0]) is None:
                self.troubles[number] = f"there is no interface {self.wanted[number][0]}"
            return refusal
        if self.nobody:
            self.clock_identity = shell.identity.clock
        if self._clock is not None:
            shell.listener = _Side(self._clock, number)
        self.shells[number] = shell
        self.troubles[number] = ""
        return None

    def _open(self, number: int) -> PortShell:
        interface, profile = self.wanted[number]
        opener = OPENERS.get(profile.transport)
        if opener is None:
            raise Refused("profile", profile.name, f"{profile.transport.value} is not available")
        return opener(interface, self._dscp, self._stamping, self._after, self._card)


def _index(interface: str) -> int | None:
    """Of an interface; None: there is none of this name."""
    try:
        return interface_index(interface)
    except Refused:
        return None
