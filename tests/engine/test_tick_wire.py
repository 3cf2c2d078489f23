"""What the tick puts on the wire, when it sends, and what it makes of what others send."""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from aes67.engine.engine import Engine
from aes67.media.rtp import ssrc_at
from aes67.net.udp import open_media_socket
from aes67.shm.layout import (
    CLOCK_HOLDOVER,
    CLOCK_LOCKED,
    CLOCK_LOCKING,
    CLOCK_UNLOCKED,
    CODEC_L24,
)
from aes67.wire.rtp import RtpExtension, RtpPacket, parse
from reference import media as twin
from sim.tick_world import (
    DELAY,
    PORT,
    RATE,
    Client,
    Stream,
    World,
    group,
    noise,
    undisturbed,
)

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]  # the first one may compile

IP_RECVTTL = 12
IP_RECVTOS = 13


@dataclass(frozen=True)
class Heard:
    """A datagram as another program receives it."""

    packet: RtpPacket
    sender: tuple[str, int]
    ttl: int
    tos: int


class Listener:
    """A socket of another program that is a member of some groups."""

    def __init__(self, world: World, *groups: str) -> None:
        self.socket = world.stack.enter_context(open_media_socket("lo", PORT))
        self.socket.settimeout(5)
        self.socket.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        self.socket.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
        for each in groups:
            request = struct.pack("=4s4si", socket.inet_aton(each), bytes(4), 1)
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)

    def hear(self) -> Heard:
        data, control, _, sender = self.socket.recvmsg(2048, 256)
        values = {kind: value for level, kind, value in control if level == socket.IPPROTO_IP}
        ttl = struct.unpack("=i", values[socket.IP_TTL])[0]
        return Heard(parse(data), sender, ttl, values[socket.IP_TOS][0])

    def take(self, count: int) -> list[Heard]:
        return [self.hear() for _ in range(count)]

    def drain(self) -> int:
        """Throw away what has come; returns how much."""
        self.socket.setblocking(False)
        count = 0
        try:
            while True:
                self.socket.recv(2048)
                count += 1
        except BlockingIOError:
            self.socket.settimeout(5)
            return count


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def sender(world: World, source: str = "127.0.0.1") -> socket.socket:
    """A socket that sends to groups on `lo`."""
    out = world.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    request = struct.pack("=4s4si", bytes(4), bytes(4), 1)
    out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
    out.bind((source, 0))
    return out


def test_headers_are_a_pure_function_of_media_time(world: World) -> None:
    stream = Stream(frames=48, ts_offset=0xFFFF_0000, ttl=7, dscp=46, payload_type=101)
    world.apply([stream])
    listener = Listener(world, group(0))
    heard = listener.take(100)
    now = world.now()
    for each in heard:
        packet = each.packet
        frame = now - (now - packet.timestamp + stream.ts_offset) % 2**32
        assert frame % 48 == 0
        assert 0 <= now - frame < RATE
        assert packet.sequence == frame // 48 % 2**16
        assert packet.ssrc == 0xABC0
        assert packet.payload_type == 101
        assert not packet.marker
        assert packet.payload == bytes(48 * 2 * 3)
        assert (each.ttl, each.tos) == (7, 46 << 2)
        assert each.sender == ("127.0.0.1", PORT)
    numbers = [each.packet.sequence for each in heard]
    if not world.stalled:
        assert numbers == [(numbers[0] + n) % 2**16 for n in range(100)]


def test_a_restarted_engine_continues_its_streams(world: World) -> None:
    def of_now() -> tuple[int, int]:
        packet = listener.hear().packet
        return packet.ssrc, (packet.timestamp - packet.sequence * 48) % (48 * 2**16)

    listener = Listener(world, group(0))
    world.apply([Stream()])
    before = of_now()
    world.engine.stop()
    world.engine = Engine(lock_memory=False)
    world.stack.callback(world.engine.stop)
    world.engine.start()
    world.clock(state=CLOCK_LOCKED)
    listener.drain()
    world.apply([Stream()])
    assert of_now() == before


def test_unicast_and_several_sources_at_once(world: World) -> None:
    world.apply([Stream(0), Stream(1), Stream(2, addresses=("127.0.0.1",)), Stream(3)])
    listener = Listener(world, group(0), group(1), group(3))
    found = {each.packet.ssrc for each in listener.take(60)}
    assert found == {0xABC0, 0xABC1, 0xABC2, 0xABC3}


@pytest.mark.parametrize("state", [CLOCK_UNLOCKED, CLOCK_LOCKING])
def test_nothing_is_sent_unlocked(world: World, state: int) -> None:
    world.clock(state=state)
    world.apply([Stream()])
    listener = Listener(world, group(0))
    ticks = world.counters("engine")["ticks"]
    world.until(lambda: world.counters("engine")["ticks"] > ticks + 100)
    assert listener.drain() == 0
    world.clock(state=CLOCK_LOCKED)
    listener.hear()
    world.clock(state=CLOCK_HOLDOVER)
    listener.drain()
    listener.hear()
    world.clock(state=state)
    ticks = world.counters("engine")["ticks"]
    world.until(lambda: world.counters("engine")["ticks"] > ticks + 4)
    listener.drain()
    world.until(lambda: world.counters("engine")["ticks"] > ticks + 50)
    assert listener.drain() == 0
    assert world.counters("sources")["skipped_packets"] == 0


