"""An 802.1AS port: a 1588 port that knows its neighbour and speaks to no one else.

Where `ptp.port` asks the master for the way back, this one measures the link to its neighbour; the
path beyond is in the correctionField, which 802.1AS bridges fill. Sync, Follow_Up and Announce are
sent and believed only while the neighbour is asCapable. One Announce makes a master (10.3.10: there
is no qualifying), silence of Announce or Sync ends it.
"""

from __future__ import annotations

from collections.abc import Callable

from aes67.clock.measurement import SCALED_BITS, Measurement, direct
from aes67.clock.timebase import NS, Line
from aes67.errors import WireError
from aes67.ptp import gptp_bmca
from aes67.ptp.bmca import PortState, Role
from aes67.ptp.decision import Parent, StateDecision
from aes67.ptp.foreign import ForeignMaster, ForeignTable
from aes67.ptp.gptp_master import GptpMaster, PeerResponder
from aes67.ptp.gptp_peer_delay import LIMIT_HARDWARE_NS, LIMIT_SOFTWARE_NS, PeerDelay
from aes67.ptp.port import Port
from aes67.ptp.port_types import Outgoing, PortConfig
from aes67.ptp.slave import Slave
from aes67.wire import gptp
from aes67.wire import ptp_header as h
from aes67.wire.gptp import FollowUpInformation
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Answer, Message, Other, Timed, pack, signaling

SYNC_TIMEOUT_AT_LEAST_NS = NS
"""Three Sync intervals are 375 ms, and a busy host may read a packet 200 ms late."""
PEER_INTERVALS = (-3, 5)


class GptpSlave(Slave):
    """What Sync and Follow_Up measure when the path is known from the neighbour."""

    def __init__(
        self,
        config: PortConfig,
        table: ForeignTable,
        random: Callable[[], float],
        peer: PeerDelay,
    ) -> None:
        super().__init__(config, table, random)
        self.information: dict[PortIdentity, FollowUpInformation] = {}
        """What the Follow_Up of each master in the table said last."""
        self._peer = peer

    def due(self, now_ns: int) -> list[Outgoing]:
        """No Delay_Req in this profile."""
        self.requests.stop()
        return []

    def follow_up(self, master: ForeignMaster, message: Timed, now_ns: int) -> None:
        """A Follow_Up with its information; WireError if that is broken."""
        information = gptp.parse_information(message.tlvs)
        if information is not None:
            self.information[master.identity] = information
            for gone in self.information.keys() - self._table.masters.keys():
                del self.information[gone]
        super().follow_up(master, message, now_ns)

    def _add(self, master: ForeignMaster, made: Measurement | None) -> None:
        """Add the link's delay, which is in the neighbour's time: the rate makes no picosecond."""
        delay_ns = self._peer.delay_ns
        if made is None or delay_ns is None:
            return
        scaled = round((made.fraction + delay_ns) * (1 << SCALED_BITS))
        master.estimator.path_ns = (delay_ns, self._peer.delay_sigma_ns)
        super()._add(master, direct(made.raw_ns, made.master_ns, scaled))


