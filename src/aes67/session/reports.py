"""RTCP's content (RFC 3550, 6): reports written from counters, and those of others kept.

Sender reports go to each source's group; a receiver report goes to the sender it is about, by
unicast (as RFC 5760's feedback does), so that many receivers burden nobody else and no group has to
be joined for it. Time and randomness are arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aes67.errors import WireError
from aes67.wire import rtcp, rtcp_reader

INTERVAL_NS = 5_000_000_000
"""RFC 3550, 6.2: the least time between reports, before it is spread over 0.5 to 1.5 of it."""
FORGET_NS = 5 * INTERVAL_NS
"""6.3.5: who has not reported for five intervals has gone."""
MAX_REPORTERS = 256
MAX_SENDERS = 256
TOOL = b"aes67"
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Sending:
    """A source at one instant: what its sender report says."""

    ssrc: int
    packets: int
    octets: int
    rtp_timestamp: int


@dataclass(frozen=True)
class Receiving:
    """A sink's leg at one instant: counters as `shm.layout` has them; `jitter` in frames."""

    ssrc: int
    expected: int
    packets: int
    last_sequence: int
    jitter: int


@dataclass(frozen=True)
class Reporter:
    """A receiver that reported on a source of ours: from where, who, what, and when (monotonic)."""

    address: str
    ssrc: int
    block: rtcp.ReportBlock
    at_ns: int


@dataclass(frozen=True)
class Sender:
    """A sender that reported on itself."""

    address: str
    report: rtcp.SenderReport
    at_ns: int


@dataclass
class _Told:
    """What was said of a sender last: the next fraction lost counts from here."""

    expected: int = 0
    packets: int = 0
    cycles: int = 0
    sequence: int = -1