@pytest.mark.parametrize("jump_s", [-100, 3600])
def test_a_jump_of_media_time_is_another_stream(world: World, jump_s: int) -> None:
    stream = Stream()
    world.apply([stream], [stream])
    client = Client(world)
    client.play(noise(48, 2))
    listener = Listener(world, group(0))
    listener.hear()
    before = world.engine.clock_page.media()
    after = world.clock(media_ns=before.media_ns + jump_s * 10**9, epoch=before.epoch + 1,
                        session_epoch=1)  # fmt: skip
    world.until(lambda: world.counters("engine")["clock_epochs"] == 1)
    listener.drain()
    packet = listener.hear().packet
    assert packet.ssrc == ssrc_at(0xABC0, 1) == world.counters("sources")["ssrc"]
    frame = world.now() - (world.now() - packet.timestamp) % 2**32
    assert 0 <= world.now() - frame < RATE
    assert world.done() <= world.now() + 24
    samples = noise(4000, 2)
    assert after.epoch == before.epoch + 1
    first = client.play(samples, position=5000)
    got = world.heard(first + DELAY, 4000, (0, 1))
    if not world.stalled:
        assert np.array_equal(got, samples & -256)
    assert world.counters("sources")["skipped_packets"] == 0


def test_the_bus_is_final_up_to_the_next_tick_and_no_further(world: World) -> None:
    world.apply([], [Stream()])
    world.until(lambda: world.done() > 0)
    before = 0
    for _ in range(50):
        time.sleep(0.001)
        done = world.done()
        assert done % 12 == 0
        assert before <= done <= world.now() + 13, "1 us may be missing to the tick's frame"
        before = done


def test_hostile_datagrams_become_counters(world: World) -> None:
    """Seeded; the stream beside it must not lose a packet."""
    stream = Stream()
    world.apply([stream], [stream, Stream(1)])
    world.until(lambda: world.counters("sinks")["packets"] > 5)
    chance = random.Random(7)
    out = sender(world)
    good = RtpPacket(98, 1, 2, 0x99, bytes(48 * 6))
    valid = good.pack()
    sent = 0
    for number in range(600):
        data = bytearray(valid)
        for _ in range(chance.randrange(4)):
            data[chance.randrange(16)] = chance.randrange(256)
        kind = number % 4
        if kind == 1:
            data = data[: chance.randrange(20)]
        elif kind == 2:
            data = bytearray(os.urandom(chance.randrange(1400)))
        elif kind == 3:
            data += bytes(3000)
        out.sendto(bytes(data), (group(chance.randrange(2)), PORT))
        sent += 1
        if number % 50 == 0:
            time.sleep(0.002)
    first, second = (world.counters("sinks", number) for number in range(2))
    world.until(lambda: world.counters("engine")["received"] >= sent)
    first, second = (world.counters("sinks", number) for number in range(2))
    assert second["malformed"] > 50
    assert world.counters("engine")["malformed"] == first["malformed"] + second["malformed"]
    assert first["wrong_ssrc"] > 0
    if not world.stalled:
        assert first["lost"] == first["late"] == first["sequence_errors"] == 0


