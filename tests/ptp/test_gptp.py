"""An 802.1AS port in virtual time, against a neighbour whose clocks are known laws."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.clock.lock import State
from aes67.clock.timebase import NS, Line, rate_to_q40
from aes67.ptp.bmca import PortState, Role
from aes67.ptp.gptp_peer_delay import LIMIT_HARDWARE_NS
from aes67.ptp.ordinary_clock import Mode, OrdinaryClock
from aes67.ptp.reasons import missing
from aes67.ptp.snapshot import render
from aes67.wire import ptp_header as h
from aes67.wire.gptp import (
    IntervalRequest,
    interval_request_tlv,
    parse_information,
    parse_interval_request,
)
from aes67.wire.ptp_header import PortIdentity
from aes67.wire.ptp_messages import Announce, Answer, Other, Timed, pack, path_trace
from sim.gptp_world import OURS, THEIRS, GptpWorld, Neighbor, config
from sim.world import Oscillator, fixed, quiet, software
from wire.test_ptp import GPTP, payloads

PPM = 47.0
"""Neighbour's crystal +35, ours -12."""


def test_the_neighbour_s_distance_and_rate_are_found_and_make_it_capable() -> None:
    world = GptpWorld(config(link_delay_limit_ns=LIMIT_HARDWARE_NS))
    Neighbor(world).start()
    assert not world.port.peer.as_capable
    assert "asking" in world.port.objection
    world.run(1.5)
    assert world.port.peer.as_capable, world.port.objection
    assert world.port.peer.neighbor == THEIRS
    assert world.port.peer.delay_ns == pytest.approx(400, abs=5)
    assert world.port.peer.rate_ppm == pytest.approx(PPM, abs=0.1)
    world.run(20)
    assert world.port.peer.rate_ppm == pytest.approx(PPM, abs=0.01)
    assert world.port.peer.answered == world.port.peer.sent
    # and the neighbour gets from us what it needs for the same
    assert world.neighbor is not None
    answers = world.neighbor.of_kind(h.PDELAY_RESP)
    follow_ups = world.neighbor.of_kind(h.PDELAY_RESP_FOLLOW_UP)
    assert len(answers) == len(follow_ups) == 20
    first, last = answers[0], answers[-1]
    assert isinstance(first, Answer)
    assert isinstance(last, Answer)
    assert first.requester == THEIRS
    assert [a.header.sequence_id for a in answers] == list(range(20))
    # its requests left it a second apart in true time, 400 ns before our clock stamped them
    true = 19 * NS
    assert last.time_ns - first.time_ns == pytest.approx(true * (1 - 12e-6), abs=3)
    turnarounds = {f.time_ns - a.time_ns for a, f in zip(answers, follow_ups, strict=True)}  # type: ignore[union-attr]
    assert turnarounds <= {14_999, 15_000, 15_001}


@pytest.mark.parametrize("seed", range(3))
def test_with_software_stamps_it_is_the_median_that_counts(seed: int) -> None:
    world = GptpWorld(seed=seed)
    Neighbor(world, down=software, up=software).start()
    world.run(30)
    assert world.port.peer.as_capable
    assert world.port.peer.delay_ns == pytest.approx(7_000, abs=2_500)
    assert world.port.peer.delay_sigma_ns < 2_000
    assert world.port.peer.rate_ppm == pytest.approx(PPM, abs=2)


def test_beyond_the_limit_the_neighbour_is_none() -> None:
    world = GptpWorld(config(link_delay_limit_ns=LIMIT_HARDWARE_NS))
    Neighbor(world, down=fixed(900), up=fixed(900), announcing=True, syncing=True).start()
    world.run(5)
    assert "the link delay to 00-1B-21-FF-FE-00-00-01 is 0.9 us, more than 0.8" in (
        world.port.objection
    )
    assert world.port.selected is None
    assert not world.port.table.masters
    assert world.port.state is PortState.LISTENING


def test_without_answers_nothing_is_sent_or_believed() -> None:
    world = GptpWorld(config(Role.MASTER_ONLY))
    there = Neighbor(world, answering=False, announcing=True, syncing=True).start()
    world.run(5)
    assert "no neighbour answers Pdelay_Req (5 sent)" in world.port.objection
    kinds = {m.header.message_type for m in there.received}  # type: ignore[attr-defined]
    assert kinds == {h.PDELAY_REQ, h.PDELAY_RESP, h.PDELAY_RESP_FOLLOW_UP}
    there.answering = True
    world.run(9)
    assert world.port.state is PortState.MASTER
    assert there.of_kind(h.SYNC)
    there.answering = False
    world.run(17)
    assert world.port.peer.as_capable  # allowedLostResponses: 9
    world.run(20)
    assert "has not answered the last 10 Pdelay_Req" in world.port.objection
    there.received.clear()
    world.run(22)
    assert not there.of_kind(h.SYNC)
    assert world.port.state is PortState.LISTENING
    there.answering = True
    world.run(25)
    assert world.port.peer.as_capable


