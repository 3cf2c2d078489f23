"""What an 802.1AS port sends otherwise than a 1588 one: Follow_Up with the rate and the time base
of the grandmaster, and the answers to Pdelay_Req, in every state."""

from __future__ import annotations

from dataclasses import replace

from aes67.clock.timebase import MS, NS, RATE_BITS, Line
from aes67.ptp.master import Master
from aes67.wire import gptp
from aes67.wire import ptp_header as h
from aes67.wire.gptp import FollowUpInformation, IntervalRequest
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Answer, Message, Timed

ANSWERS_PER_SECOND = 64
"""Pdelay_Req that are answered: a link has one neighbour, which asks at 8 a second at most."""
PENDING = 16
"""Answers whose transmit stamp is waited for."""
JUMP_NS = MS
"""From this difference on our time has a new base: what the media clock does not slew."""
INTERVALS = (-5, 1)
"""Base-2 logarithms of the intervals a neighbour may ask for."""


class GptpMaster(Master):
    """Announce, Sync and Follow_Up of 802.1AS clauses 10.6.3 and 11.4."""

    time_base = 0
    phase_change_ns = 0

    def moved(self, before: Line, after: Line) -> None:
        """The time given out goes on as `after`; a jump of 1 ms is a new time base (9.2.2.3)."""
        jump = after.time_ns - before.at(after.raw_ns)
        if abs(jump) >= JUMP_NS:
            self.time_base = (self.time_base + 1) & 0xFFFF
            self.phase_change_ns = jump

    def due(self, now_ns: int, clock: Line) -> list[Message]:
        """As in 1588, but a two-step Sync has no time in it (11.4.3)."""
        return [
            replace(each, time_ns=0) if isinstance(each, Timed) else each
            for each in super().due(now_ns, clock)
        ]

    def follow_up(self, sequence: int, stamp_ns: int | None, clock: Line) -> Message | None:
        """The precise time of a Sync that left at `stamp_ns`, and the rate of `clock`.

        Our local clock is CLOCK_MONOTONIC_RAW, so the rate of the line is the cumulative rate
        ratio, our own when we are the grandmaster.
        """
        message = super().follow_up(sequence, stamp_ns, clock)
        if not isinstance(message, Timed):
            return message
        information = FollowUpInformation(
            rate_offset=clock.rate_q40 << (gptp.SCALED_RATE_BITS - RATE_BITS),
            time_base=self.time_base,
            phase_change=self.phase_change_ns << gptp.SCALED_NS_BITS,
        )
        return replace(message, tlvs=(gptp.information_tlv(information),))

    def asked(self, request: IntervalRequest) -> None:
        """A neighbour wants other intervals (10.6.4.3); what is out of bounds changes nothing."""
        low, high = INTERVALS
        if low <= request.time_sync <= high:
            self.config = replace(self.config, log_sync=request.time_sync)
        if low <= request.announce <= high:
            self.config = replace(self.config, log_announce=request.announce)

    def _header(self, kind: int, sequence: int, log_interval: int, flags: int) -> Header:
        header = super()._header(kind, sequence, log_interval, flags)
        return replace(header, minor_version=gptp.MINOR_VERSION)


class PeerResponder:
    """Answers Pdelay_Req of the neighbour (11.2.20), with times of CLOCK_MONOTONIC_RAW."""

    def __init__(self, identity: PortIdentity) -> None:
        self.identity = identity
        self.answered = 0
        self.refused = 0
        """Requests beyond ANSWERS_PER_SECOND."""
        self._second_ns = -NS
        self._in_second = 0
        self._waiting: dict[int, Timed] = {}
        self._number = 0

    def response(self, request: Timed, stamp_ns: int) -> tuple[Message, int] | None:
        """The Pdelay_Resp to a request received at `stamp_ns`, and its number for `left`."""
        if not 0 <= stamp_ns - self._second_ns < NS:
            self._second_ns = stamp_ns
            self._in_second = 0
        if self._in_second >= ANSWERS_PER_SECOND:
            self.refused += 1
            return None
        self._in_second += 1
        self.answered += 1
        number = self._number
        self._number = (number + 1) & 0xFFFF
        self._waiting[number] = request
        while len(self._waiting) > PENDING:
            del self._waiting[next(iter(self._waiting))]
        header = self._header(h.PDELAY_RESP, request, h.TWO_STEP)
        return Answer(header, max(stamp_ns, 0), request.header.source), number

    def left(self, number: int, stamp_ns: int | None) -> Message | None:
        """The Pdelay_Resp_Follow_Up of an answer that left at `stamp_ns`; None without a stamp."""
        request = self._waiting.pop(number, None)
        if request is None or stamp_ns is None:
            return None
        header = self._header(h.PDELAY_RESP_FOLLOW_UP, request, 0)
        return Answer(header, max(stamp_ns, 0), request.header.source)

    def _header(self, kind: int, request: Timed, flags: int) -> Header:
        return Header(
            message_type=kind,
            source=self.identity,
            sequence_id=request.header.sequence_id,
            domain=request.header.domain,
            flags=flags | h.PTP_TIMESCALE,
            major_sdo=gptp.MAJOR_SDO,
            minor_version=gptp.MINOR_VERSION,
        )
