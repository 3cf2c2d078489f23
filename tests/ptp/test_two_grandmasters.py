"""One clock between two networks that each keep a grandmaster of their own: it says so in words."""

from __future__ import annotations

from aes67.clock.timebase import MS, NS, Line
from aes67.ptp.bmca import Role
from aes67.ptp.modes import Mode
from aes67.ptp.ordinary_clock import OrdinaryClock
from aes67.ptp.port_types import PortConfig
from aes67.ptp.snapshot import render
from aes67.wire.ptp_header import PortIdentity
from ptp.test_boundary import EPOCH, GOOD, POOR, US, Neighbour, Wires, wires

INSISTS = "eth1 has another grandmaster, 00-1D-C1-FF-FE-00-00-09"


def reason(world: Wires) -> str:
    return str(render(world.clock, world.now_ns)["reason"])


def test_a_slave_says_which_network_it_does_not_follow_and_how_far_that_is() -> None:
    behind = Neighbour(POOR, 200, ahead_ns=EPOCH - 3200 * MS)
    world = wires([Neighbour(GOOD, 100)], [behind], role=Role.SLAVE_ONLY, mode=Mode.PTP_SLAVE)
    world.run(8)
    assert world.states() == ["slave", "passive"]
    assert f"{INSISTS}, 3.2 s behind ours, which is not followed (ptp_clocks" in reason(world)
    assert INSISTS not in world.clock.lock.reason


def test_a_master_that_goes_on_beside_our_time_is_named() -> None:
    world = wires([Neighbour(GOOD, 100)], [Neighbour(POOR, 200, ahead_ns=EPOCH + 50 * NS)])
    world.run(8)
    assert world.states() == ["slave", "master"]
    assert "which goes on announcing beside our time" in reason(world)


def test_who_gives_in_to_the_better_master_is_forgotten() -> None:
    other = Neighbour(POOR, 200)
    world = wires([Neighbour(GOOD, 100)], [other])
    world.run(8)
    assert INSISTS in reason(world)
    other.alive = False
    world.run(4)
    assert "another grandmaster" not in reason(world)


def test_two_ways_to_one_grandmaster_are_no_division() -> None:
    near = Neighbour(GOOD, steps=1, grandmaster=POOR)
    far = Neighbour(bytes.fromhex("001dc1fffe000002"), steps=1, grandmaster=POOR)
    world = wires([near], [far])
    world.run(8)
    assert "another grandmaster" not in reason(world)


def test_a_division_ends_with_the_master_we_followed() -> None:
    good = Neighbour(GOOD, 100)
    world = wires([good], [Neighbour(POOR, 200)], role=Role.SLAVE_ONLY, mode=Mode.PTP_SLAVE)
    world.run(8)
    assert f"{INSISTS}, of the same time as ours" in reason(world)
    good.alive = False
    world.run(8)
    assert world.states()[1] == "slave"
    assert "another grandmaster" not in reason(world)


def test_two_clocks_follow_both_networks_each_for_itself() -> None:
    """What the configuration of two clock domains makes of the same two networks."""
    times = (EPOCH, EPOCH + 3600 * NS)
    clocks = []
    for number, ahead_ns in enumerate(times):
        identity = PortIdentity(US[:-1] + bytes((number,)), 1)
        config = PortConfig(identity, Role.SLAVE_ONLY, interface=f"eth{number}")
        clock = OrdinaryClock(Mode.PTP_SLAVE, [config], lambda: 0.5, 0, Line(0, 5 * NS))
        master = Neighbour((GOOD, POOR)[number], 100 + number, ahead_ns=ahead_ns)
        world = Wires(clock, [[master], []])
        world.run(8)
        assert world.states() == ["slave"]
        assert clock.grandmaster == (GOOD, POOR)[number]
        assert "another grandmaster" not in reason(world)
        clocks.append(clock)
    lines = [clock.media.line for clock in clocks]
    apart = lines[1].at(8 * NS) - lines[0].at(8 * NS)
    assert abs(apart - 3600 * NS) < 200