def test_several_answers_to_each_request_end_the_asking_for_five_minutes() -> None:
    world = GptpWorld()
    there = Neighbor(world, answers=2).start()
    world.run(2.9)
    assert world.port.peer.as_capable
    world.run(3.5)
    assert "several devices answer" in world.port.objection
    there.received.clear()
    there.answers = 1
    world.run(290)
    assert not there.of_kind(h.PDELAY_REQ)
    world.run(310)
    assert world.port.peer.as_capable


def test_a_neighbour_whose_clock_is_set_or_that_is_another_is_measured_anew() -> None:
    world = GptpWorld()
    there = Neighbor(world).start()
    world.run(20)
    there.crystal.start_ns += 3_600 * NS
    world.run(24)
    assert world.port.peer.as_capable
    assert world.port.peer.rate_ppm == pytest.approx(PPM, abs=0.1)
    there.identity = PortIdentity(bytes.fromhex("001b21fffe000099"), 1)
    there.crystal = Oscillator(ppm=-70.0)
    world.run(28)
    assert world.port.peer.neighbor == there.identity
    assert world.port.peer.rate_ppm == pytest.approx(-70 + 12, abs=0.1)
    there.crystal = Oscillator(ppm=400.0)
    world.run(60)
    assert "412 ppm off ours" in world.port.objection.replace("+", "")


@pytest.mark.parametrize("one_way", [fixed(400.0), quiet])
def test_a_slave_finds_the_grandmaster_s_time_behind_bridges(one_way: object) -> None:
    world = GptpWorld()
    there = Neighbor(
        world,
        down=one_way,  # type: ignore[arg-type]
        up=one_way,  # type: ignore[arg-type]
        law=Oscillator(ppm=-8.0, start_ns=5_000 * NS),
        grandmaster=bytes.fromhex("000102fffe030405"),
        steps_removed=2,
        residence_ns=1_234_567.25,
        # grandmaster -8 ppm, neighbour +35 ppm: what a bridge says of them (2^-41)
        rate_offset=round(((1 - 8e-6) / (1 + 35e-6) - 1) * 2**41),
        announcing=True,
        syncing=True,
    ).start()
    world.run(2.5)
    master = world.port.selected
    assert master is not None
    assert world.port.state is PortState.UNCALIBRATED
    world.port.calibrated(True)
    assert world.port.state is PortState.SLAVE
    world.run(15)
    limit = 5 if one_way is not quiet else 400
    assert abs(world.error()) < limit
    assert master.estimator.usable
    assert master.estimator.rate_ppm == pytest.approx(4.0, abs=0.3)
    # the ratios that 802.1AS hands on say the same
    assert world.port.gm_rate_ppm == pytest.approx(4.0, abs=0.3)
    assert master.estimator.path_delay_ns == world.port.peer.delay_ns
    # 3 sigma holds what is not known of the link
    assert 3 * world.port.peer.delay_sigma_ns <= master.estimator.three_sigma_ns(
        world.local.at(world.now)
    )
    assert not there.of_kind(h.DELAY_REQ)
    assert not there.of_kind(h.SYNC)
    assert not there.of_kind(h.ANNOUNCE)


def test_one_announce_makes_a_master_and_three_missing_ones_end_it() -> None:
    world = GptpWorld()
    there = Neighbor(world, syncing=True).start()
    world.run(2.5)
    there.announcing = True
    world.run(3.1)
    assert world.port.selected is not None
    there.announcing = False
    world.run(5.5)
    assert world.port.selected is not None
    world.run(6.5)
    assert world.port.selected is None


def test_silence_of_sync_ends_a_master_only_where_we_can_be_one() -> None:
    for role, followed in ((Role.SLAVE_ONLY, True), (Role.ORDINARY, False)):
        world = GptpWorld(config(role))
        there = Neighbor(world, announcing=True, syncing=True).start()
        world.run(4)
        assert world.port.selected is not None
        there.syncing = False
        world.run(6)
        assert (world.port.selected is not None) is followed
        assert (world.port.state is PortState.MASTER) is not followed


