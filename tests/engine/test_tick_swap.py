"""Plans: swapped whole between two ticks, refused whole, and what they leave behind."""

from __future__ import annotations

import gc
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aes67.engine.plan import Plan
from aes67.engine.tables import TABLE_BYTES
from aes67.errors import Refused
from aes67.shm.layout import BUS, RUN_RUNNING, SINK_ROW, SOURCE_ROW
from aes67.shm.region import bus_samples
from sim.plans import plan_message
from sim.tick_world import (
    DELAY,
    PORT,
    Client,
    Stream,
    World,
    group,
    noise,
    plan_for,
    tables,
    undisturbed,
)

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]  # the first one may compile


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_streams_a_plan_does_not_touch_lose_no_packet() -> None:
    def scenario(world: World) -> None:
        kept = Stream()
        world.apply([kept], [kept])
        samples = noise(24_000, 2)
        first = Client(world, buffer_frames=24_000).play(samples)
        for number in range(1, 12):
            others = [Stream(number), Stream(number + 20, frames=6)]
            world.apply([kept, *others], [kept, *others[: number % 3]], tick_frames=6 + number % 7)
        got = world.heard(first + DELAY, 24_000, (0, 1))
        assert np.array_equal(got, samples & -256)
        sink = world.counters("sinks")
        for name in ("lost", "late", "reordered", "sequence_errors", "timestamp_errors"):
            assert sink[name] == 0
        assert world.counters("engine")["table_swaps"] == 12
        assert world.counters("engine")["table_serial"] == 12
        assert sink["packets"] >= 24_000 // 48

    undisturbed(scenario)


def test_counters_belong_to_an_identity(world: World) -> None:
    kept, changed = Stream(), Stream(1)
    world.apply([kept, changed], [kept, changed])
    world.until(lambda: world.counters("sinks", 1)["packets"] > 30)
    before = world.counters("sinks"), world.counters("sources")
    other = replace(changed, identity=77, frames=96)
    world.apply([kept, other], [kept, other])
    assert world.counters("sinks")["packets"] >= before[0]["packets"]
    assert world.counters("sources")["packets"] >= before[1]["packets"]
    for section in ("sinks", "sources"):
        assert world.counters(section, 1)["identity"] == 77
        assert world.counters(section, 1)["packets"] < 30
    world.until(lambda: world.counters("sinks", 1)["ssrc"] == 0xABC1)
    world.apply()
    assert world.counters("sinks")["identity"] == world.counters("sinks")["packets"] == 0


def test_a_sink_that_goes_leaves_silence_behind() -> None:
    """Its ring row is cleared as time passes over it, so that no old sound comes around again."""

    def scenario(world: World) -> None:
        stream = Stream()
        world.apply([stream], [stream], rate=384_000, tick_frames=96)
        client = Client(world, buffer_frames=1 << 17)
        first = client.play(np.full((1 << 17, 2), 1 << 30, np.int32))
        world.until_done(first + DELAY + 200_000)
        bus = bus_samples(world.engine.bus)  # type: ignore[arg-type]
        assert np.count_nonzero(bus[0]) > 100_000
        other = Stream(channel_map=(1, 2), identity=5)
        world.apply([stream], [other], rate=384_000, tick_frames=96)
        at = world.done()
        world.until_done(at + 1000)
        slots = np.arange(at, at + 900) & (bus.shape[1] - 1)
        assert not bus[0][slots].any(), "what was written ahead is not heard either"
        client.close()
        world.until_done(at + bus.shape[1])
        assert not bus[0].any()

    undisturbed(scenario)


def test_another_rate_makes_another_bus(world: World) -> None:
    world.apply([], [Stream()])
    old = world.engine.bus
    assert old is not None
    world.until(lambda: world.done() > 0)
    world.apply([], [Stream()], tick_frames=6)
    assert world.engine.bus is old
    world.apply([], [Stream()], rate=96_000)
    bus = world.engine.bus
    assert bus is not None
    assert bus is not old
    header = bus.view(BUS)[0]
    assert (header["rate"], header["channels"], header["frames"]) == (96_000, 64, 65_536)
    world.until(lambda: abs(world.done() - world.now(96_000)) < 9600)
    world.apply([], [Stream()], rate=96_000, device_channels=8)
    assert world.engine.bus is not bus