def test_headers_with_everything_the_standard_allows_are_heard(world: World) -> None:
    world.apply([], [Stream()])
    samples = noise(48, 2) & -256
    payload = twin.payload_of(CODEC_L24, samples.ravel().tolist())
    frame = (world.now() // 48 + 4) * 48
    packet = RtpPacket(98, 5, frame % 2**32, 1, payload, marker=True, csrcs=(1, 2, 3),
                       extension=RtpExtension(7, bytes(8)), padding=9)  # fmt: skip
    sender(world).sendto(packet.pack(), (group(0), PORT))
    assert np.array_equal(world.heard(frame + DELAY, 48, (0, 1)), samples)


def test_only_the_sender_of_the_source_filter_is_heard(world: World) -> None:
    world.apply([], [Stream(source_ip="127.0.0.9")])
    packet = RtpPacket(98, 5, world.now() % 2**32, 1, bytes(48 * 6)).pack()
    for source in ("127.0.0.8", "127.0.0.9", "127.0.0.8"):
        sender(world, source).sendto(packet, (group(0), PORT))
    world.until(lambda: world.counters("engine")["received"] >= 3)
    counters = world.counters("sinks")
    assert (counters["packets"], counters["wrong_source"]) == (1, 2)


def test_a_source_specific_group_hears_its_sender_only(world: World) -> None:
    member = {"interface": "lo", "group": group(0), "source": "127.0.0.9"}
    world.apply([], [Stream()], memberships=[member])
    packet = RtpPacket(98, 5, world.now() % 2**32, 1, bytes(48 * 6)).pack()
    for source in ("127.0.0.8", "127.0.0.9"):
        sender(world, source).sendto(packet, (group(0), PORT))
    world.until(lambda: world.counters("sinks")["packets"] == 1)
    assert world.counters("engine")["received"] == 1


def test_datagrams_nobody_wants_are_counted(world: World) -> None:
    world.apply([], [Stream()])
    sender(world).sendto(b"whatever", ("127.0.0.1", PORT))
    world.until(lambda: world.counters("engine")["unmatched"] == 1)


def test_two_legs_are_one_stream() -> None:
    """ST 2022-7: the second copy is counted, not heard; one leg alone is enough."""

    def scenario(world: World) -> None:
        both = (group(10), group(11))
        world.apply([Stream(addresses=both)], [Stream(addresses=both)])
        samples = noise(4000, 2)
        first = Client(world).play(samples)
        assert np.array_equal(world.heard(first + DELAY, 4000, (0, 1)), samples & -256)
        counters = world.counters("sinks")
        assert counters["duplicate"] >= counters["packets"] * 48 - 480
        assert counters["lost"] == counters["reordered"] == 0
        world.apply([Stream(addresses=both[1:], identity=5)], [Stream(addresses=both, identity=6)])
        first = Client(world, first=2).playback.slot
        heard = world.counters("sinks")["packets"]
        world.until(lambda: world.counters("sinks")["packets"] > heard + 20)
        assert world.counters("sinks")["duplicate"] == 0

    undisturbed(scenario)


def test_one_group_can_feed_several_sinks() -> None:
    def scenario(world: World) -> None:
        sinks = [Stream(), Stream(1, addresses=(group(0),), delay=DELAY - 500)]
        world.apply([Stream()], sinks)
        samples = noise(4000, 2)
        first = Client(world).play(samples)
        assert np.array_equal(world.heard(first + DELAY - 500, 4000, (2, 3)), samples & -256)
        assert np.array_equal(world.heard(first + DELAY, 4000, (0, 1)), samples & -256)

    undisturbed(scenario)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9"])
def test_unicast_is_heard_by_its_destination_address(world: World, address: str) -> None:
    streams = [Stream(addresses=(address,)), Stream(1, addresses=("127.0.0.7",))]
    world.apply(streams, streams)
    world.until(lambda: all(world.counters("sinks", n)["packets"] > 20 for n in range(2)))
    assert world.counters("engine")["unmatched"] == 0
    assert world.counters("sinks")["ssrc"] == 0xABC0
    assert world.counters("sinks", 1)["ssrc"] == 0xABC1


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def make_link() -> list[dict[str, object]]:
    """A wire whose near end has an address; the socket of a plan on it."""
    ip("link", "add", "near", "type", "veth", "peer", "far")
    ip("link", "set", "far", "up")
    ip("link", "set", "near", "up")
    ip("address", "add", "10.9.9.1/24", "dev", "near")
    return [{"interface": "near", "port": PORT}]


def test_a_group_sent_on_an_interface_is_heard_on_the_same_one(world: World) -> None:
    member = [{"interface": "near", "group": group(0), "source": None}]
    world.apply([Stream()], [Stream()], sockets=make_link(), memberships=member)
    world.until(lambda: world.counters("sinks")["packets"] > 20)


def test_a_frozen_engine_goes_on_at_the_right_place(world: World) -> None:
    """300 ms without a tick: old packets are skipped and counted, the bus holds no old sound."""
    stream = Stream()
    world.apply([stream], [stream])
    client = Client(world, buffer_frames=64_000)
    samples = noise(60_000, 2)
    first = client.play(samples)
    world.until_done(first + DELAY)
    freeze = f"kill -STOP {os.getpid()}; sleep 0.3; kill -CONT {os.getpid()}"
    subprocess.run(["sh", "-c", freeze], check=True)
    world.until_done(world.now() + DELAY + 2400)
    source, sink = world.counters("sources"), world.counters("sinks")
    assert source["skipped_packets"] >= 200
    assert sink["lost"] == source["skipped_packets"]
    assert sink["late"] <= 24
    assert sink["silent_frames"] > 12_000
    engine = world.counters("engine")
    assert engine["clock_epochs"] == 0
    assert engine["late_max_ns"] > 250_000_000
    assert client.header["silence_frames"] == 0, "it had written in time"
    at = world.now() + 2400
    got = world.heard(at, 4800, (0, 1))
    expected = samples[at - first - DELAY : at - first - DELAY + 4800] & -256
    silent = ~got.any(axis=1)
    assert np.array_equal(got[~silent], expected[~silent])
    assert silent.sum() < 4800


def test_an_interface_that_goes_down_is_an_error_count_and_no_more(world: World) -> None:
    world.apply([Stream()], sockets=make_link(), memberships=[])
    world.until(lambda: world.counters("sources")["packets"] > 10)
    ip("link", "set", "near", "down")
    world.until(lambda: world.counters("sources")["send_errors"] > 10)
    assert world.counters("engine")["last_errno"] != 0
    ip("link", "set", "near", "up")
    sent = world.counters("sources")["packets"]
    world.until(lambda: world.counters("sources")["packets"] > sent + 10)