@pytest.mark.parametrize(("theirs", "master"), [(249, False), (251, True), (255, True)])
def test_the_better_priority_vector_leads(theirs: int, master: bool) -> None:
    world = GptpWorld(config(Role.ORDINARY, 250))
    Neighbor(world, priority1=theirs, announcing=True, syncing=True).start()
    world.run(8)
    assert (world.port.state is PortState.MASTER) is master


def test_a_neighbour_that_is_no_grandmaster_is_the_reason() -> None:
    world = GptpWorld()
    Neighbor(world, priority1=255, announcing=True, syncing=True).start()
    world.run(6)
    assert world.port.peer.as_capable
    now_ns = world.local.at(world.now)
    words = missing([world.port], world.port, "sim0", now_ns, 0)
    assert words.endswith("announces that it is no grandmaster (priority1 255)")


def test_a_path_that_fills_a_frame_is_not_traced_further() -> None:
    world = GptpWorld(config(Role.MASTER_ONLY, 246))
    master = world.port.master
    for clocks, traced in ((178, True), (179, False)):
        master.parent = dataclasses.replace(master.parent, path=(bytes(8),) * clocks)
        announce = master.announcement()
        assert bool(announce.tlvs) is traced
        assert len(pack(announce)) <= 1500


def test_our_own_path_coming_back_is_no_master() -> None:
    world = GptpWorld()
    Neighbor(world, path=(OURS.clock,), announcing=True, syncing=True).start()
    world.run(4)
    assert world.port.peer.as_capable
    assert world.port.selected is None


def test_a_master_sends_its_path_its_rate_and_its_time_base() -> None:
    world = GptpWorld(config(Role.MASTER_ONLY, 246))
    there = Neighbor(world).start()
    world.run(2)
    line = Line(world.clock.raw_ns, world.clock.time_ns, rate_to_q40(20_000))
    world.port.set_clock(line)
    there.received.clear()
    world.run(5.9)
    announces, syncs = there.of_kind(h.ANNOUNCE), there.of_kind(h.SYNC)
    follow_ups = there.of_kind(h.FOLLOW_UP)
    assert len(announces) == 4
    assert len(syncs) == len(follow_ups)
    assert 30 <= len(syncs) <= 32
    announce, follow_up = announces[0], follow_ups[-1]
    assert isinstance(announce, Announce)
    assert path_trace(announce) == (OURS.clock,)
    assert (announce.grandmaster, announce.steps_removed) == (OURS.clock, 0)
    assert announce.header.major_sdo == 1
    assert isinstance(follow_up, Timed)
    information = parse_information(follow_up.tlvs)
    assert information is not None
    assert information.rate_offset / 2**41 == pytest.approx(20e-6, rel=1e-4)
    assert information.time_base == 0
    # what it says is the line at the instant of departure, in true time
    world.port.set_clock(Line(line.raw_ns, line.time_ns + 2 * NS, line.rate_q40))
    there.received.clear()
    world.run(6.5)
    moved = there.of_kind(h.FOLLOW_UP)[-1]
    assert isinstance(moved, Timed)
    changed = parse_information(moved.tlvs)
    assert changed is not None
    assert changed.time_base == 1
    assert changed.phase_change == 2 * NS << 16


def test_a_neighbour_may_ask_for_other_intervals() -> None:
    world = GptpWorld(config(Role.MASTER_ONLY))
    there = Neighbor(world).start()
    world.run(3)
    for target, request, syncs in (
        (OURS, IntervalRequest(0, -4, -1), 16),
        (PortIdentity(b"\xff" * 8, 0xFFFF), IntervalRequest(-128, -2, -128), 4),
        (THEIRS, IntervalRequest(0, -5, 0), 4),  # not for us
        (OURS, IntervalRequest(127, 127, 126), 4),  # stop: we do not
        (OURS, IntervalRequest(-100, -100, 100), 4),
    ):
        tlv = interval_request_tlv(request)
        body = target.clock + target.port.to_bytes(2) + b"\0\3\0\x0c" + tlv.value
        header = dataclasses.replace(there._header(h.SIGNALING, 0))
        world.arrive(pack(Other(header, body)), None)
        world.run(world.now / NS + 1)
        there.received.clear()
        world.run(world.now / NS + 2)
        assert len(there.of_kind(h.SYNC)) == pytest.approx(2 * syncs, abs=1)
        assert len(there.of_kind(h.ANNOUNCE)) == 4
        assert parse_interval_request((tlv,)) == request


def test_without_stamps_the_reason_says_so() -> None:
    world = GptpWorld()
    world.transmit_stamps = False
    Neighbor(world).start()
    world.run(5)
    assert world.port.objection == "no timestamps for the peer delay messages"


