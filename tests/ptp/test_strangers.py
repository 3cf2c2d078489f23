"""Masters nobody invited, in virtual time: the list of allowed ones, floods, a known asymmetry."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from aes67.clock.lock import State
from aes67.clock.timebase import NS
from aes67.ptp.bmca import Role
from aes67.ptp.foreign import CAPACITY, WAITING
from aes67.ptp.heard import CAPACITY as HEARD
from aes67.ptp.ordinary_clock import Mode, OrdinaryClock
from aes67.ptp.port_types import PortConfig
from aes67.ptp.snapshot import render
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Announce, Quality, Timed, pack
from sim.gptp_world import GptpWorld, Neighbor, config
from sim.world import Master, Oscillator, World, fixed

EPOCH = 1_700_000_000 * NS
OURS = PortIdentity(bytes.fromhex("020000ae67000002"), 1)
GOOD = bytes.fromhex("001dc1fffe000001")
EVIL = bytes.fromhex("666666fffe666666")
NAME = "66-66-66-FF-FE-66-66-66"


def slave(world: World, allowed: tuple[bytes, ...] = (), asymmetry_ns: int = 0) -> OrdinaryClock:
    config = PortConfig(
        OURS, Role.SLAVE_ONLY, allowed_masters=frozenset(allowed), asymmetry_ns=asymmetry_ns
    )
    return world.run_clock(Mode.PTP_SLAVE, config, 123 * NS)


def good(world: World) -> Master:
    return Master(world, law=Oscillator(ppm=30, start_ns=EPOCH))


def evil(world: World) -> Master:
    """Better than any other by its data set, with a time of its own."""
    return Master(world, clock=EVIL, priority1=0, law=Oscillator(ppm=-20, start_ns=EPOCH // 2))


def test_a_better_master_that_is_not_allowed_changes_nothing() -> None:
    world = World()
    good(world).start()
    evil(world).start()
    clock = slave(world, (GOOD,))
    world.run(30)
    assert clock.lock.state is State.LOCKED
    assert clock.grandmaster == GOOD
    assert abs(world.error()) < 1_000
    snapshot = render(clock, world.local.at(world.now))
    allowed = {m["clock"]: m["allowed"] for m in snapshot["masters"]}
    assert allowed == {"00-1D-C1-FF-FE-00-00-01": True, NAME: False}
    assert snapshot["allowed_masters"] == ["00-1D-C1-FF-FE-00-00-01"]
    assert snapshot["messages"]["not_allowed"] > 200


def test_only_a_master_that_is_not_allowed_is_there_and_the_reason_says_so() -> None:
    world = World()
    evil(world).start()
    clock = slave(world, (GOOD,))
    world.run(10)
    assert clock.lock.state is State.UNLOCKED
    assert clock.lock.reason == (
        f"no allowed master in domain 0 on sim0; {NAME} not in ptp_allowed_masters"
    )


def test_slaves_that_are_not_on_the_list_are_answered_all_the_same() -> None:
    world = World()
    config = PortConfig(OURS, Role.MASTER_ONLY, allowed_masters=frozenset((GOOD,)))
    clock = world.run_clock(Mode.GRANDMASTER, config)
    clock.handle_timer(world.local.at(world.now))
    clock.outgoing()
    request = Timed(Header(h.DELAY_REQ, PortIdentity(EVIL, 1), 7), 0)
    clock.receive(pack(request), "10.0.0.9", 1, world.local.at(world.now))
    kinds = [message.data[0] & 0x0F for message in clock.outgoing()]
    assert h.DELAY_RESP in kinds


@pytest.mark.parametrize("asymmetry_us", [40, -40])
def test_a_known_asymmetry_is_taken_out(asymmetry_us: int) -> None:
    """10 us there and 90 us back: half of the difference is what the mean is wrong by."""
    down, up = 50_000 + 1_000 * asymmetry_us, 50_000 - 1_000 * asymmetry_us
    errors = []
    for correction in (0, 1_000 * asymmetry_us):
        world = World()
        master = good(world)
        master.down, master.up = fixed(down), fixed(up)
        master.start()
        clock = slave(world, asymmetry_ns=correction)
        world.run(20)
        assert clock.lock.state is State.LOCKED
        errors.append(world.error())
        path = render(clock, world.local.at(world.now))["path_delay_ns"]
        assert path == pytest.approx(50_000, abs=200)
    assert errors[0] == pytest.approx(-1_000 * asymmetry_us, abs=200)
    assert errors[1] == pytest.approx(0, abs=200)


def test_a_known_asymmetry_is_taken_out_of_a_gptp_link_too() -> None:
    errors = []
    for asymmetry_ns in (0, 300):
        world = GptpWorld(config(link_delay_limit_ns=10_000, asymmetry_ns=asymmetry_ns))
        Neighbor(world, announcing=True, syncing=True, down=fixed(700), up=fixed(100)).start()
        world.run(20)
        assert world.port.peer.delay_ns == pytest.approx(400, abs=10)
        errors.append(world.error())
    assert errors[0] == pytest.approx(-300, abs=20)
    assert errors[1] == pytest.approx(0, abs=20)


def announcing(number: int, sequence: int, priority1: int) -> bytes:
    clock = b"\x66" + number.to_bytes(7, "big")
    header = Header(h.ANNOUNCE, PortIdentity(clock, 1), sequence & 0xFFFF, log_interval=1)
    return pack(Announce(header, 37, priority1, Quality(6, 0x20, 1), 1, clock, 0, 0x20))


def flood(
    world: World, seconds: float, priority1: int, identities: int, every_ns: int = 2_000_000
) -> None:
    """Announces from so many identities in turn, from now on."""
    for i in range(round(seconds * NS) // every_ns):
        data = announcing(i % identities, i, priority1)
        world.at(world.now + i * every_ns, lambda d=data: world.arrive(d, None))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("priority1", "identities"), [(255, 1_000), (255, 10_000_000), (0, 10_000_000)]
)
def test_a_master_is_found_in_the_middle_of_a_flood(priority1: int, identities: int) -> None:
    """Worse ones that come again and again, and better ones that come only once."""
    world = World()
    clock = slave(world)
    flood(world, 22, priority1, identities)
    world.run(2)
    good(world).start(world.now)
    world.run(20)
    assert clock.lock.state is State.LOCKED
    assert clock.grandmaster == GOOD


def test_a_thousand_better_masters_without_a_time_do_not_unlock_us() -> None:
    world = World()
    good(world).start()
    clock = slave(world)
    world.run(20)
    since = len(world.states)
    flood(world, 20, 0, 1_000, 2_000_000)
    world.run(40)
    assert clock.lock.state in (State.LOCKED, State.HOLDOVER)
    assert "unlocked" not in [state for _, state in world.states[since:]]
    assert clock.grandmaster == GOOD, "its time goes on being measured"
    assert np.abs(world.since(20)).max() < 3_000
    world.run(60)
    assert clock.lock.state is State.LOCKED


def test_a_flood_does_not_grow_memory() -> None:
    world = World()
    clock = slave(world)
    assert clock.port is not None

    def burst(first: int) -> None:
        for i in range(first, first + WAITING + 100):
            now_ns = world.local.at(world.now) + i * 1_000
            clock.receive(announcing(i, i, i & 0xFF), "10.0.0.9", now_ns, None)
            clock.outgoing()

    burst(0)
    tracemalloc.start()
    burst(100_000)
    before, _ = tracemalloc.get_traced_memory()
    for k in range(2, 4):
        burst(100_000 * k)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 50_000
    assert len(clock.port.table.masters) <= CAPACITY
    assert len(clock.port.heard.masters) <= HEARD


def test_a_real_master_stays_on_the_list_of_those_heard() -> None:
    world = World()
    good(world).start()
    clock = slave(world)
    world.run(10)
    flood(world, 15, 255, 1_000)
    world.run(25)
    masters = {m["clock"]: m for m in render(clock, world.local.at(world.now))["masters"]}
    assert masters["00-1D-C1-FF-FE-00-00-01"]["messages"] > 300