class GptpPort(Port):
    """See `Port`."""

    patient = False
    """Neighbours wait for the answers to their Pdelay_Req."""

    def __init__(
        self,
        config: PortConfig,
        random: Callable[[], float],
        now_ns: int,
        clock: Line,
        decision: StateDecision | None = None,
    ) -> None:
        limit_ns = config.link_delay_limit_ns or LIMIT_SOFTWARE_NS
        self.peer = PeerDelay(config.identity, config.log_delay_request, limit_ns)
        self.responder = PeerResponder(config.identity)
        super().__init__(config, random, now_ns, clock, decision)
        self.usual = None  # nearly each of its messages has a TLV, or counts only while asCapable
        self.gptp_slave = GptpSlave(config, self.table, random, self.peer)
        self.slave = self.gptp_slave
        self.requests = self.slave.requests
        self.gptp_master = GptpMaster(config, self.decision.own)
        self.master = self.gptp_master
        self._was_capable = False
        self.peer.start(now_ns)

    @property
    def objection(self) -> str:
        """Why this port neither sends nor believes anything: its neighbour; empty: it does."""
        return self.peer.objection

    @property
    def gm_rate_ppm(self) -> float | None:
        """Rate of the grandmaster against ours by the ratios of 802.1AS (10.2.8.1.4).

        The estimator finds its own; this is the neighbour's ratio times what the master's
        Follow_Up says of the rest. None while either is unknown.
        """
        master = self.selected
        rate = self.peer.rate_ppm
        if master is None or rate is None:
            return None
        information = self.gptp_slave.information.get(master.identity)
        if information is None:
            return None
        cumulative = information.rate_offset / (1 << gptp.SCALED_RATE_BITS)
        return ((1.0 + cumulative) * (1.0 + rate * 1e-6) - 1.0) * 1e6

    # -- verbs

    def sent(self, token: tuple[int, int], stamp_ns: int | None) -> None:
        """The transmit stamp of an event message (None: none came)."""
        kind, number = token
        if kind == h.PDELAY_REQ:
            self.peer.stamped(number, stamp_ns)
        elif kind == h.PDELAY_RESP:
            follow_up = self.responder.left(number, stamp_ns)
            if follow_up is not None:
                self._send(follow_up)
        else:
            super().sent(token, stamp_ns)

    def handle_timer(self, now_ns: int) -> None:
        """Do what is due."""
        sequence = self.peer.due(now_ns)
        if sequence is not None:
            self._send(Timed(self._peer_request(sequence), 0))
        self._review_capable(now_ns)
        super().handle_timer(now_ns)

    def next_deadline(self) -> int:
        """When `handle_timer` wants to be called at the latest."""
        deadline = super().next_deadline()
        return deadline if self.peer.next_ns is None else min(deadline, self.peer.next_ns)

    def set_clock(self, clock: Line, *, usable: bool = True) -> None:
        """The time this port gives out as master; a grandmaster's only while `usable`."""
        self.gptp_master.moved(self._clock, clock)
        super().set_clock(clock, usable=usable)

    def stamped_by_card(self, by_card: bool) -> None:
        """Stamps taken at the wire hold the link and nothing else: the standard's limit applies."""
        self.peer.limit_ns = self.config.link_delay_limit_ns or (
            LIMIT_HARDWARE_NS if by_card else LIMIT_SOFTWARE_NS
        )

    # -- the decision

    def best(self, now_ns: int) -> ForeignMaster | None:
        """The master with the best priority vector that is heard; None without asCapable."""
        if not self.peer.as_capable:
            return None
        heard = [m for m in self.table.masters.values() if not self._announce_old(m, now_ns)]
        found = gptp_bmca.best(
            [m for m in heard if not self._sync_old(m, now_ns)], self.identity.port
        )
        if found is None and self.role is Role.SLAVE_ONLY:
            # nobody else will be heard either, and the reason shall say that it is the Syncs
            found = gptp_bmca.best(heard, self.identity.port)
        if found is not None:
            self.listening = False
            self._listen_until_ns = now_ns + self._announce_timeout_ns()
        return found

    def enter(
        self, state: PortState, master: ForeignMaster | None, parent: Parent, now_ns: int
    ) -> None:
        """Take the recommended state, but LISTENING while the neighbour is not asCapable."""
        if not self.peer.as_capable:
            state, master = PortState.LISTENING, None
        super().enter(state, master, parent, now_ns)

    # -- messages

    def _take(self, message: Message, source: str, now_ns: int, stamp_ns: int | None) -> None:
        kind = message.header.message_type
        try:
            if isinstance(message, Timed) and kind == h.PDELAY_REQ:
                self._peer_request_received(message, stamp_ns)
            elif isinstance(message, Answer) and kind != h.DELAY_RESP:
                self._peer_answer(message, now_ns, stamp_ns)
            elif isinstance(message, Other):
                self._signaling(message)
            elif self.peer.as_capable and kind not in (h.DELAY_REQ, h.DELAY_RESP):
                super()._take(message, source, now_ns, stamp_ns)
        except WireError as error:
            self.malformed += 1
            self.last_malformed = str(error)

    def _peer_request_received(self, request: Timed, stamp_ns: int | None) -> None:
        if stamp_ns is None:
            return
        answer = self.responder.response(request, stamp_ns)
        if answer is not None:
            message, number = answer
            self._outgoing.append(Outgoing(pack(message), True, (h.PDELAY_RESP, number)))

    def _peer_answer(self, answer: Answer, now_ns: int, stamp_ns: int | None) -> None:
        if answer.requester != self.identity:
            return
        if answer.header.message_type == h.PDELAY_RESP:
            self.peer.response(answer, stamp_ns)
        else:
            self.peer.follow_up(answer)
        self._review_capable(now_ns)

    def _signaling(self, message: Other) -> None:
        if message.header.message_type != h.SIGNALING:
            return
        target, tlvs = signaling(message)
        everyone = target.clock == b"\xff" * 8
        request = gptp.parse_interval_request(tlvs)
        if request is None or not (everyone or target == self.identity):
            return
        low, high = PEER_INTERVALS
        if low <= request.link_delay <= high:
            self.peer.log_interval = request.link_delay
        self.gptp_master.asked(request)

    def _peer_request(self, sequence: int) -> Header:
        return Header(
            message_type=h.PDELAY_REQ,
            source=self.identity,
            sequence_id=sequence,
            domain=self.config.domain,
            flags=h.PTP_TIMESCALE,
            log_interval=self.peer.log_interval,
            major_sdo=gptp.MAJOR_SDO,
            minor_version=gptp.MINOR_VERSION,
        )

    # -- state

    def _review_capable(self, now_ns: int) -> None:
        capable = self.peer.as_capable
        if capable is not self._was_capable:
            self._was_capable = capable
            self.decision.run(now_ns)

    def _announce_old(self, master: ForeignMaster, now_ns: int) -> bool:
        return master.timed_out(now_ns, self.config.announce_receipt_timeout)

    def _sync_old(self, master: ForeignMaster, now_ns: int) -> bool:
        """syncReceiptTimeout (10.7.3.2); before the first Sync the Announce is believed."""
        if not master.syncs.count or not self.config.sync_receipt_timeout:
            return False
        allowed = self.config.sync_receipt_timeout * master.sync_interval_ns
        return now_ns - master.syncs.last_ns > max(allowed, SYNC_TIMEOUT_AT_LEAST_NS)