def test_an_interface_that_comes_back_is_another_one(world: World) -> None:
    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    def send() -> None:
        where = [{"interface": "near", "port": PORT}]
        member = [{"interface": "near", "group": group(0), "source": None}]
        world.apply([Stream()], sockets=where, memberships=member)
        sent = world.counters("sources")["packets"]
        world.until(lambda: world.counters("sources")["packets"] > sent + 10)

    for _ in range(2):
        ip("link", "add", "near", "type", "veth", "peer", "far")
        ip("link", "set", "far", "up")
        ip("link", "set", "near", "up")
        ip("address", "add", "10.9.9.1/24", "dev", "near")
        send()
        ip("link", "delete", "near")
        with pytest.raises(Refused, match="no such interface"):
            send()


REFUSALS: list[tuple[str, dict[str, Any]]] = [
    ("sockets[0]", {"sockets": [{"interface": "nosuch0", "port": PORT}], "memberships": []}),
    (
        "memberships[0]",
        {"memberships": [{"interface": "no0", "group": "239.1.1.1", "source": None}]},
    ),
]


@pytest.mark.parametrize(("field", "changes"), REFUSALS)
def test_a_plan_whose_sockets_will_not_open_changes_nothing(
    world: World, field: str, changes: dict[str, Any]
) -> None:
    world.apply([Stream()], [Stream()])
    plan, bus, before = world.engine.plan, world.engine.bus, descriptors()
    more = {"sockets": [{"interface": "lo", "port": PORT}, {"interface": "lo", "port": 6000}]}
    with pytest.raises(Refused) as refusal:
        world.apply([Stream()], [Stream()], **(more | changes))
    assert refusal.value.field == field
    assert descriptors() == before
    assert (world.engine.plan, world.engine.bus) == (plan, bus)
    packets = world.counters("sinks")["packets"]
    world.until(lambda: world.counters("sinks")["packets"] > packets + 10)
    assert world.counters("engine")["table_serial"] == 1


def test_a_port_that_somebody_keeps_for_himself_is_refused(world: World) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as selfish:
        selfish.bind(("", PORT))
        with pytest.raises(Refused, match="Address already in use"):
            world.apply([Stream()])
    world.apply([Stream()])


ROW_FAULTS = [
    ("source", "codec", 9), ("source", "channels", 65), ("source", "channels", 0),
    ("source", "payload_type", 128), ("source", "ttl", 0), ("source", "dscp", 64),
    ("source", "leg_count", 3), ("source", "socket", 1), ("source", "dest_port", 0),
    ("source", "frames_per_packet", 400), ("source", "ssrc", -1), ("source", "map", 64),
    ("source", "map", -1), ("source", "enabled", 2), ("source", "ts_offset", 2**32),
    ("sink", "codec", 0), ("sink", "delay_frames", -1), ("sink", "delay_frames", 50_000),
    ("sink", "timing", 3), ("sink", "port", 5006), ("sink", "map", 64), ("sink", "map", -2),
    ("sink", "frames_per_packet", 0), ("sink", "group_ip", 2**32), ("sink", "source_ip", -1),
]  # fmt: skip


@pytest.mark.parametrize(("end", "field", "value"), ROW_FAULTS)
def test_a_row_outside_its_range_is_refused(
    unplanned: World, end: str, field: str, value: int
) -> None:
    stream = Stream(number=3)
    memory = bytearray(tables([stream], [stream]))
    start, struct_ = (0, SOURCE_ROW) if end == "source" else (64 * SOURCE_ROW.size, SINK_ROW)
    row = np.frombuffer(memory, struct_.dtype, 64, start)[3]
    if row[field].ndim:
        row[field][0] = value
    else:
        row[field] = value
    with pytest.raises(Refused) as refusal:
        unplanned.engine.apply(plan_for([stream]), bytes(memory))
    assert refusal.value.field == f"{end}s[3].{field}"
    assert unplanned.engine.plan is None


@pytest.fixture(scope="module")
def unplanned() -> Iterator[World]:
    """An engine that never gets a plan."""
    with World() as world:
        yield world


def test_tables_of_another_size_are_refused(unplanned: World) -> None:
    with pytest.raises(Refused, match="tables"):
        unplanned.engine.apply(plan_for([]), bytes(TABLE_BYTES - 1))


