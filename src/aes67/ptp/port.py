"""One PTP port as a sans-IO object (1588 clause 9.2): messages and stamps in, messages out.

All times are CLOCK_MONOTONIC_RAW. `receive` takes every UDP payload with its receive stamp, `sent`
the transmit stamp of an event message that `outgoing` gave out, `handle_timer` is called at
`next_deadline`. The state follows figure 30; SLAVE is entered when the clock behind says it has
locked (`calibrated`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from aes67.clock.measurement import SYNC, Measurement
from aes67.clock.timebase import NS, Line
from aes67.errors import WireError
from aes67.ptp.bmca import PortState, Role, decide, own
from aes67.ptp.bmca import candidate as as_candidate
from aes67.ptp.delay import DelayRequests, Made
from aes67.ptp.foreign import ForeignMaster, ForeignTable, interval_ns
from aes67.ptp.heard import Heard
from aes67.ptp.master import Master, MasterConfig
from aes67.ptp.port_types import Event, Measured, Outgoing, PortConfig, Selected
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header
from aes67.wire.ptp_messages import (
    Announce,
    Answer,
    Message,
    Timed,
    pack,
    parse,
    path_trace,
)

FROM_MASTERS = (h.ANNOUNCE, h.SYNC, h.FOLLOW_UP)
STEPS_REMOVED_LIMIT = 255
FORGET_NS = 60 * NS
ACTIVE_INTERVALS = 4
"""A master without Sync for this many intervals (and 4 s) is asked no more Delay_Req."""


class Port:
    """State, foreign masters and timers of one port.

    Args:
        config: what it is.
        random: a number from 0 to 1 at each call; spreads Delay_Req and the announce timeout.
        now_ns: CLOCK_MONOTONIC_RAW.
        clock: the time given to others while master; replaced through `set_clock`.
    """

    def __init__(
        self, config: PortConfig, random: Callable[[], float], now_ns: int, clock: Line
    ) -> None:
        self.config = config
        self.state = PortState.LISTENING
        self.selected: ForeignMaster | None = None
        self.table = ForeignTable()
        self.heard = Heard()
        self.requests = DelayRequests(random)
        self.master = Master(
            MasterConfig(
                config.identity,
                config.domain,
                config.priority1,
                config.priority2,
                config.quality,
                config.log_announce,
                config.log_sync,
                config.log_delay_request,
            )
        )
        self.received = dict.fromkeys(h.MESSAGE_NAMES, 0)
        self.malformed = 0
        self.last_malformed = ""
        self.other_domain = 0
        self.other_sdo = 0
        self.not_allowed = 0
        self.state_changes = 0
        self._random = random
        self._clock = clock
        self._calibrated = False
        self._review_ns = now_ns
        self._outgoing: list[Outgoing] = []
        self._events: list[Event] = []
        self._own = own(config.priority1, config.quality, config.priority2, config.identity)
        self._listen_until_ns = now_ns + self._announce_timeout_ns()
        self._listening = config.role is not Role.MASTER_ONLY
        self._decide(now_ns)

    # -- the five verbs

    def receive(self, data: bytes, source: str, now_ns: int, stamp_ns: int | None) -> None:
        """Take one UDP payload; `stamp_ns` is its receive stamp (None: none came)."""
        try:
            message = parse(data)
        except WireError as error:
            self.malformed += 1
            self.last_malformed = str(error)
            return
        header = message.header
        if header.source.clock == self.config.identity.clock:
            return
        self.heard.note(message, source, now_ns)
        if header.major_sdo:
            self.other_sdo += 1
            return
        if header.domain != self.config.domain:
            self.other_domain += 1
            return
        if not self.allows(header.source.clock) and header.message_type in FROM_MASTERS:
            self.not_allowed += 1
            return
        self.received[header.message_type] += 1
        if isinstance(message, Announce):
            self._announced(message, source, now_ns)
        elif isinstance(message, Answer):
            if header.message_type == h.DELAY_RESP:
                self._delay_response(message, now_ns)
        elif isinstance(message, Timed):
            self._timed(message, now_ns, stamp_ns)

    def sent(self, token: tuple[int, int], stamp_ns: int | None) -> None:
        """The transmit stamp of an event message (None: none came)."""
        kind, sequence = token
        if kind == h.SYNC:
            follow_up = self.master.follow_up(sequence, stamp_ns, self._clock)
            if follow_up is not None:
                self._send(follow_up)
        elif kind == h.DELAY_REQ:
            self._add_delays(self.requests.stamped(sequence, stamp_ns))

    def handle_timer(self, now_ns: int) -> None:
        """Do what is due."""
        if self._listening and now_ns >= self._listen_until_ns:
            self._listening = False
        if now_ns >= self._review_ns:
            self.table.forget_older(now_ns - FORGET_NS, self.selected)
            self._decide(now_ns)
        for message in self.master.due(now_ns, self._clock):
            self._send(message)
        self._ask(now_ns)

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

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def allows(self, clock: bytes) -> bool:
        """Whether the configuration lets this clock be a master of ours."""
        return not self.config.allowed_masters or clock in self.config.allowed_masters

    # -- the clock behind

    def set_clock(self, clock: Line) -> None:
        """The time this port gives out as master."""
        self._clock = clock

    def calibrated(self, locked: bool) -> None:
        """The clock behind has locked to the selected master, or lost it."""
        self._calibrated = locked
        if self.state in (PortState.UNCALIBRATED, PortState.SLAVE):
            self._enter(PortState.SLAVE if locked else PortState.UNCALIBRATED)

    # -- messages

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
        self._decide(now_ns)

    def _timed(self, message: Timed, now_ns: int, stamp_ns: int | None) -> None:
        header = message.header
        if header.message_type == h.DELAY_REQ:
            if self.state is PortState.MASTER and stamp_ns is not None:
                answer = self.master.delay_response(message, stamp_ns, self._clock)
                if answer is not None:
                    self._send(answer)
            return
        if header.flags & h.ALTERNATE_MASTER or header.message_type == h.PDELAY_REQ:
            return
        master = self.table.record(header.source, now_ns, self.selected)
        if master is None:
            return
        if header.message_type == h.FOLLOW_UP:
            master.follow_ups.take(header.sequence_id, now_ns)
            made = master.followed_up(header.sequence_id, message.time_ns, header.correction)
        else:
            master.syncs.take(header.sequence_id, now_ns)
            master.sync_log = header.log_interval
            if self.state is not PortState.MASTER:
                self.requests.start(now_ns)
            if stamp_ns is None:
                master.unstamped += 1
                return
            made = master.synced(
                header.sequence_id,
                stamp_ns,
                message.time_ns,
                header.correction,
                two_step=header.two_step,
            )
        if made is not None:
            self._add(master, made)

    def _delay_response(self, answer: Answer, now_ns: int) -> None:
        header = answer.header
        master = self.table.find(header.source)
        if master is None or answer.requester != self.config.identity:
            return
        master.delay_responses += 1
        receipt = (answer.time_ns, header.correction)
        self._add_delays(
            self.requests.answer(
                header.source, header.sequence_id, receipt, header.log_interval, now_ns
            )
        )

    def _add_delays(self, made: Made) -> None:
        for identity, measurement in made:
            master = self.table.find(identity)
            if master is not None:
                self._add(master, measurement)

    def _add(self, master: ForeignMaster, made: Measurement) -> None:
        if self.config.asymmetry_ns:
            # 11.6: added to a Sync's correction, subtracted from a Delay_Req's: later both ways
            made = replace(made, master_ns=made.master_ns + self.config.asymmetry_ns)
        stepped = master.estimator.add(made)
        if made.direction == SYNC:
            master.measured_ns = made.raw_ns
        if master.estimator.suspects_step:
            self.requests.hurry()
        self._events.append(Measured(master.identity, made, stepped))

    def _ask(self, now_ns: int) -> None:
        if self.requests.next_ns is None or now_ns < self.requests.next_ns:
            return
        if self.state is PortState.MASTER or not any(
            now_ns - m.syncs.last_ns <= max(4 * NS, ACTIVE_INTERVALS * m.sync_interval_ns)
            for m in self.table.masters.values()
            if m.syncs.count
        ):
            self.requests.stop()
            return
        sequence = self.requests.ask(now_ns)
        header = Header(
            message_type=h.DELAY_REQ,
            source=self.config.identity,
            sequence_id=sequence,
            domain=self.config.domain,
        )
        # 11.3.2: an originTimestamp of 0 is allowed, and says nothing wrong
        self._send(Timed(header, 0))

    def _send(self, message: Message) -> None:
        kind = message.header.message_type
        event = kind in (h.SYNC, h.DELAY_REQ)
        self._outgoing.append(Outgoing(pack(message), event, (kind, message.header.sequence_id)))

    # -- state

    def _decide(self, now_ns: int) -> None:
        """State decision event (9.2.6.9)."""
        config = self.config
        held = self.selected
        if held is not None and held.timed_out(now_ns, config.announce_receipt_timeout):
            held = None
        # qualifying asks for two Announces in a window, staying only for one per timeout
        best = self.table.best(now_ns, config.identity, held)
        if best is not None:
            self._listening = False
            self._listen_until_ns = now_ns + self._announce_timeout_ns()
        offer = None
        if best is not None and best.announce is not None:
            offer = as_candidate(best.announce, config.identity)
        state = decide(config.role, self._own, offer, listening=self._listening)
        if state is PortState.UNCALIBRATED:
            self._select(best)
            self._enter(PortState.SLAVE if self._calibrated else PortState.UNCALIBRATED)
        else:
            self._select(None)
            self._enter(PortState.MASTER if state is PortState.PRE_MASTER else state)
        if self.state is PortState.MASTER:
            self.requests.stop()
            self.master.start(now_ns)
        else:
            self.master.stop()
        self._review_ns = now_ns + NS // 4

    def _select(self, master: ForeignMaster | None) -> None:
        if master is not self.selected:
            self.selected = master
            self._calibrated = False
            self._events.append(Selected(master.identity if master else None))

    def _enter(self, state: PortState) -> None:
        if state is not self.state:
            self.state = state
            self.state_changes += 1

    def _announce_timeout_ns(self) -> int:
        """9.2.6.12: so many intervals, and up to one more by chance."""
        interval = interval_ns(self.config.log_announce, 1)
        return round((self.config.announce_receipt_timeout + self._random()) * interval)
