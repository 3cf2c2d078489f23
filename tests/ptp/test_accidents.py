"""What goes wrong on real networks, on virtual time: each test is named by the accident."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aes67.clock.lock import State
from aes67.clock.measurement import Measurement
from aes67.clock.timebase import NS
from aes67.ptp.foreign import CAPACITY, ForeignMaster
from aes67.ptp.heard import CAPACITY as HEARD
from aes67.ptp.ordinary_clock import OrdinaryClock
from aes67.ptp.snapshot import render
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Announce, Quality, Timed, pack
from sim.world import Master, Oscillator, World

EPOCH = 1_700_000_000 * NS
NAME = "00-1D-C1-FF-FE-00-00-01"


def scene(
    seconds: float = 10, seed: int = 1, **habits: object
) -> tuple[World, Master, OrdinaryClock]:
    """One master with these habits, and a slave that has run for so long."""
    world = World(seed)
    master = Master(world, law=Oscillator(ppm=30, start_ns=EPOCH))
    for name, value in habits.items():
        setattr(master, name, value)
    master.start()
    clock = world.slave()
    world.run(seconds)
    return world, master, clock


def reason(clock: OrdinaryClock) -> str:
    return clock.lock.reason


def test_all_is_well() -> None:
    world, _, clock = scene()
    assert clock.lock.state is State.LOCKED
    assert abs(world.error()) < 1_000
    assert clock.grandmaster == bytes.fromhex("001dc1fffe000001")
    snapshot = json.loads(json.dumps(render(clock, world.local.at(world.now))))
    assert snapshot["state"] == "locked"
    assert snapshot["gmid"] == NAME
    assert snapshot["gmid_hex"] == "001dc1fffe000001"
    assert snapshot["rate_ppm"] == pytest.approx(30 + 12, abs=0.1)
    assert snapshot["path_delay_ns"] == pytest.approx(1_600, abs=300)  # nine answers, each +-346 ns
    assert snapshot["messages"]["per_second"]["Sync"] == pytest.approx(8, abs=0.5)
    assert sum(snapshot["seconds_in"].values()) == pytest.approx(10, abs=0.2)


def test_nobody_is_there() -> None:
    world, master, clock = scene(alive=False)
    assert clock.lock.state is State.UNLOCKED
    assert reason(clock) == "no Announce in domain 0 on sim0 for 10 s"
    assert clock.mapping.uncertainty_ns == 2**63 - 1


def test_the_master_is_in_another_domain() -> None:
    world, _, clock = scene(domain=1)
    assert clock.lock.state is State.UNLOCKED
    assert reason(clock) == f"no Announce in domain 0 on sim0; master {NAME} heard in domain 1"
    masters = render(clock, world.local.at(world.now))["masters"]
    assert [(m["clock"], m["domain"]) for m in masters] == [(NAME, 1)]


def test_the_master_announces_but_sends_no_sync() -> None:
    _, _, clock = scene(syncing=False)
    assert reason(clock) == f"no Sync from {NAME}"


def test_the_master_sends_sync_but_no_announce() -> None:
    _, _, clock = scene(announcing=False)
    assert clock.lock.state is State.UNLOCKED
    assert reason(clock) == f"Sync but no Announce from {NAME} in domain 0"


def test_the_follow_ups_are_missing() -> None:
    _, _, clock = scene(following_up=False)
    assert clock.lock.state is State.UNLOCKED
    assert reason(clock) == f"no Follow_Up to the two-step Sync messages of {NAME}"


def test_the_follow_ups_stop() -> None:
    world, master, clock = scene()
    master.following_up = False
    world.run(14)
    assert clock.lock.state is State.HOLDOVER
    assert reason(clock).startswith(f"no Follow_Up from {NAME} for ")
    master.following_up = True
    world.run(15)
    assert clock.lock.state is State.LOCKED


def test_the_delay_responses_are_missing() -> None:
    _, _, clock = scene(answering=False, seconds=20)
    assert clock.lock.state is State.UNLOCKED
    assert reason(clock).startswith(f"{NAME} does not answer Delay_Req (")


def test_the_delay_responses_stop_and_the_lock_holds() -> None:
    world, master, clock = scene()
    master.answering = False
    world.run(130)
    assert clock.lock.state is State.LOCKED
    assert abs(world.error()) < 2_000


def test_the_kernel_gives_no_transmit_stamps() -> None:
    world = World()
    Master(world, law=Oscillator(start_ns=EPOCH)).start()
    world.transmit_stamps = False
    clock = world.slave()
    world.run(10)
    assert reason(clock) == "no transmit timestamps for our Delay_Req messages"


def test_the_kernel_gives_no_receive_stamps() -> None:
    world = World()
    Master(world, law=Oscillator(start_ns=EPOCH)).start()
    world.receive_stamps = False
    clock = world.slave()
    world.run(10)
    assert reason(clock) == f"no receive timestamps for the Sync messages of {NAME}"


def test_a_one_step_master() -> None:
    world, _, clock = scene(two_step=False)
    assert clock.lock.state is State.LOCKED
    assert abs(world.error()) < 1_000


@pytest.mark.parametrize("habit", ["sync_sequence", "announce_sequence"])
def test_the_sequence_numbers_wrap(habit: str) -> None:
    world, master, clock = scene(seconds=30, **{habit: 65_530})
    assert clock.lock.state is State.LOCKED
    assert clock.followed is not None
    assert clock.followed.syncs.lost == 0
    assert clock.followed.announces.lost == 0
    assert abs(world.error()) < 1_000


def test_the_delay_request_sequence_wraps() -> None:
    world, _, clock = scene()
    assert clock.port is not None
    clock.port.requests._sequence = 65_534
    world.run(30)
    assert clock.port.requests.answered == clock.port.requests.sent
    assert clock.lock.state is State.LOCKED


def test_the_master_dies_and_comes_back() -> None:
    world, master, clock = scene(30)
    master.alive = False
    world.run(45)
    assert clock.lock.state is State.HOLDOVER
    assert clock.grandmaster is not None
    master.alive = True
    world.run(52)
    assert clock.lock.state is State.LOCKED
    assert clock.media.session_epoch == 0
    assert np.abs(world.since(30)).max() < 3_000


def test_the_master_dies_for_good() -> None:
    world, master, clock = scene(30)
    master.alive = False
    world.run(600)
    assert clock.lock.state is State.UNLOCKED
    assert "3 sigma is" in reason(clock) or "no Announce" in reason(clock)
    assert clock.grandmaster is None
    held = next(t for t, s in reversed(world.states) if s == "unlocked") / NS
    assert 30 + 60 < held < 30 + 500


def test_the_master_steps_by_a_day() -> None:
    world, master, clock = scene(30)
    epoch = clock.media.epoch
    master.step_ns = 86_400 * NS
    world.run(32)
    assert clock.lock.state in (State.UNLOCKED, State.LOCKING)
    world.run(40)
    assert clock.lock.state is State.LOCKED
    assert abs(world.error()) < 2_000
    assert (clock.media.epoch, clock.media.session_epoch) == (epoch + 1, 1)


def test_the_master_is_rebooted_and_counts_from_its_boot() -> None:
    world, master, clock = scene(30)
    master.alive = False
    world.run(60)
    master.alive = True
    master.sync_sequence = master.announce_sequence = 0
    master.law.start_ns = 4_411 * NS - world.now
    world.run(80)
    assert clock.lock.state is State.LOCKED
    assert abs(world.error()) < 2_000
    assert clock.media.session_epoch == 1


def test_a_better_master_appears_with_the_same_time() -> None:
    world, first, clock = scene(30)
    second = Master(world, clock=bytes.fromhex("001dc1fffe000002"), priority1=1, law=first.law)
    second.start(world.now)
    world.run(50)
    assert clock.grandmaster == second.clock
    assert clock.lock.state is State.LOCKED
    assert clock.handovers == 1
    assert clock.media.session_epoch == 0
    assert np.abs(world.since(30)).max() < 3_000


def test_a_worse_master_appears_and_is_only_listed() -> None:
    world, first, clock = scene(30)
    law = Oscillator(ppm=-20, start_ns=0)
    Master(world, clock=bytes.fromhex("001dc1fffe000002"), priority1=200, law=law).start(world.now)
    world.run(60)
    assert clock.grandmaster == first.clock
    assert abs(world.error()) < 1_000
    masters = render(clock, world.local.at(world.now))["masters"]
    assert [m["selected"] for m in masters] == [True, False]


def test_the_master_dies_and_another_one_takes_over() -> None:
    world, first, clock = scene(30)
    second = Master(world, clock=bytes.fromhex("001dc1fffe000002"), priority1=200, law=first.law)
    second.answering = False
    second.start(world.now)
    world.run(40)
    first.alive = False
    second.answering = True
    world.run(60)
    assert clock.grandmaster == second.clock
    assert clock.lock.state is State.LOCKED
    assert np.abs(world.since(30)).max() < 3_000
    assert "unlocked" not in [s for t, s in world.states if t > 10 * NS]


def test_two_masters_of_different_time_fight_and_we_say_so_by_unlocking() -> None:
    world, first, clock = scene(30)
    law = Oscillator(ppm=5, start_ns=EPOCH + 3_600 * NS)
    second = Master(world, clock=bytes.fromhex("001dc1fffe000002"), priority1=1, law=law)
    second.start(world.now)
    world.run(60)
    assert clock.grandmaster == second.clock
    assert clock.lock.state is State.LOCKED
    raw_ns = world.local.at(world.now)
    assert abs(clock.mapping.line.at(raw_ns) - second.time(world.now)) < 2_000
    assert clock.media.session_epoch == 1


def test_an_absurd_time_is_refused_with_a_reason() -> None:
    world = World()
    master = Master(world, law=Oscillator(start_ns=2**62)).start()
    clock = world.slave()
    world.run(10)
    assert reason(clock) == f"the time {NAME} sends is out of range"
    assert master.answered > 0


def announce_of(number: int, sequence: int, priority1: int = 0) -> bytes:
    clock = b"\x66" + number.to_bytes(7, "big")
    header = Header(h.ANNOUNCE, PortIdentity(clock, 1), sequence, log_interval=1)
    return pack(Announce(header, 37, priority1, Quality(6, 0x20, 1), 1, clock, 0, 0x20))


def test_a_thousand_identities_announce_once_each() -> None:
    world, _, clock = scene(30)
    assert clock.port is not None
    rng = np.random.default_rng(1)
    for i in range(20_000):
        number = int(rng.integers(1_000))
        data = announce_of(number, i)
        # a flood of Announces that never come twice from one identity within their window
        world.at(world.now + i * 1_000_000, lambda d=data: world.arrive(d, None))  # type: ignore[misc]
        if i % 1_000 == 999:
            break
    world.run(50)
    assert len(clock.port.table.masters) <= CAPACITY
    assert len(clock.port.heard.masters) <= HEARD
    assert clock.lock.state is State.LOCKED
    assert clock.grandmaster == bytes.fromhex("001dc1fffe000001")
    assert [s for _, s in world.states].count("unlocked") == 1


def test_a_thousand_identities_send_everything_all_the_time() -> None:
    world, _, clock = scene(30)
    assert clock.port is not None
    before = [len(clock.port.table.masters), len(clock.port.heard.masters)]
    for i in range(5_000):
        clock_id = b"\x66" + (i % 1_000).to_bytes(7, "big")
        header = Header(h.SYNC, PortIdentity(clock_id, 1), i & 0xFFFF, flags=h.TWO_STEP)
        follow = Header(h.FOLLOW_UP, PortIdentity(clock_id, 1), (i + 7) & 0xFFFF)
        announce = announce_of(i % 1_000, i, 255)
        for data in (announce, pack(Timed(header, 0)), pack(Timed(follow, 5))):
            stamp = world.now + i * 2_000_000
            world.at(stamp, lambda d=data, s=stamp: world.arrive(d, s))  # type: ignore[misc]
    world.run(50)
    assert before[0] == 1
    assert len(clock.port.table.masters) <= CAPACITY
    assert len(clock.port.heard.masters) <= HEARD
    assert clock.lock.state is State.LOCKED
    assert clock.grandmaster == bytes.fromhex("001dc1fffe000001")
    assert abs(world.error()) < 2_000


def test_a_master_alternates_between_one_and_two_step() -> None:
    world, master, clock = scene(10)
    for second in range(11, 30):
        master.two_step = not master.two_step
        world.run(second)
    assert clock.lock.state is State.LOCKED
    assert abs(world.error()) < 1_000


def test_every_message_comes_twice() -> None:
    world = World()
    Master(world, law=Oscillator(ppm=30, start_ns=EPOCH)).start()
    clock = world.slave()
    once = world.arrive

    def twice(data: bytes, stamp: int | None) -> None:
        once(data, stamp)
        once(data, stamp)

    world.arrive = twice  # type: ignore[method-assign]
    world.run(20)
    assert clock.lock.state is State.LOCKED
    assert abs(world.error()) < 1_000
    assert clock.followed is not None
    assert clock.followed.syncs.lost == 0


def test_an_alternate_master_and_our_own_messages_are_not_masters() -> None:
    world, _, clock = scene(5, alive=False)
    assert clock.port is not None
    own = clock.port.config.identity
    for i in range(8):
        for source, flags in ((own, 0), (PortIdentity(b"\x66" * 8, 1), h.ALTERNATE_MASTER)):
            header = Header(h.ANNOUNCE, source, i, flags=flags, log_interval=1)
            message = Announce(header, 37, 0, Quality(6, 0x20, 1), 1, source.clock, 0, 0x20)
            clock.receive(pack(message), "10.0.0.9", world.local.at(world.now), None)
        world.run(world.now / NS + 1)
    assert clock.port.selected is None
    assert not clock.port.table.masters


@pytest.mark.parametrize("steps", [255, 65_535])
def test_a_master_behind_too_many_boundary_clocks_is_ignored(steps: int) -> None:
    _, _, clock = scene(steps_removed=steps)
    assert clock.port is not None
    assert clock.port.selected is None


def test_gptp_on_the_same_wire_is_listed_and_ignored() -> None:
    world, _, clock = scene(5, alive=False)
    for i in range(4):
        header = Header(h.ANNOUNCE, PortIdentity(b"\x66" * 8, 1), i, major_sdo=1, log_interval=0)
        message = Announce(header, 37, 0, Quality(6, 0x20, 1), 1, b"\x66" * 8, 0, 0x20)
        clock.receive(pack(message), "10.0.0.9", world.local.at(world.now), None)
        world.run(world.now / NS + 1)
    assert "66-66-66-66-66-66-66-66 heard in domain 0 (gPTP)" in reason(clock)


def test_only_garbage_arrives() -> None:
    world, _, clock = scene(5, alive=False)
    for size in range(100):
        clock.receive(b"\x00" * size, "10.0.0.9", world.local.at(world.now), None)
    world.run(6)
    assert clock.port is not None
    assert clock.port.malformed == 100
    assert reason(clock).startswith("only malformed PTP messages on sim0")


@pytest.mark.parametrize("lost", ["Sync", "Follow_Up"])
def test_what_lost_its_counterpart_does_not_meet_the_one_of_hours_later(lost: str) -> None:
    """The sequence numbers come again after 65536."""
    master = ForeignMaster(PortIdentity(bytes(8), 1), 0)

    def sync(number: int) -> Measurement | None:
        return master.synced(number & 0xFFFF, number * NS + 5, 0, 0, two_step=True)

    def follow_up(number: int) -> Measurement | None:
        return master.followed_up(number & 0xFFFF, number * NS, 0)

    assert (follow_up if lost == "Sync" else sync)(7) is None
    for number in (*range(8, 100), *range(65_535, 65_560)):
        first, second = (sync, follow_up) if lost == "Sync" else (follow_up, sync)
        assert first(number) is None
        found = second(number)
        assert found is not None
        assert (found.raw_ns, found.master_ns) == (number * NS + 5, number * NS)
    assert (sync(65_561), sync(65_562)) == (None, None)
    assert follow_up(65_562) is not None, "those on their way wait for each other"
    assert follow_up(65_561) is not None


def test_while_nothing_is_followed_nobody_knows_the_offset() -> None:
    world, master, clock = scene(30)
    master.step_ns = 2 * NS
    states = set()
    while world.now < 40 * NS:
        world.run(world.now / NS + 0.05)
        snapshot = render(clock, world.local.at(world.now))
        states.add(snapshot["state"])
        locked = snapshot["state"] == "locked"
        assert (snapshot["offset_ns"] is not None) is locked
        assert (snapshot["uncertainty_ns"] is not None) is locked
    assert states == {"locked", "unlocked", "locking"}


def test_a_better_master_that_cannot_be_measured_is_the_reason() -> None:
    world, master, clock = scene(30)
    better = Master(world, bytes.fromhex("001dc1fffe000002"), master.law, priority1=1)
    better.syncing = False
    better.start(world.now)
    world.run(60)
    assert clock.lock.state is State.HOLDOVER
    name = "00-1D-C1-FF-FE-00-00-02"
    assert reason(clock).startswith(f"taking over from {NAME} to {name}: no Sync from {name}")


def test_a_better_master_of_another_time_is_told_from_a_jump() -> None:
    world, master, clock = scene(30)
    reasons: list[str] = []
    become = clock.lock.become

    def noted(state: State, reason: str, now_ns: int) -> bool:
        reasons.append(reason)
        return become(state, reason, now_ns)

    clock.lock.become = noted  # type: ignore[method-assign]
    law = Oscillator(ppm=30, start_ns=EPOCH + 3 * NS)
    better = Master(world, bytes.fromhex("001dc1fffe000002"), law, priority1=1).start(world.now)
    world.run(60)
    assert "00-1D-C1-FF-FE-00-00-02 is followed now, whose time differs by 3 s" in reasons
    assert not [each for each in reasons if "jumped" in each]
    better.step_ns = NS
    world.run(70)
    assert "the master's time jumped by 1 s" in reasons


def test_a_master_that_announces_less_often_than_it_says() -> None:
    _, _, clock = scene(30, said_log_announce=-3)
    assert reason(clock) == f"{NAME} announces less often than it says"