def test_two_sinks_cannot_have_one_channel(unplanned: World) -> None:
    sinks = [Stream(0, channel_map=(1, 2)), Stream(1, channel_map=(2, 3))]
    with pytest.raises(Refused) as refusal:
        unplanned.engine.apply(plan_for(sinks), tables([], sinks))
    assert refusal.value.field == "sinks[1].map"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_wild_tables_are_refused_or_run(unplanned: World, data: st.DataObject) -> None:
    """Any 8 bytes anywhere in a row; afterwards the tick still ticks."""
    stream = Stream(number=data.draw(st.sampled_from([0, 63])))
    memory = bytearray(tables([stream], [stream]))
    value = data.draw(st.integers(-(2**63), 2**63 - 1) | st.integers(-70, 70))
    rows = data.draw(st.sampled_from([0, 64 * 512])) + stream.number * 512
    struct.pack_into("<q", memory, rows + 8 * data.draw(st.integers(0, 40)), value)
    ticks = unplanned.counters("engine")["ticks"]
    try:
        unplanned.engine.apply(plan_for([stream]), bytes(memory))
    except Refused:
        pass
    finally:
        unplanned.engine.plan = None
    unplanned.until(lambda: unplanned.counters("engine")["ticks"] > ticks + 3)


def test_a_hundred_groups_on_one_port(world: World) -> None:
    sinks = [Stream(n, channels=1) for n in range(64)]
    world.apply([Stream(n, channels=1) for n in range(64)], sinks)
    world.until(lambda: all(world.counters("sinks", n)["packets"] > 5 for n in range(64)))
    assert world.counters("engine")["unmatched"] == 0


def test_plans_can_follow_each_other_without_end(world: World) -> None:
    before = None
    for number in range(60):
        world.apply([Stream(number % 5)], [Stream(number % 7)])
        if number == 10:
            before = len(descriptors())
    assert len(descriptors()) <= before + 2  # type: ignore[operator]


def test_a_group_is_left_when_no_plan_names_it(world: World) -> None:
    world.apply([], [Stream(n) for n in range(30)])
    with open("/proc/thread-self/net/igmp") as listing:
        joined = listing.read()
    assert joined.count("4DEF") == 30
    world.apply([], [Stream(3)])
    with open("/proc/thread-self/net/igmp") as listing:
        left = listing.read()
    assert left.count("4DEF") == 1
    assert f"0{3 + 1}004DEF" in left, group(3)


@pytest.fixture(scope="module")
def hostile() -> Iterator[tuple[World, Client, Client]]:
    """An engine with a client that plays noise and one that tells lies."""
    with World() as world:
        streams = [Stream(), Stream(1)]
        world.apply(streams, streams)
        honest = Client(world, buffer_frames=1 << 17)
        honest.play(noise(1 << 17, 2))
        honest.ring[:] = noise(honest.playback.ring_frames, 2)
        villain = Client(world, first=2)
        world.until_done(int(honest.header["anchor"]) + DELAY + 1000)
        yield world, honest, villain


