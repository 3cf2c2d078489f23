"""A locked slave lets packets wait; whoever is asked or has something to catch up with does not."""

from __future__ import annotations

from aes67.clock.timebase import MS, NS
from aes67.ptp.bmca import Role
from aes67.ptp.foreign import ForeignMaster
from aes67.ptp.modes import Mode
from aes67.ptp.port_types import PortConfig
from aes67.wire.ptp_header import DELAY_REQ, PortIdentity
from aes67.wire.ptp_messages import parse
from sim.world import Master, Oscillator, World, hardware, software

EPOCH = 1_700_000_000 * NS
OURS = PortIdentity(bytes.fromhex("020000ae67000002"), 1)


def test_a_locked_slave_wakes_up_five_times_a_second() -> None:
    world = World(1)
    Master(world, law=Oscillator(ppm=30, start_ns=EPOCH)).start()
    clock = world.slave()
    world.run(1.5)
    assert not clock.patient
    world.run(10)
    assert clock.patient
    instants = set()
    while world.now < 12 * NS:
        world.run(world.now / NS + 0.01)
        instants.add(clock.mapping.line.raw_ns)
        assert clock.next_deadline() - world.local.at(world.now) <= 200 * MS
    assert len(instants) <= 12


def test_a_slave_that_finds_nothing_new_looks_half_as_often() -> None:
    world = World(1)
    Master(world, law=Oscillator(ppm=30, start_ns=EPOCH), down=software, up=software).start()
    clock = world.slave()
    world.run(20)
    looks = {}
    while world.now < 40 * NS:
        world.run(world.now / NS + 0.01)
        raw_ns = clock.mapping.line.raw_ns
        looks[raw_ns] = clock.next_deadline() - raw_ns
    assert set(looks.values()) <= {200 * MS, 400 * MS}
    assert 50 <= len(looks) <= 70


def test_precise_stamps_are_never_left_for_long() -> None:
    world = World(1)
    Master(world, law=Oscillator(ppm=30, start_ns=EPOCH), down=hardware, up=hardware).start()
    clock = world.slave()
    world.run(20)
    while world.now < 30 * NS:
        world.run(world.now / NS + 0.01)
        assert clock.next_deadline() - clock.mapping.line.raw_ns <= 200 * MS


def test_a_request_is_ready_before_it_is_due_and_goes_out_first() -> None:
    world = World(1)
    Master(world, law=Oscillator(ppm=30, start_ns=EPOCH)).start()
    clock = world.slave()
    world.run(10)
    requests = clock.ports[0].requests
    while requests.next_ns is None or requests.next_ns > clock.next_deadline():
        world.run(world.now / NS + 0.01)
    due = clock.next_deadline()
    clock.make_ready()
    clock.make_ready()
    clock.wake(due - 1)
    assert clock.outgoing() == []
    clock.wake(due)
    [request] = clock.outgoing()
    assert request.event
    assert parse(request.data).header.message_type == DELAY_REQ
    clock.wake(due)
    assert clock.outgoing() == []


def test_a_step_is_looked_at_at_once_and_slewed_without_waiting() -> None:
    world = World(1)
    master = Master(world, law=Oscillator(ppm=30, start_ns=EPOCH), log_delay=-3).start()
    clock = world.slave()
    world.run(20)
    master.step_ns = 300_000
    world.run(22)
    assert not clock.patient
    world.run(40)
    assert clock.patient


def test_who_is_asked_for_the_time_is_not_patient() -> None:
    world = World(1)
    clock = world.run_clock(Mode.PTP, PortConfig(OURS, Role.ORDINARY, log_announce=-2))
    world.run(10)
    assert clock.leading
    assert not clock.patient


def test_without_a_master_it_waits_for_nobody() -> None:
    world = World(1)
    master = Master(world, law=Oscillator(ppm=30, start_ns=EPOCH), log_announce=-2).start()
    clock = world.slave()
    world.run(10)
    assert clock.patient
    master.alive = False
    world.run(13)
    assert clock.lock.state.name == "HOLDOVER"
    assert not clock.patient


def test_all_syncs_of_a_wait_are_completed_by_the_follow_ups_behind_them() -> None:
    """128 a second for 0.4 s, read one socket after the other."""
    master = ForeignMaster(OURS, 0)
    for batch in range(3):
        numbers = [(65_500 + 51 * batch + i) & 0xFFFF for i in range(51)]
        for i, number in enumerate(numbers):
            assert master.synced(number, i * MS, 0, 0, two_step=True) is None
        made = [master.followed_up(number, EPOCH, 0) for number in numbers]
        assert [each.raw_ns for each in made if each is not None] == [i * MS for i in range(51)]
