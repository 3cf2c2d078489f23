"""The port message by message: what it asks, what it answers, whom it listens to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.clock.timebase import MS, NS, Line
from aes67.ptp.bmca import PortState, Role
from aes67.ptp.delay import DelayRequests
from aes67.ptp.foreign import Tally, interval_ns
from aes67.ptp.port import Port
from aes67.ptp.port_types import PortConfig
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Announce, Answer, Message, Quality, Timed, pack, parse

US = PortIdentity(bytes.fromhex("020000ae67000002"), 1)
OTHER = PortIdentity(bytes.fromhex("001dc1fffe000001"), 1)
SLAVE = PortIdentity(bytes.fromhex("001dc1fffe000009"), 3)
LINE = Line(0, 1_700_000_000 * NS)


def half() -> float:
    return 0.5


def make(role: Role, random: Callable[[], float] = half, **changes: int) -> Port:
    return Port(PortConfig(US, role, **changes), random, 0, LINE)  # type: ignore[arg-type]


def run(port: Port, until_ns: int) -> list[tuple[int, Message]]:
    """Serve every timer and give each event message its stamp at once."""
    sent = []
    while (now := port.next_deadline()) <= until_ns:
        port.handle_timer(now)
        while messages := port.outgoing():
            for each in messages:
                sent.append((now, parse(each.data)))
                if each.event:
                    port.sent(each.token, now + 17_000)
    return sent


def announce(sequence: int, **changes: int) -> bytes:
    header = Header(h.ANNOUNCE, OTHER, sequence, log_interval=0)
    priority1 = changes.get("priority1", 128)
    return pack(Announce(header, 37, priority1, Quality(6, 0x21, 1), 128, OTHER.clock, 0, 0x20))


def of_type(sent: list[tuple[int, Message]], kind: int) -> list[tuple[int, Message]]:
    return [(at, m) for at, m in sent if m.header.message_type == kind]


class TestMaster:
    def test_announces_and_syncs_on_its_grid_from_the_start(self) -> None:
        port = make(Role.MASTER_ONLY, log_sync=-3, log_announce=1, priority1=127)
        sent = run(port, 10 * NS)
        assert port.state is PortState.MASTER
        assert [at for at, _ in of_type(sent, h.SYNC)] == [i * NS // 8 for i in range(81)]
        assert [at for at, _ in of_type(sent, h.ANNOUNCE)] == [i * 2 * NS for i in range(6)]
        _, first = of_type(sent, h.ANNOUNCE)[0]
        assert isinstance(first, Announce)
        assert first.grandmaster == US.clock
        assert (first.priority1, first.priority2) == (127, 128)
        assert (first.quality.clock_class, first.quality.accuracy) == (248, 0xFE)
        assert first.utc_offset == 37
        assert first.header.flags & h.PTP_TIMESCALE
        assert first.header.log_interval == 1

    def test_a_follow_up_carries_the_time_of_the_transmit_stamp(self) -> None:
        sent = run(make(Role.MASTER_ONLY), NS)
        syncs, follow_ups = of_type(sent, h.SYNC), of_type(sent, h.FOLLOW_UP)
        assert len(syncs) == len(follow_ups)
        for (at, sync), (_, follow_up) in zip(syncs, follow_ups, strict=True):
            assert sync.header.two_step
            assert sync.header.sequence_id == follow_up.header.sequence_id
            assert isinstance(follow_up, Timed)
            assert follow_up.time_ns == LINE.at(at + 17_000)

    def test_a_sync_without_a_stamp_gets_no_follow_up(self) -> None:
        port = make(Role.MASTER_ONLY)
        port.handle_timer(0)
        (sync,) = [m for m in port.outgoing() if m.event]
        port.sent(sync.token, None)
        assert port.outgoing() == []
        assert port.master.unstamped == 1

    def test_a_delay_request_is_answered_with_its_receipt(self) -> None:
        port = make(Role.MASTER_ONLY, log_delay_request=-2)
        port.handle_timer(0)
        port.outgoing()
        request = Timed(Header(h.DELAY_REQ, SLAVE, 4711, correction=5 << 16), 0)
        port.receive(pack(request), "10.0.0.9", 3 * NS, 2 * NS)
        (out,) = port.outgoing()
        answer = parse(out.data)
        assert isinstance(answer, Answer)
        assert not out.event
        assert answer.requester == SLAVE
        assert answer.header.sequence_id == 4711
        assert answer.header.correction == 5 << 16
        assert answer.header.log_interval == -2
        assert answer.time_ns == LINE.at(2 * NS)

    @pytest.mark.parametrize("stamp", [None, 5])
    def test_a_request_of_another_domain_or_without_a_stamp_is_not_answered(
        self, stamp: int | None
    ) -> None:
        port = make(Role.MASTER_ONLY)
        port.handle_timer(0)
        port.outgoing()
        domain = 0 if stamp is None else 3
        request = Timed(Header(h.DELAY_REQ, SLAVE, 1, domain=domain), 0)
        port.receive(pack(request), "10.0.0.9", 6, stamp)
        assert port.outgoing() == []

    def test_a_flood_of_requests_is_answered_a_thousand_times_a_second(self) -> None:
        port = make(Role.MASTER_ONLY)
        port.handle_timer(0)
        port.outgoing()
        for i in range(30_000):
            request = Timed(Header(h.DELAY_REQ, SLAVE, i & 0xFFFF), 0)
            port.receive(pack(request), "10.0.0.9", i * NS // 10_000, i * NS // 10_000)
        assert len(port.outgoing()) == 3_000
        assert port.master.unanswered == 27_000

    def test_late_timers_are_not_made_up_for(self) -> None:
        port = make(Role.MASTER_ONLY)
        port.handle_timer(0)
        port.outgoing()
        port.handle_timer(10 * NS)
        kinds = [parse(m.data).header.message_type for m in port.outgoing()]
        assert sorted(kinds) == [h.SYNC, h.ANNOUNCE]


class TestSlave:
    def test_is_silent_without_a_master_and_never_becomes_one(self) -> None:
        port = make(Role.SLAVE_ONLY)
        assert run(port, 600 * NS) == []
        assert port.state is PortState.LISTENING

    def test_never_answers_delay_requests(self) -> None:
        port = make(Role.SLAVE_ONLY)
        port.receive(pack(Timed(Header(h.DELAY_REQ, SLAVE, 1), 0)), "10.0.0.9", 6, 5)
        assert port.outgoing() == []

    def test_follows_after_two_announces(self) -> None:
        port = make(Role.SLAVE_ONLY)
        port.receive(announce(0), "10.0.0.9", NS, None)
        assert port.state is PortState.LISTENING
        port.receive(announce(1), "10.0.0.9", 2 * NS, None)
        assert port.state is PortState.UNCALIBRATED
        port.calibrated(True)
        assert port.state is PortState.SLAVE

    def test_the_same_announce_twice_qualifies_nobody(self) -> None:
        port = make(Role.SLAVE_ONLY)
        for now in (NS, NS + MS):
            port.receive(announce(7), "10.0.0.9", now, None)
        assert port.state is PortState.LISTENING

    def test_announces_too_far_apart_qualify_nobody(self) -> None:
        port = make(Role.SLAVE_ONLY)
        port.receive(announce(0), "10.0.0.9", NS, None)
        port.receive(announce(1), "10.0.0.9", NS + 4 * NS + 1, None)
        assert port.state is PortState.LISTENING

    def test_gives_a_master_up_after_three_silent_intervals(self) -> None:
        port = make(Role.SLAVE_ONLY)
        for i in range(3):
            port.receive(announce(i), "10.0.0.9", i * NS, None)
        port.handle_timer(5 * NS)
        assert port.selected is not None
        port.handle_timer(5 * NS + NS // 4)
        assert port.selected is None
        assert port.state is PortState.LISTENING

    def test_asks_as_often_as_the_master_allows(self) -> None:
        values = iter([0.0] + [0.1, 0.9] * 1_000)
        port = make(Role.SLAVE_ONLY, lambda: next(values))
        asked: list[int] = []
        now = 0
        while now < 60 * NS:
            sync = Timed(Header(h.SYNC, OTHER, 0, log_interval=-3), NS + now)
            port.receive(pack(sync), "10.0.0.9", now, now)
            for at, message in run(port, now + NS // 8):
                if message.header.message_type == h.DELAY_REQ:
                    asked.append(at)
                    answer = Answer(
                        Header(h.DELAY_RESP, OTHER, message.header.sequence_id, log_interval=-2),
                        NS + at + 17_000,
                        US,
                    )
                    port.receive(pack(answer), "10.0.0.9", at + MS, None)
            now += NS // 8
        gaps = [b - a for a, b in zip(asked, asked[1:], strict=False)]
        assert max(gaps) <= 2 * NS // 4 + 2 * MS
        assert 60 * 4 * 0.9 < len(asked) < 60 * 4 * 1.2

    def test_the_transmit_stamp_may_come_after_the_answer(self) -> None:
        port = make(Role.SLAVE_ONLY)
        port.receive(pack(Timed(Header(h.SYNC, OTHER, 0), 5)), "10.0.0.9", 0, 0)
        port.handle_timer(NS)
        (request,) = port.outgoing()
        answer = Answer(Header(h.DELAY_RESP, OTHER, 0), 7 * NS, US)
        port.receive(pack(answer), "10.0.0.9", NS + MS, None)
        master = port.table.find(OTHER)
        assert master is not None
        assert master.estimator.delays == 0
        port.sent(request.token, NS + 20_000)
        assert master.estimator.delays == 1

    @pytest.mark.parametrize(
        ("requester", "sequence"), [(SLAVE, 0), (PortIdentity(US.clock, 2), 0), (US, 1)]
    )
    def test_answers_to_others_and_to_no_request_are_not_used(
        self, requester: PortIdentity, sequence: int
    ) -> None:
        port = make(Role.SLAVE_ONLY)
        port.receive(pack(Timed(Header(h.SYNC, OTHER, 0), 5)), "10.0.0.9", 0, 0)
        port.handle_timer(NS)
        (request,) = port.outgoing()
        port.sent(request.token, NS)
        answer = Answer(Header(h.DELAY_RESP, OTHER, sequence), 7 * NS, requester)
        port.receive(pack(answer), "10.0.0.9", NS + MS, None)
        master = port.table.find(OTHER)
        assert master is not None
        assert master.estimator.delays == 0

    def test_follow_up_before_sync_is_as_good(self) -> None:
        port = make(Role.SLAVE_ONLY)
        port.receive(pack(Timed(Header(h.FOLLOW_UP, OTHER, 9), 5 * NS)), "10.0.0.9", 1, None)
        sync = Timed(Header(h.SYNC, OTHER, 9, flags=h.TWO_STEP), 0)
        port.receive(pack(sync), "10.0.0.9", 2, 1)
        master = port.table.find(OTHER)
        assert master is not None
        assert master.estimator.syncs == 1


class TestOrdinary:
    def test_becomes_master_after_the_announce_timeout(self) -> None:
        port = make(Role.ORDINARY, log_announce=1)
        sent = run(port, 20 * NS)
        assert port.state is PortState.MASTER
        first, _ = of_type(sent, h.ANNOUNCE)[0]
        assert 6 * NS <= first <= 8 * NS + NS // 4

    def test_gives_way_to_a_better_master_and_takes_over_when_it_dies(self) -> None:
        port = make(Role.ORDINARY)
        run(port, 10 * NS)
        for i in range(2):
            port.receive(announce(i), "10.0.0.9", (10 + i) * NS, None)
        assert port.state is PortState.UNCALIBRATED
        assert of_type(run(port, 13 * NS), h.ANNOUNCE) == []
        run(port, 30 * NS)
        assert port.state is PortState.MASTER

    def test_stays_master_beside_a_worse_one(self) -> None:
        port = make(Role.ORDINARY, priority1=100)
        run(port, 10 * NS)
        for i in range(4):
            port.receive(announce(i), "10.0.0.9", (10 + i) * NS, None)
        assert port.state is PortState.MASTER


def test_losses_are_counted_over_the_wrap() -> None:
    tally = Tally()
    for sequence in (65_533, 65_534, 65_535, 1, 2, 2, 5):
        tally.take(sequence, 0)
    assert (tally.count, tally.lost, tally.repeated) == (7, 3, 1)
    tally.take(40_000, 0)
    assert tally.lost == 3


@pytest.mark.parametrize(
    ("log", "ns"), [(0, NS), (-3, NS // 8), (1, 2 * NS), (127, NS), (-128, NS)]
)
def test_intervals_no_profile_knows_count_as_the_default(log: int, ns: int) -> None:
    assert interval_ns(log) == ns


@pytest.mark.parametrize(("log", "followed"), [(-7, -4), (10, 5), (127, 0), (-128, 0), (2, 2)])
def test_the_master_cannot_make_us_flood_or_fall_asleep(log: int, followed: int) -> None:
    requests = DelayRequests(half)
    requests.start(0)
    sequence = requests.ask(0)
    requests.answer(OTHER, sequence, (5, 0), log, 1)
    assert requests.log_interval == followed


@settings(max_examples=60)
@given(st.lists(st.tuples(st.binary(max_size=90), st.integers(0, 10**9)), max_size=30))
def test_any_packets_in_any_order_leave_a_working_port(packets: list[tuple[bytes, int]]) -> None:
    port = make(Role.SLAVE_ONLY)
    now = 0
    for data, gap in packets:
        now += gap
        port.receive(data, "10.0.0.9", now, now)
        port.handle_timer(now)
    assert port.next_deadline() > now


fields = st.fixed_dictionaries(
    {
        "message_type": st.sampled_from(list(h.MESSAGE_NAMES)),
        "source": st.sampled_from([OTHER, SLAVE, US]),
        "sequence_id": st.integers(0, 3),
        "domain": st.integers(0, 1),
        "flags": st.integers(0, 0xFFFF),
        "correction": st.integers(-(2**63), 2**63 - 1),
        "log_interval": st.integers(-128, 127),
    }
)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(fields, st.integers(0, 2**48 * NS - 1), st.integers(0, 10**9)), max_size=20),
    st.sampled_from(list(Role)),
)
def test_valid_messages_with_wild_values_leave_a_working_port(
    messages: list[tuple[dict[str, int], int, int]], role: Role
) -> None:
    port = make(role)
    now = 0
    for values, time_ns, gap in messages:
        now += gap
        header = Header(**values)  # type: ignore[arg-type]
        message: Message
        if header.message_type in (h.DELAY_RESP, h.PDELAY_RESP, h.PDELAY_RESP_FOLLOW_UP):
            message = Answer(header, time_ns, US)
        elif header.message_type == h.ANNOUNCE:
            message = Announce(header, 0, 0, Quality(0, 0, 0), 0, bytes(8), 0, 0, time_ns)
        else:
            message = Timed(header, time_ns)
        port.receive(pack(message), "10.0.0.9", now, now)
        port.handle_timer(now)
        for out in port.outgoing():
            parse(out.data)
            if out.event:
                port.sent(out.token, now)
    port.handle_timer(now)
    assert port.next_deadline() > now
    for master in port.table.masters.values():
        assert isinstance(master.estimator.three_sigma_ns(now), int)