class TestClients:
    def test_streams_open_and_close_without_leaving_anything(self, world: World) -> None:
        world.apply([Stream()], [])
        gc.collect()
        before = descriptors()
        for number in range(50):
            client = Client(world, first=number % 8)
            client.play(noise(100, 2), ahead=0)
            client.close()
        del client
        world.until(lambda: world.engine.collect() or not world.engine._streams.closing)
        assert descriptors() <= before
        with open("/proc/self/maps") as maps:
            assert "aes67-stream" not in maps.read()

    def test_a_jump_or_another_rate_lets_go_of_ended_streams(self, world: World) -> None:
        """What they still had to send lies at frames that will never, or long not, come."""
        world.apply([Stream(frames=192)])
        for change in ("back", "rate"):
            client = Client(world)
            first = client.play(noise(9000, 2), ahead=0)
            world.until(lambda first=first: world.now() > first + 1000)  # type: ignore[misc]
            client.close()
            if change == "back":
                line = world.engine.clock_page.media()
                world.clock(media_ns=line.media_ns - 10**12, epoch=line.epoch + 1)
            else:
                world.apply([Stream(frames=192)], rate=44_100, tick_frames=11)
            world.until(lambda: world.engine.collect() or not world.engine._streams.closing)

    def test_a_plan_can_follow_a_stop(self, world: World) -> None:
        world.apply([Stream()], [Stream()])
        world.engine.stop()
        assert world.engine.plan is None
        assert not world.engine.ticking
        world.engine.start()
        assert world.engine.ticking
        world.apply([Stream()], [Stream()])
        packets = world.counters("sinks")["packets"]
        world.until(lambda: world.counters("sinks")["packets"] > packets + 10)

    def test_a_client_cannot_keep_the_memory_of_ended_streams(self, world: World) -> None:
        world.apply([Stream()], [])
        client = Client(world, buffer_frames=48_000)
        client.play(noise(40_000, 2))
        kept = os.dup(client.playback.region.fd)
        assert os.fstat(kept).st_blocks * 512 > 40_000 * 2 * 4
        client.close()
        world.until(lambda: world.engine.collect() or not world.engine._streams.closing)
        assert os.fstat(kept).st_blocks == 0
        os.close(kept)

    def test_there_are_128_and_no_more(self, world: World) -> None:
        world.apply()
        clients = [Client(world, buffer_frames=10) for _ in range(128)]
        with pytest.raises(Refused, match="128"):
            Client(world)
        for client in clients:
            client.close()
        world.until(lambda: world.engine.collect() or not world.engine._streams.closing)
        Client(world)

    @pytest.mark.parametrize(
        ("field", "values"),
        [("channels", (0, 0, 10)), ("channels", (65, 0, 10)), ("first", (2, 63, 10)),
         ("first", (2, -1, 10)), ("buffer_frames", (2, 0, 0)), ("buffer_frames", (2, 0, 10**9))],
    )  # fmt: skip
    def test_what_the_device_has_not_is_refused(
        self, world: World, field: str, values: tuple[int, int, int]
    ) -> None:
        channels, first, frames = values
        world.apply()
        with pytest.raises(Refused) as refusal:
            world.engine.open_playback(channels=channels, first=first, buffer_frames=frames)
        assert refusal.value.field == field

    def test_without_a_plan_there_is_no_device(self, unplanned: World) -> None:
        with pytest.raises(Refused, match="no configuration"):
            unplanned.engine.open_playback(channels=2, first=0, buffer_frames=100)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    @given(st.data())
    def test_a_hostile_client_hurts_nobody(
        self, hostile: tuple[World, Client, Client], data: st.DataObject
    ) -> None:
        """It writes what it likes into its memory; the stream beside it stays exact."""
        world, honest, villain = hostile
        honest.header["appl_pos"] = world.now() - honest.header["anchor"] + (1 << 17)
        wild = st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 5)
        offsets = st.integers(0, 4096 // 8 - 1) | st.sampled_from([8, 9, 10, 11, 12, 13, 16, 24])
        words = np.frombuffer(villain.playback.region.map, "<i8")
        for _ in range(data.draw(st.integers(1, 5))):
            words[data.draw(offsets)] = data.draw(wild)
        if data.draw(st.booleans()):
            near = world.now() + data.draw(st.integers(-5000, 5000))
            epoch = world.engine.clock_page.media().epoch
            villain.line(run=data.draw(st.integers(1, 2**62)), state=RUN_RUNNING, anchor=near,
                         start_pos=data.draw(st.integers(0, 100)), epoch=epoch)  # fmt: skip
            villain.header["appl_pos"] = data.draw(wild)
        ticks = world.counters("engine")["ticks"]
        world.until(lambda: world.counters("engine")["ticks"] > ticks + 2)
        assert honest.header["error"] == 0
        assert honest.header["silence_frames"] == 0
        now = world.now()
        first = int(honest.header["anchor"])
        got = world.heard(now - 600, 500, (0, 1))
        positions = np.arange(now - 600, now - 100) - DELAY - first
        expected = honest.ring[positions % honest.playback.ring_frames]
        if not world.stalled:
            assert np.array_equal(got, expected & -256)


def test_a_plan_names_what_is_wrong_with_it() -> None:
    with pytest.raises(Refused) as refusal:
        Plan.from_json(plan_message(rate=12345))
    assert refusal.value.field == "rate"
