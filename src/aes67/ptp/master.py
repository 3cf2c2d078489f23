"""The master side of a port: Announce, two-step Sync and Follow_Up, answers to Delay_Req."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aes67.clock.timebase import NS, Line
from aes67.ptp.decision import Parent
from aes67.ptp.foreign import interval_ns
from aes67.wire import ptp_header as h
from aes67.wire.gptp import PATH_TRACE_LIMIT
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import (
    TLV_PATH_TRACE,
    Announce,
    Answer,
    Message,
    Quality,
    Timed,
    Tlv,
)

if TYPE_CHECKING:
    from aes67.ptp.port_types import PortConfig

ANSWERS_PER_SECOND = 1_000
"""A hundred slaves at 8 a second, and some to spare."""
SLAVES = 64
"""So many slaves are remembered, those who asked last."""
FREE_RUNNING = Quality(clock_class=248, accuracy=0xFE, variance=0xFFFF)
"""Default class, accuracy unknown: a clock nobody has synchronised."""


class Master:
    """Messages of the MASTER state; the port decides when it is in it."""

    def __init__(self, config: PortConfig, parent: Parent) -> None:
        self.config = config
        self.parent = parent
        self.next_announce_ns: int | None = None
        self.next_sync_ns: int | None = None
        self.announces = 0
        self.syncs = 0
        self.follow_ups = 0
        self.unstamped = 0
        self.delay_responses = 0
        self.unanswered = 0
        """Delay_Req beyond ANSWERS_PER_SECOND."""
        self.slaves: dict[PortIdentity, tuple[int, int]] = {}
        """Of each slave the Delay_Req answered and when the last came, by that time."""
        self._second_ns = 0
        self._answered = 0
        self._announce_sequence = 0
        self._sync_sequence = 0

    def start(self, now_ns: int, parent: Parent) -> None:
        """Announce `parent` and send Sync from now on."""
        self.parent = parent
        if self.next_announce_ns is None:
            self.next_announce_ns = now_ns
            self.next_sync_ns = now_ns

    def stop(self) -> None:
        """Fall silent."""
        self.next_announce_ns = None
        self.next_sync_ns = None

    def due(self, now_ns: int, clock: Line) -> list[Message]:
        """The Announce and Sync whose time has come; late ones are not made up for."""
        messages: list[Message] = []
        config = self.config
        if self.next_announce_ns is not None and now_ns >= self.next_announce_ns:
            self.next_announce_ns = _after(
                self.next_announce_ns, interval_ns(config.log_announce, 1), now_ns
            )
            messages.append(self.announcement())
            self._announce_sequence = (self._announce_sequence + 1) & 0xFFFF
            self.announces += 1
        if self.next_sync_ns is not None and now_ns >= self.next_sync_ns:
            self.next_sync_ns = _after(self.next_sync_ns, interval_ns(config.log_sync), now_ns)
            header = self._header(
                h.SYNC, self._sync_sequence, config.log_sync, h.TWO_STEP | self._timescale
            )
            self._sync_sequence = (self._sync_sequence + 1) & 0xFFFF
            self.syncs += 1
            messages.append(Timed(header, max(clock.at(now_ns), 0)))
        return messages

    def follow_up(self, sequence: int, stamp_ns: int | None, clock: Line) -> Message | None:
        """The precise time of a Sync that left at `stamp_ns` (None: no stamp came)."""
        if stamp_ns is None:
            self.unstamped += 1
            return None
        self.follow_ups += 1
        header = self._header(h.FOLLOW_UP, sequence, self.config.log_sync, self._timescale)
        return Timed(header, max(clock.at(stamp_ns), 0))

    def delay_response(self, request: Timed, stamp_ns: int, clock: Line) -> Message | None:
        """The answer to a Delay_Req received at `stamp_ns` (11.3.2: its correction goes along).

        None beyond ANSWERS_PER_SECOND: a flood shall not keep the clock from its other work.
        """
        if stamp_ns - self._second_ns >= NS or stamp_ns < self._second_ns:
            self._second_ns = stamp_ns
            self._answered = 0
        if self._answered >= ANSWERS_PER_SECOND:
            self.unanswered += 1
            return None
        self._answered += 1
        self.delay_responses += 1
        slave = request.header.source
        self.slaves[slave] = (self.slaves.pop(slave, (0, 0))[0] + 1, stamp_ns)
        if len(self.slaves) > SLAVES:
            del self.slaves[next(iter(self.slaves))]
        header = replace(
            self._header(
                h.DELAY_RESP,
                request.header.sequence_id,
                self.config.log_delay_request,
                self._timescale,
            ),
            correction=request.header.correction,
        )
        return Answer(header, max(clock.at(stamp_ns), 0), request.header.source)

    def announcement(self) -> Announce:
        """The Announce that is sent next."""
        config, parent = self.config, self.parent
        header = self._header(
            h.ANNOUNCE, self._announce_sequence, config.log_announce, parent.flags
        )
        tlvs: tuple[Tlv, ...] = ()
        if config.path_trace and len(parent.path) < PATH_TRACE_LIMIT:  # 802.1AS 10.6.3.3.4
            tlvs = (Tlv(TLV_PATH_TRACE, b"".join((*parent.path, config.identity.clock))),)
        return Announce(
            header=header,
            utc_offset=parent.utc_offset,
            priority1=parent.priority1,
            quality=parent.quality,
            priority2=parent.priority2,
            grandmaster=parent.grandmaster,
            steps_removed=parent.steps_removed,
            time_source=parent.time_source,
            tlvs=tlvs,
        )

    @property
    def _timescale(self) -> int:
        return self.parent.flags & h.PTP_TIMESCALE

    def _header(self, kind: int, sequence: int, log_interval: int, flags: int) -> Header:
        return Header(
            message_type=kind,
            source=self.config.identity,
            sequence_id=sequence,
            domain=self.config.domain,
            flags=flags,
            major_sdo=self.config.major_sdo,
            log_interval=log_interval,
        )


def _after(due_ns: int, interval: int, now_ns: int) -> int:
    """The next instant of the grid after now."""
    return due_ns + interval * ((now_ns - due_ns) // interval + 1)
