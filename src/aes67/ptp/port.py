"""One PTP port as a sans-IO object (1588 clause 9.2): messages and stamps in, messages out.

All times are CLOCK_MONOTONIC_RAW. `receive` takes every UDP payload with its receive stamp, `sent`
the transmit stamp of an event message that `outgoing` gave out, `handle_timer` is called at
`next_deadline`. The state follows figure 30; SLAVE is entered when the clock behind says it has
locked (`calibrated`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aes67.clock.timebase import NS, Line
from aes67.ptp.bmca import PortState, Role
from aes67.ptp.decision import Parent, StateDecision
from aes67.ptp.foreign import ForeignMaster, ForeignTable, interval_ns
from aes67.ptp.intake import Intake
from aes67.ptp.master import Master
from aes67.ptp.port_types import Event, Outgoing, PortConfig, Selected
from aes67.ptp.slave import Slave
from aes67.ptp.usual import Usual
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import PortIdentity
from aes67.wire.ptp_messages import Announce, Answer, Message, Timed, pack, path_trace

STEPS_REMOVED_LIMIT = 255
FORGET_NS = 60 * NS
REVIEW_NS = NS // 4


class Port(Intake):
    """State, foreign masters and timers of one port.

    Another kind of port (another transport or delay mechanism) derives from this one; see
    `engine.port_kinds`.

    Args:
        config: what it is.
        random: a number from 0 to 1 at each call; spreads Delay_Req and the announce timeout.
        now_ns: CLOCK_MONOTONIC_RAW.
        clock: the time given to others while master; replaced through `set_clock`.
        decision: the clock's, which all its ports share; None: this port is all there is.
    """

    def __init__(
        self,
        config: PortConfig,
        random: Callable[[], float],
        now_ns: int,
        clock: Line,
        decision: StateDecision | None = None,
    ) -> None:
        super().__init__(config)
        self.state = PortState.LISTENING
        self.selected: ForeignMaster | None = None
        self.table = ForeignTable()
        self.slave = Slave(config, self.table, random)
        self.requests = self.slave.requests
        self.decision = decision or StateDecision(own_parent(config))
        self.master = Master(config, self.decision.own)
        self.state_changes = 0
        self._random = random
        self._clock = clock
        self._calibrated = False
        self._may_pass_on = False
        self._twin_until_ns = now_ns
        self._review_ns = now_ns
        self._outgoing: list[Outgoing] = []
        self._events: list[Event] = []
        self._ready: list[Outgoing] = []
        self._listen_until_ns = now_ns + self._announce_timeout_ns()
        self.listening = config.role is not Role.MASTER_ONLY
        self.usual: Usual | None = Usual(self)
        self.decision.ports.append(self)
        if decision is None:
            self.decision.run(now_ns)

    # -- the five verbs

    def receive(self, data: bytes, source: str, now_ns: int, stamp_ns: int | None) -> None:
        """Take one UDP or Ethernet payload; `stamp_ns` is its receive stamp (None: none came)."""
        if self.usual is not None and self.usual.take(data, source, now_ns, stamp_ns):
            return
        message = self.admit(data, source, now_ns)
        if message is None:
            return
        if message.header.source.clock == self.config.identity.clock:
            self._heard_ourselves(message.header.source, now_ns)
            return
        self._take(message, source, now_ns, stamp_ns)

    def sent(self, token: tuple[int, int], stamp_ns: int | None) -> None:
        """The transmit stamp of an event message (None: none came)."""
        kind, sequence = token
        if kind == h.SYNC:
            follow_up = self.master.follow_up(sequence, stamp_ns, self._clock)
            if follow_up is not None:
                self._send(follow_up)
        elif kind == h.DELAY_REQ:
            self.slave.sent(sequence, stamp_ns)

    def handle_timer(self, now_ns: int) -> None:
        """Do what is due."""
        if self.listening and now_ns >= self._listen_until_ns:
            self.listening = False
        if now_ns >= self._review_ns:
            self.table.forget_older(now_ns - FORGET_NS, self.selected)
            if self._nothing_to_decide(now_ns):
                self._review_ns = now_ns + REVIEW_NS
                self._listen_until_ns = now_ns + self._announce_timeout_ns()
            else:
                self.decision.run(now_ns)
        for message in self.master.due(now_ns, self._clock):
            self._send(message)
        self._outgoing += self.slave.due(now_ns)

    def next_deadline(self) -> int:
        """When `handle_timer` wants to be called at the latest."""
        times = [self._review_ns]
        for time_ns in (
            self.requests.next_ns, self.master.next_announce_ns, self.master.next_sync_ns,
        ):
            if time_ns is not None:
                times.append(time_ns)
        return min(times)

    def outgoing(self) -> list[Outgoing]:
        """Messages to send, in order; each is given out once."""
        messages, self._outgoing = self._outgoing, []
        return messages

    def events(self) -> Sequence[Event]:
        """What happened since the last call."""
        measured = self.slave.events()
        if not self._events:
            return measured
        events, self._events = self._events, []
        return [*measured, *events]

    @property
    def patient(self) -> bool:
        """Whether nobody waits for this port to answer."""
        return self.state is not PortState.MASTER

    def make_ready(self, until_ns: int) -> None:
        """Have a Delay_Req that falls due until then wait for `send_ready`, while `patient`."""
        if not self._ready:
            self._ready = self.slave.due(until_ns)

    def send_ready(self) -> None:
        """Put what waits into `outgoing`."""
        self._outgoing += self._ready
        self._ready = []

    # -- the clock behind

    def set_clock(self, clock: Line, *, usable: bool = True) -> None:
        """The time this port gives out as master; a grandmaster's only while `usable`."""
        self._clock = clock
        self._may_pass_on = usable

    def stamped_by_card(self, by_card: bool) -> None:
        """Whether stamps are taken at the wire: for kinds of port that judge by it."""

    def calibrated(self, locked: bool) -> None:
        """The clock behind has locked to the selected master, or lost it."""
        self._calibrated = locked
        self.requests.settled = locked
        if self.state in (PortState.UNCALIBRATED, PortState.SLAVE):
            self._become(PortState.SLAVE if locked else PortState.UNCALIBRATED)

    # -- the decision

    @property
    def objection(self) -> str:
        """Why nothing that is heard here counts at the moment; empty, but for other kinds."""
        return ""

    @property
    def identity(self) -> PortIdentity:
        """Of this port."""
        return self.config.identity

    @property
    def role(self) -> Role:
        """What it may become."""
        return self.config.role

    def best(self, now_ns: int) -> ForeignMaster | None:
        """Erbest (9.3.2.3); hearing a master is what ends the listening."""
        held = self.selected
        if held is not None and self._timed_out(held, now_ns):
            held = None
        # qualifying asks for two Announces in a window, staying only for one per timeout
        best = self.table.best(now_ns, self.config.identity, held)
        if best is not None:
            self.listening = False
            self._listen_until_ns = now_ns + self._announce_timeout_ns()
        return best

    def enter(
        self, state: PortState, master: ForeignMaster | None, parent: Parent, now_ns: int
    ) -> None:
        """Take the recommended state; `master` is to be followed, `parent` to be announced."""
        self._review_ns = now_ns + REVIEW_NS
        self._select(master)
        if state is PortState.UNCALIBRATED:
            state = PortState.SLAVE if self._calibrated else PortState.UNCALIBRATED
        elif state is PortState.PRE_MASTER:
            ours = parent.grandmaster == self.config.identity.clock
            if now_ns < self._twin_until_ns:
                state = PortState.PASSIVE
            elif ours or self._may_pass_on:
                state = PortState.MASTER
        self._become(state)
        if state is PortState.MASTER:
            self.master.start(now_ns, parent)
            self.requests.stop()
        else:
            self.master.stop()

    # -- messages

    def _take(
        self, message: Message, source: str, now_ns: int, stamp_ns: int | None
    ) -> None:
        """A message of our domain and profile from somebody else."""
        if isinstance(message, Announce):
            self._announced(message, source, now_ns)
        elif isinstance(message, Answer):
            if message.header.message_type == h.DELAY_RESP:
                self.slave.delay_response(message, now_ns)
        elif isinstance(message, Timed):
            self._timed(message, now_ns, stamp_ns)

    def _announced(self, announce: Announce, source: str, now_ns: int) -> None:
        header = announce.header
        own_clock = self.config.identity.clock
        if (
            header.flags & h.ALTERNATE_MASTER
            or announce.steps_removed >= STEPS_REMOVED_LIMIT
            or announce.grandmaster == own_clock
            or own_clock in path_trace(announce)
        ):
            return
        master = self.table.record(header.source, now_ns, self.selected, announce)
        if master is None:
            return
        master.source = source
        master.announced(announce, now_ns)
        self.decision.run(now_ns)

    def _timed(self, message: Timed, now_ns: int, stamp_ns: int | None) -> None:
        header = message.header
        kind = header.message_type
        if kind == h.DELAY_REQ:
            if self.state is PortState.MASTER and stamp_ns is not None:
                answer = self.master.delay_response(message, stamp_ns, self._clock)
                if answer is not None:
                    self._send(answer)
            return
        if header.flags & h.ALTERNATE_MASTER or kind == h.PDELAY_REQ:
            return
        master = self.table.record(header.source, now_ns, self.selected)
        if master is None:
            return
        if kind == h.FOLLOW_UP:
            self.slave.follow_up(master, message, now_ns)
            return
        if self.state is not PortState.MASTER:
            self.requests.start(now_ns)
        self.slave.sync(master, message, now_ns, stamp_ns)

    def _heard_ourselves(self, source: PortIdentity, now_ns: int) -> None:
        """Another port of ours is on the same network: the lower one speaks (9.5.2.3)."""
        if source.port < self.config.identity.port:
            self._twin_until_ns = now_ns + self._announce_timeout_ns()

    def _send(self, message: Message) -> None:
        kind = message.header.message_type
        event = kind in (h.SYNC, h.DELAY_REQ, h.PDELAY_REQ, h.PDELAY_RESP)
        self._outgoing.append(Outgoing(pack(message), event, (kind, message.header.sequence_id)))

    # -- state

    def _nothing_to_decide(self, now_ns: int) -> bool:
        """Whether all there is to choose from is the master we follow, which is still there."""
        held = self.selected
        alone = len(self.table.masters) == len(self.decision.ports) == 1
        return alone and held is not None and not self._timed_out(held, now_ns)

    def _timed_out(self, master: ForeignMaster, now_ns: int) -> bool:
        """Whether a master that is followed has fallen silent."""
        if master.timed_out(now_ns, self.config.announce_receipt_timeout):
            return True
        allowed = self.config.sync_receipt_timeout * master.sync_interval_ns
        return bool(allowed and master.syncs.count and now_ns - master.syncs.last_ns > allowed)

    def _select(self, master: ForeignMaster | None) -> None:
        if master is not self.selected:
            self.selected = master
            self._calibrated = False
            self.requests.settled = False
            self._events.append(Selected(master.identity if master else None))

    def _become(self, state: PortState) -> None:
        if state is not self.state:
            self.state = state
            self.state_changes += 1

    def _announce_timeout_ns(self) -> int:
        """9.2.6.12: so many intervals, and up to one more by chance."""
        interval = interval_ns(self.config.log_announce, 1)
        return round((self.config.announce_receipt_timeout + self._random()) * interval)


def own_parent(config: PortConfig) -> Parent:
    """D0: our own clock as a grandmaster."""
    return Parent(config.priority1, config.quality, config.priority2, config.identity.clock)