@pytest.mark.parametrize(("mode", "words"), [
    (Mode.GRANDMASTER, "given to nobody on sim0: no neighbour answers Pdelay_Req"),
    (Mode.PTP_SLAVE, "no neighbour answers Pdelay_Req (4 sent) on sim0"),
    (Mode.GPTP, "no neighbour answers Pdelay_Req (4 sent) on sim0"),
])  # fmt: skip
def test_a_whole_clock_says_that_it_has_no_neighbour(mode: Mode, words: str) -> None:
    role = Role.MASTER_ONLY if mode is Mode.GRANDMASTER else Role.ORDINARY
    port = dataclasses.replace(config(role), interface="sim0")
    line = Line(0, 5 * NS)
    clock = OrdinaryClock(mode, [port], lambda: 0.5, 0, line)
    now = 0
    while now < 3_500_000_000:
        now = max(clock.next_deadline(), now + 1_000)
        clock.handle_timer(now)
        for message in clock.outgoing():
            clock.sent(message.token, now, now)
    assert words in clock.lock.reason
    assert (clock.lock.state is State.LOCKED) is (mode is Mode.GRANDMASTER)
    shown = render(clock, now)
    assert shown["port_state"] == "listening"
    assert shown["peer"]["neighbor"] is None
    assert not shown["peer"]["as_capable"]


def test_a_flood_of_requests_costs_no_memory_and_few_answers() -> None:
    world = GptpWorld()
    there = Neighbor(world).start()
    for number in range(5_000):
        source = PortIdentity(number.to_bytes(8), 1)
        header = dataclasses.replace(there._header(h.PDELAY_REQ, 0), source=source)
        world.arrive(pack(Timed(header, 0)), 1_000_000 + number)
    assert world.port.responder.answered <= 64
    assert world.port.responder.refused >= 4_936
    assert len(world.port.responder._waiting) <= 16
    world.run(4)
    assert world.port.peer.as_capable


def test_a_broken_information_tlv_is_a_malformed_message() -> None:
    world = GptpWorld()
    there = Neighbor(world).start()
    world.run(2)
    header = there._header(h.FOLLOW_UP, 0)
    data = pack(Timed(header, 0)) + bytes.fromhex("000300080080c20000010000")
    data = data[:2] + len(data).to_bytes(2) + data[4:]
    world.arrive(data, None)
    assert world.port.malformed == 1
    assert "Follow_Up information" in world.port.last_malformed


FRAMES = list(payloads(GPTP))


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_damaged_frames_of_ptp4l_never_raise_and_never_cost_the_neighbour(
    draw: st.DataObject,
) -> None:
    """Every message at any instant, with any bytes changed, stamped or not, to a live port."""
    world = GptpWorld(config(draw.draw(st.sampled_from(list(Role)))))
    there = Neighbor(world, announcing=True, syncing=True).start()
    world.run(2.5)
    assert world.port.peer.as_capable
    for _ in range(draw.draw(st.integers(1, 30))):
        broken = bytearray(draw.draw(st.sampled_from(FRAMES)))
        if draw.draw(st.booleans()):
            broken[20:30] = there.identity.clock + there.identity.port.to_bytes(2)
        if len(broken) >= 54 and draw.draw(st.booleans()):
            broken[44:54] = OURS.clock + OURS.port.to_bytes(2)
        for _ in range(draw.draw(st.integers(0, 4))):
            broken[draw.draw(st.integers(0, len(broken) - 1))] = draw.draw(st.integers(0, 255))
        if draw.draw(st.booleans()):
            broken[30:32] = ((world.port.peer._sequence - 1) & 0xFFFF).to_bytes(2)
        data = bytes(broken[: draw.draw(st.integers(0, len(broken)))] or broken)
        world.arrive(data, world.now if draw.draw(st.booleans()) else None)
        world.run(world.now / NS + draw.draw(st.sampled_from((0.0, 0.01, 0.3))))
    assert len(world.port.table.masters) <= 16
    assert len(world.port.gptp_slave.information) <= 17
    # a few exchanges later whatever was made believe is forgotten
    world.port.peer.log_interval = 0
    world.port.peer.next_ns = world.local.at(world.now)
    world.run(world.now / NS + 5)
    assert world.port.peer.as_capable, world.port.objection


@given(st.binary(max_size=120))
def test_any_bytes_are_a_message_or_counted(data: bytes) -> None:
    world = GptpWorld()
    world.arrive(data, None)
    world.arrive(b"\x12" + data, 1_000)
    assert world.port.malformed <= 2
