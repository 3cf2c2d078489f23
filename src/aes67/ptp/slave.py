"""The slave side of a port: what the Sync, Follow_Up and Delay_Resp of masters measure (E2E).

Every master that is heard is measured, selected or not, so that a handover starts converged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aes67.clock.measurement import DELAY, Measurement
from aes67.clock.timebase import NS
from aes67.ptp.delay import DelayRequests, Made
from aes67.ptp.foreign import ForeignMaster, ForeignTable
from aes67.ptp.port_types import Measured, Outgoing, PortConfig
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header
from aes67.wire.ptp_messages import Answer, Timed, pack

ACTIVE_INTERVALS = 4
"""A master without Sync for this many intervals (and 4 s) is asked no more Delay_Req."""


class Slave:
    """Measures the masters in `table`; `requests` asks for the way back.

    Args:
        config: of the port.
        table: the port's foreign masters.
        random: a number from 0 to 1 at each call, spreads Delay_Req.
    """

    def __init__(
        self, config: PortConfig, table: ForeignTable, random: Callable[[], float]
    ) -> None:
        self.requests = DelayRequests(random)
        self._config = config
        self._table = table
        self._measured: list[Measured] = []
        header = Header(
            message_type=h.DELAY_REQ,
            source=config.identity,
            sequence_id=0,
            domain=config.domain,
            major_sdo=config.major_sdo,
        )
        # 11.3.2: an originTimestamp of 0 is allowed, and says nothing wrong
        self._request = pack(Timed(header, 0))

    def sync(
        self, master: ForeignMaster, message: Timed, now_ns: int, stamp_ns: int | None
    ) -> None:
        """A Sync of `master`, received at `stamp_ns` (None: no stamp came)."""
        header = message.header
        master.sync_log = header.log_interval
        origin = (message.time_ns, header.correction, header.two_step)
        self.synced(master, header.sequence_id, origin, now_ns, stamp_ns)

    def synced(
        self,
        master: ForeignMaster,
        sequence: int,
        origin: tuple[int, int, bool],
        now_ns: int,
        stamp_ns: int | None,
    ) -> None:
        """A Sync of `master`; `origin` is its time, its correction, and whether it is two-step."""
        master.syncs.take(sequence, now_ns)
        if stamp_ns is None:
            master.unstamped += 1
            return
        time_ns, correction, two_step = origin
        self._add(
            master, master.synced(sequence, stamp_ns, time_ns, correction, two_step=two_step)
        )

    def follow_up(self, master: ForeignMaster, message: Timed, now_ns: int) -> None:
        """A Follow_Up of `master`."""
        header = message.header
        self.completed(master, header.sequence_id, message.time_ns, header.correction, now_ns)

    def completed(
        self, master: ForeignMaster, sequence: int, time_ns: int, correction: int, now_ns: int
    ) -> None:
        """A Follow_Up of `master`."""
        master.follow_ups.take(sequence, now_ns)
        self._add(master, master.followed_up(sequence, time_ns, correction))

    def delay_response(self, answer: Answer, now_ns: int) -> None:
        """A Delay_Resp; only one of ours counts."""
        header = answer.header
        master = self._table.find(header.source)
        if master is None or answer.requester != self._config.identity:
            return
        receipt = (answer.time_ns, header.correction)
        self.answered(master, header.sequence_id, receipt, header.log_interval, now_ns)

    def answered(
        self,
        master: ForeignMaster,
        sequence: int,
        receipt: tuple[int, int],
        log_interval: int,
        now_ns: int,
    ) -> None:
        """A Delay_Resp of `master` to us."""
        master.delay_responses += 1
        self._add_all(
            self.requests.answer(master.identity, sequence, receipt, log_interval, now_ns)
        )

    def sent(self, sequence: int, stamp_ns: int | None) -> None:
        """The transmit stamp of our Delay_Req (None: none came)."""
        self._add_all(self.requests.stamped(sequence, stamp_ns))

    def due(self, now_ns: int) -> list[Outgoing]:
        """The Delay_Req whose time has come."""
        if self.requests.next_ns is None or now_ns < self.requests.next_ns:
            return []
        if not any(
            now_ns - m.syncs.last_ns <= max(4 * NS, ACTIVE_INTERVALS * m.sync_interval_ns)
            for m in self._table.masters.values()
            if m.syncs.count
        ):
            self.requests.stop()
            return []
        sequence = self.requests.ask(now_ns)
        return [Outgoing(h.with_sequence(self._request, sequence), True, (h.DELAY_REQ, sequence))]

    def events(self) -> Sequence[Measured]:
        """What was measured since the last call."""
        if not self._measured:
            return ()
        measured, self._measured = self._measured, []
        return measured

    def _add_all(self, made: Made) -> None:
        for identity, measurement in made:
            master = self._table.find(identity)
            if master is not None:
                self._add(master, measurement)

    def _add(self, master: ForeignMaster, made: Measurement | None) -> None:
        if made is None:
            return
        if self._config.asymmetry_ns:
            # 11.6: added to a Sync's correction, subtracted from a Delay_Req's: later both ways
            made = made._replace(master_ns=made.master_ns + self._config.asymmetry_ns)
        stepped = master.estimator.add(made)
        if made.direction != DELAY:
            master.measured_ns = made.raw_ns
        if master.estimator.suspects_step:
            self.requests.hurry()
        self._measured.append(Measured(master.identity, made, stepped))
