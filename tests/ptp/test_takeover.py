"""Mode `ptp`: follow while there is a better master, lead hitlessly when there is none."""

from __future__ import annotations

import numpy as np

from aes67.clock.lock import State
from aes67.clock.timebase import NS
from aes67.ptp.bmca import PortState, Role
from aes67.ptp.modes import Mode
from aes67.ptp.ordinary_clock import OrdinaryClock
from aes67.ptp.port_types import PortConfig
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import PortIdentity
from aes67.wire.ptp_messages import Timed, parse
from sim.world import Master, Oscillator, World

EPOCH = 1_700_000_000 * NS
US = PortIdentity(bytes.fromhex("020000ae67000002"), 1)


class Wire:
    """What our clock said as a master: (true instant of reading, message)."""

    def __init__(self, world: World) -> None:
        self.times: list[tuple[int, int]] = []
        self.departures: dict[int, int] = {}
        transmit = world._transmit

        def spy(data: bytes, event: bool, token: tuple[int, int]) -> None:
            message = parse(data)
            kind, sequence = message.header.message_type, message.header.sequence_id
            if kind == h.SYNC:
                self.departures[sequence] = world.now + 15_000
            if kind == h.FOLLOW_UP and isinstance(message, Timed):
                self.times.append((self.departures.pop(sequence), message.time_ns))
            transmit(data, event, token)

        world._transmit = spy  # type: ignore[method-assign]


def scene(seconds: float, priority1: int = 250) -> tuple[World, Master, OrdinaryClock, Wire]:
    world = World(3)
    master = Master(world, law=Oscillator(ppm=30, start_ns=EPOCH)).start()
    config = PortConfig(US, Role.ORDINARY, priority1=priority1, log_announce=0)
    clock = world.run_clock(Mode.PTP, config, 5 * NS)
    wire = Wire(world)
    world.run(seconds)
    return world, master, clock, wire


def test_alone_it_leads_after_the_announce_timeout() -> None:
    world, master, clock, wire = scene(0)
    master.alive = False
    world.run(10)
    assert clock.leading
    assert clock.lock.state is State.LOCKED
    assert world.first("locked") <= 4 + 0.5
    assert clock.grandmaster == US.clock
    assert len(wire.times) > 30
    raw = [world.local.at(t) + 5 * NS for t, _ in wire.times]
    assert max(abs(a - b) for a, (_, b) in zip(raw, wire.times, strict=True)) <= 2


def test_when_the_master_dies_its_time_and_rate_go_on() -> None:
    world, master, clock, wire = scene(60)
    assert not wire.times
    assert clock.port is not None
    assert clock.port.state is PortState.SLAVE
    master.alive = False
    world.run(120)
    assert clock.leading
    assert "unlocked" not in [s for t, s in world.states if t > 10 * NS]
    assert np.abs(world.since(60)).max() < 3_000
    sent = np.array([time - master.time(true) for true, time in wire.times])
    assert np.abs(sent).max() < 3_000
    assert np.abs(np.diff(sent)).max() < 200
    assert clock.media.session_epoch == 0


def test_when_the_master_returns_we_give_way_without_a_jump() -> None:
    world, master, clock, wire = scene(60)
    master.alive = False
    world.run(100)
    assert clock.leading
    master.alive = True
    world.run(115)
    count = len(wire.times)
    world.run(140)
    assert not clock.leading
    assert len(wire.times) == count
    assert clock.lock.state is State.LOCKED
    assert clock.grandmaster == master.clock
    assert clock.media.session_epoch == 0
    assert np.abs(world.since(60)).max() < 5_000
    assert "unlocked" not in [s for t, s in world.states if t > 10 * NS]


def test_a_better_master_with_another_time_is_a_declared_discontinuity() -> None:
    world, master, clock, _ = scene(0)
    master.alive = False
    world.run(20)
    assert clock.leading
    master.alive = True
    world.run(40)
    assert clock.lock.state is State.LOCKED
    assert abs(world.error()) < 1_000
    assert (clock.media.epoch, clock.media.session_epoch) == (1, 1)


def test_a_better_master_that_does_not_answer_us_is_not_taken_for_locked() -> None:
    world, master, clock, _ = scene(0)
    master.alive = False
    world.run(20)
    master.alive, master.answering = True, False
    world.run(40)
    assert clock.lock.state is State.UNLOCKED
    assert "does not answer Delay_Req" in clock.lock.reason


def test_preferred_it_leads_over_the_other_master() -> None:
    _, _, clock, wire = scene(20, priority1=1)
    assert clock.leading
    assert wire.times
    assert "announces in domain 0 too" in clock.lock.reason