@dataclass
class Reports:
    """Everything heard and told. `ssrc`: ours as a receiver; `cname`: RFC 3550, 6.5.1."""

    ssrc: int
    cname: bytes
    names: dict[int, bytes] = field(default_factory=dict)
    _senders: dict[int, Sender] = field(default_factory=dict)
    _reporters: dict[int, dict[int, Reporter]] = field(default_factory=dict)
    _told: dict[int, _Told] = field(default_factory=dict)

    # telling

    def of_source(self, source: Sending, unix_ns: int) -> bytes:
        """A sender report with our name."""
        report = rtcp.SenderReport(
            source.ssrc, rtcp.ntp_time(unix_ns), source.rtp_timestamp % 2**32,
            source.packets % 2**32, source.octets % 2**32,
        )  # fmt: skip
        return rtcp.pack((report, self._name(source.ssrc)))

    def of_sink(self, sink: Receiving, now_ns: int) -> bytes:
        """A receiver report with our name."""
        told = self._told.setdefault(sink.ssrc, _Told())
        if len(self._told) > MAX_SENDERS:
            self._told = {sink.ssrc: told}
        if told.expected > sink.expected:  # the counters have been reset
            told.expected = told.packets = 0
        expected = sink.expected - told.expected
        lost = expected - (sink.packets - told.packets)
        if told.sequence > sink.last_sequence:
            told.cycles += 1
        told.expected, told.packets = sink.expected, sink.packets
        told.sequence = sink.last_sequence
        sender = self._senders.get(sink.ssrc)
        block = rtcp.ReportBlock(
            ssrc=sink.ssrc,
            fraction_lost=min(255, 256 * lost // expected) if expected > 0 and lost > 0 else 0,
            cumulative_lost=max(-(2**23), min(2**23 - 1, sink.expected - sink.packets)),
            highest_sequence=(told.cycles << 16 | sink.last_sequence) % 2**32,
            jitter=sink.jitter % 2**32,
            last_report=(sender.report.ntp_time >> 16) % 2**32 if sender else 0,
            delay=min(2**32 - 1, (now_ns - sender.at_ns) * 65536 // SECOND_NS) if sender else 0,
        )
        return rtcp.pack((rtcp.ReceiverReport(self.ssrc, (block,)), self._name(self.ssrc)))

    def goodbye(self, ssrc: int) -> bytes:
        """A source that ends (6.6)."""
        empty = rtcp.ReceiverReport(ssrc)
        return rtcp.pack((empty, self._name(ssrc), rtcp.Goodbye((ssrc,))))

    def _name(self, ssrc: int) -> rtcp.SourceDescription:
        items = ((rtcp.CNAME, self.cname[:255]), (rtcp.TOOL, TOOL))
        return rtcp.SourceDescription((rtcp.SourceChunk(ssrc, items),))

    # hearing

    def receive(self, data: bytes, address: str, now_ns: int) -> None:
        """A datagram of somebody else's. What cannot be read is as if it had not come."""
        try:
            packets = rtcp_reader.parse(data)
        except WireError:
            return
        for packet in packets:
            if isinstance(packet, rtcp.SenderReport):
                self._make_room(self._senders, packet.ssrc)
                self._senders[packet.ssrc] = Sender(address, packet, now_ns)
                self._hear_blocks(packet.ssrc, packet.blocks, address, now_ns)
            elif isinstance(packet, rtcp.ReceiverReport):
                self._hear_blocks(packet.ssrc, packet.blocks, address, now_ns)
            elif isinstance(packet, rtcp.SourceDescription):
                self._hear_names(packet)
            elif isinstance(packet, rtcp.Goodbye):
                for ssrc in packet.ssrcs:
                    self._senders.pop(ssrc, None)
                    for reporters in self._reporters.values():
                        reporters.pop(ssrc, None)

    def _hear_blocks(
        self, ssrc: int, blocks: tuple[rtcp.ReportBlock, ...], address: str, now_ns: int
    ) -> None:
        for block in blocks:
            reporters = self._reporters.get(block.ssrc)
            if reporters is not None and ssrc != self.ssrc:
                self._make_room(reporters, ssrc)
                reporters[ssrc] = Reporter(address, ssrc, block, now_ns)

    def _hear_names(self, packet: rtcp.SourceDescription) -> None:
        for chunk in packet.chunks:
            for kind, text in chunk.items:
                if kind == rtcp.CNAME:
                    self._make_room(self.names, chunk.ssrc)
                    self.names[chunk.ssrc] = text

    @staticmethod
    def _make_room(book: dict[int, object] | dict[int, Sender] | dict[int, Reporter]
                   | dict[int, bytes], key: int) -> None:  # fmt: skip
        """A stranger that sends under a thousand names pushes out the oldest, not our memory."""
        if key not in book and len(book) >= MAX_REPORTERS:
            del book[next(iter(book))]

    # knowing

    def sending(self, ssrcs: set[int]) -> None:
        """These are our sources: reports on others are not kept."""
        self._reporters = {ssrc: self._reporters.get(ssrc, {}) for ssrc in ssrcs}

    def sender(self, ssrc: int, now_ns: int) -> Sender | None:
        """The newest sender report of a stream; None without a fresh one."""
        found = self._senders.get(ssrc)
        return found if found is not None and now_ns - found.at_ns <= FORGET_NS else None

    def reporters(self, ssrc: int, now_ns: int) -> list[Reporter]:
        """Who receives a source of ours, as far as they say so."""
        found = self._reporters.get(ssrc, {}).values()
        return [each for each in found if now_ns - each.at_ns <= FORGET_NS]

    def name(self, ssrc: int) -> str:
        """The canonical name of a participant; empty when it has not told any."""
        return self.names.get(ssrc, b"").decode(errors="replace")


def rtp_timestamp(media_ns: int, rate: int, offset: int = 0) -> int:
    """RTP timestamp of an instant of media time (docs/design.md, "Time")."""
    seconds, ns = divmod(media_ns, SECOND_NS)
    return (seconds * rate + ns * rate // SECOND_NS + offset) % 2**32


def receiving(leg: Mapping[str, int]) -> Receiving:
    """What a leg's counters say."""
    return Receiving(
        ssrc=leg["ssrc"],
        expected=leg["expected"],
        packets=leg["packets"],
        last_sequence=leg["last_sequence"],
        jitter=leg["jitter_q4"] >> 4,
    )
