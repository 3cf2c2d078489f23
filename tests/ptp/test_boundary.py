"""A clock with two ports in virtual time: one decision, one time, by the figures of 1588 9.3."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.clock.lock import State
from aes67.clock.timebase import NS, Line
from aes67.ptp.bmca import Candidate, PortState, Role, better, decide, only_by_topology
from aes67.ptp.modes import Mode
from aes67.ptp.ordinary_clock import OrdinaryClock
from aes67.ptp.port_types import PortConfig
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Announce, Answer, Quality, Timed, pack, parse

US = bytes.fromhex("020000ae67000002")
GOOD = bytes.fromhex("001dc1fffe000001")
POOR = bytes.fromhex("001dc1fffe000009")
EPOCH = 1_700_000_000 * NS
PATH_NS = 2_000


@dataclass
class Neighbour:
    """A master behind one of the ports; its time is `ahead_ns` before CLOCK_MONOTONIC_RAW."""

    clock: bytes
    priority1: int = 128
    steps: int = 0
    ahead_ns: int = EPOCH
    grandmaster: bytes = b""
    flags: int = h.PTP_TIMESCALE
    alive: bool = True
    sequence: int = 0

    @property
    def identity(self) -> PortIdentity:
        return PortIdentity(self.clock, 1)


@dataclass
class Wires:
    """One clock, a neighbour on each side or none, everything a port says."""

    clock: OrdinaryClock
    sides: list[list[Neighbour]]
    joined: bool = False
    now_ns: int = 0
    said: list[list[tuple[int, object]]] = field(default_factory=lambda: [[], []])

    def run(self, seconds: float) -> None:
        end = self.now_ns + round(seconds * NS)
        beat = NS // 8
        while self.now_ns < end:
            upcoming = min((self.now_ns // beat + 1) * beat, end)
            while (due := self.clock.next_deadline()) < upcoming:
                self.now_ns = max(self.now_ns, due)
                self.clock.handle_timer(self.now_ns)
                self._send()
            self.now_ns = upcoming
            for number, neighbours in enumerate(self.sides):
                for each in neighbours:
                    if each.alive:
                        self._beat(number, each)
            self._send()

    def _beat(self, number: int, each: Neighbour) -> None:
        now, identity = self.now_ns, each.identity
        each.sequence += 1
        if each.sequence % 4 == 0:
            header = Header(
                h.ANNOUNCE, identity, each.sequence // 4, flags=each.flags, log_interval=-1
            )
            grandmaster = each.grandmaster or each.clock
            quality = Quality(248, 0xFE, 0xFFFF)
            announce = Announce(
                header, 37, each.priority1, quality, 128, grandmaster, each.steps, 0xA0
            )
            self.clock.receive(pack(announce), "10.0.0.1", now, None, number)
        sync = Timed(Header(h.SYNC, identity, each.sequence, log_interval=-3), now + each.ahead_ns)
        self.clock.receive(pack(sync), "10.0.0.1", now + PATH_NS, now + PATH_NS, number)

    def _send(self) -> None:
        more = True
        while more:
            more = False
            for number in range(len(self.clock.ports)):
                for out in self.clock.outgoing(number):
                    more = True
                    message = parse(out.data)
                    self.said[number].append((self.now_ns, message))
                    if out.event:
                        self.clock.sent(out.token, self.now_ns, self.now_ns, number)
                    if message.header.message_type == h.DELAY_REQ:
                        self._answer(number, message.header)
                    if self.joined and message.header.message_type == h.ANNOUNCE:
                        self.clock.receive(out.data, "10.0.0.3", self.now_ns, None, 1 - number)

    def _answer(self, number: int, request: Header) -> None:
        for each in self.sides[number]:
            if each.alive:
                header = Header(h.DELAY_RESP, each.identity, request.sequence_id, log_interval=-3)
                time_ns = self.now_ns + PATH_NS + each.ahead_ns
                answer = Answer(header, time_ns, request.source)
                self.clock.receive(pack(answer), "10.0.0.1", self.now_ns, None, number)

    def states(self) -> list[str]:
        return [port.state.value for port in self.clock.ports]

    def announced(self, number: int) -> list[Announce]:
        return [m for _, m in self.said[number] if isinstance(m, Announce)]


def wires(
    *sides: list[Neighbour], role: Role = Role.ORDINARY, mode: Mode = Mode.PTP, joined: bool = False
) -> Wires:
    configs = [
        PortConfig(PortIdentity(US, number + 1), role, log_announce=-1, interface=f"eth{number}")
        for number in range(2)
    ]
    clock = OrdinaryClock(mode, configs, lambda: 0.5, 0, Line(0, 5 * NS))
    return Wires(clock, list(sides), joined)


def test_slave_on_one_port_and_master_on_the_other() -> None:
    master = Neighbour(GOOD, steps=1, grandmaster=POOR, flags=0)
    world = wires([master], [])
    world.run(8)
    assert world.states() == ["slave", "master"]
    assert world.clock.grandmaster == POOR
    assert not world.clock.leading
    last = world.announced(1)[-1]
    # table 33: the grandmaster's data set, one step further, its time properties unchanged
    assert (last.grandmaster, last.steps_removed, last.priority1) == (POOR, 2, 128)
    assert last.header.source == PortIdentity(US, 2)
    assert last.header.flags & h.PTP_TIMESCALE == 0
    assert not world.announced(0)
    follow_ups = [
        (at, m) for at, m in world.said[1]
        if isinstance(m, Timed) and m.header.message_type == h.FOLLOW_UP
    ]  # fmt: skip
    assert len(follow_ups) > 8
    assert max(abs(m.time_ns - at - EPOCH) for at, m in follow_ups) < 50


def test_what_is_passed_on_is_passed_on_only_once_it_is_known() -> None:
    world = wires([Neighbour(GOOD)], [])
    while world.clock.lock.state is not State.LOCKED or world.clock.leading:
        world.run(0.125)
        assert world.now_ns < 20 * NS
        if world.clock.ports[0].selected and not world.clock.lock.ever_locked:
            assert world.states()[1] in ("listening", "pre-master")
    world.run(1)
    for at, message in world.said[1]:
        if isinstance(message, Timed) and message.header.message_type == h.FOLLOW_UP:
            assert abs(message.time_ns - at - EPOCH) < 50


def test_the_better_of_two_masters_is_followed_and_given_to_the_other_network() -> None:
    good, poor = Neighbour(GOOD, 100), Neighbour(POOR, 200)
    world = wires([poor], [good])
    world.run(8)
    assert world.states() == ["master", "slave"]
    assert world.announced(0)[-1].grandmaster == GOOD
    good.alive = False
    world.run(6)
    assert world.states() == ["slave", "master"]
    assert world.announced(1)[-1].grandmaster == POOR
    assert world.clock.lock.state is State.LOCKED
    assert world.clock.media.session_epoch == 0
    good.alive = True
    world.run(6)
    assert world.states() == ["master", "slave"]
    assert "unlocked" not in world.clock.lock.reason


def test_both_ports_lead_when_all_masters_are_gone_with_the_time_there_was() -> None:
    master = Neighbour(GOOD, flags=0)
    world = wires([master], [])
    world.run(8)
    master.alive = False
    world.run(5)
    assert world.states() == ["master", "master"]
    assert world.clock.leading
    assert world.clock.media.session_epoch == 0
    for number in (0, 1):
        last = world.announced(number)[-1]
        assert (last.grandmaster, last.steps_removed) == (US, 0)
        assert last.header.flags & h.PTP_TIMESCALE == 0, "its arbitrary epoch is not TAI with us"
    assert abs(world.clock.media.line.at(world.now_ns) - world.now_ns - EPOCH) < 200


def test_two_ways_to_one_grandmaster_end_in_a_passive_port() -> None:
    near = Neighbour(GOOD, steps=1, grandmaster=POOR)
    far = Neighbour(bytes.fromhex("001dc1fffe000002"), steps=1, grandmaster=POOR)
    world = wires([near], [far])
    world.run(8)
    assert world.states() == ["slave", "passive"]
    far.steps = 5
    world.run(4)
    # our way is the shorter one by far: the other network is better served by us
    assert world.states() == ["slave", "master"]


def test_both_interfaces_on_one_network() -> None:
    world = wires([], [], joined=True)
    world.run(8)
    assert world.states() == ["master", "passive"]
    world.sides = [[Neighbour(GOOD)], [Neighbour(GOOD)]]  # one master, heard on both
    world.run(8)
    assert world.states() == ["slave", "passive"]


def test_slave_only_on_two_networks_follows_one_and_is_silent_on_both() -> None:
    good, poor = Neighbour(GOOD, 100), Neighbour(POOR, 200)
    world = wires([good], [poor], role=Role.SLAVE_ONLY, mode=Mode.PTP_SLAVE)
    world.run(8)
    assert world.states() == ["slave", "passive"]
    good.alive = False
    world.run(6)
    assert world.states() == ["listening", "slave"]
    assert world.clock.handovers == 1
    assert world.clock.lock.state is State.LOCKED
    assert not world.announced(0)
    assert not world.announced(1)
    poor.alive = False
    world.run(6)
    assert world.clock.lock.state is State.HOLDOVER


def test_without_any_master_the_reason_names_both_interfaces() -> None:
    world = wires([], [], role=Role.SLAVE_ONLY, mode=Mode.PTP_SLAVE)
    world.run(3)
    assert "on eth0" in world.clock.lock.reason
    assert "on eth1" in world.clock.lock.reason


def test_a_grandmaster_leads_on_both_whatever_it_hears() -> None:
    world = wires([Neighbour(GOOD, 1)], [], role=Role.MASTER_ONLY, mode=Mode.GRANDMASTER)
    world.run(4)
    assert world.states() == ["master", "master"]
    assert {m.grandmaster for n in (0, 1) for m in world.announced(n)} == {US}


def test_of_two_boundary_clocks_between_the_same_networks_one_leads_on_the_far_one() -> None:
    """Both are slaves of a grandmaster on network A; on B they hear only each other."""
    low, high = bytes.fromhex("020000ae67000001"), bytes.fromhex("020000ae67000002")
    quality = Quality(248, 0xFE, 0xFFFF)

    def offer(steps: int, sender: PortIdentity, receiver: PortIdentity) -> Candidate:
        return Candidate(128, quality, 128, GOOD, steps, sender, receiver)

    found = []
    for us, other in ((low, high), (high, low)):
        ours = Candidate(250, quality, 128, us, 0, PortIdentity(us, 2), PortIdentity(us, 2))
        above = offer(0, PortIdentity(GOOD, 1), PortIdentity(us, 1))
        across = offer(1, PortIdentity(other, 2), PortIdentity(us, 2))
        role = Role.ORDINARY
        assert decide(role, ours, above, listening=False) is PortState.UNCALIBRATED
        found.append(decide(role, ours, across, listening=False, overall=above))
    assert found == [PortState.PRE_MASTER, PortState.PASSIVE]


identities = st.builds(
    PortIdentity, st.sampled_from([bytes([9] * 7) + bytes([n]) for n in range(4)]),
    st.integers(1, 2),
)  # fmt: skip
offers = st.builds(
    Candidate,
    st.sampled_from([1, 128]),
    st.sampled_from([Quality(6, 0x21, 1), Quality(248, 0xFE, 0xFFFF)]),
    st.just(128),
    st.sampled_from([b"a" * 8, b"b" * 8]),
    st.integers(0, 3),
    identities,
    st.builds(PortIdentity, st.just(US), st.integers(1, 2)),
)


@settings(max_examples=300)
@given(offers, offers)
def test_topology_decides_only_about_one_grandmaster(a: Candidate, b: Candidate) -> None:
    if only_by_topology(a, b):
        assert a.grandmaster == b.grandmaster
        assert abs(a.steps_removed - b.steps_removed) <= 1
    if better(a, b) and better(b, a):
        raise AssertionError("both better than the other")


@settings(max_examples=300)
@given(offers, st.none() | offers, st.none() | offers, st.booleans(), st.sampled_from(Role))
def test_at_most_the_best_port_follows(
    ours: Candidate, best: Candidate | None, overall: Candidate | None, listening: bool, role: Role
) -> None:
    state = decide(role, ours, best, listening=listening, overall=overall)
    if overall is not None:
        assert state is not PortState.UNCALIBRATED
    if role is Role.SLAVE_ONLY:
        assert state is not PortState.PRE_MASTER
    if role is Role.MASTER_ONLY:
        assert state is PortState.PRE_MASTER


@pytest.mark.parametrize("number", [0, 1])
def test_port_numbers_follow_the_order_of_the_interfaces(number: int) -> None:
    world = wires([], [])
    assert world.clock.ports[number].identity.port == number + 1
