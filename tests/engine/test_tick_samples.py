"""Source to wire to sink on a real tick: every sample, every codec, every packet time."""

from __future__ import annotations

import numpy as np
import pytest

from aes67.media.meters import UNITY
from aes67.shm.layout import (
    CODEC_AM824,
    CODEC_AM824_AES3,
    CODEC_L16,
    CODEC_L24,
    TIMING_LATCHED,
)
from reference import media as twin
from sim.tick_world import DELAY, Client, Stream, World, noise, undisturbed

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]  # the first one may compile

FRAMES = 7000
KEPT_BITS = {CODEC_L16: 16, CODEC_L24: 24, CODEC_AM824: 32, CODEC_AM824_AES3: 24}
CASES = [  # codec, channels, frames a packet, rate
    (CODEC_L24, 2, 48, 48_000),
    (CODEC_L24, 1, 192, 48_000),
    (CODEC_L24, 8, 48, 96_000),
    (CODEC_L24, 64, 6, 48_000),
    (CODEC_L16, 2, 6, 48_000),
    (CODEC_L16, 3, 45, 44_100),
    (CODEC_AM824, 2, 12, 48_000),
    (CODEC_AM824, 7, 16, 48_000),
    (CODEC_AM824_AES3, 5, 48, 48_000),
    (CODEC_L24, 2, 48, 384_000),
]


@pytest.mark.parametrize(("codec", "channels", "frames", "rate"), CASES)
def test_what_is_played_is_heard(codec: int, channels: int, frames: int, rate: int) -> None:
    delay = DELAY * rate // 48_000

    def scenario(world: World) -> None:
        stream = Stream(channels=channels, frames=frames, codec=codec, ts_offset=0xFFFF_FF00,
                        delay=delay)  # fmt: skip
        tick = -(-rate // 4000)
        world.apply([stream], [stream], rate=rate, tick_frames=tick)
        samples = noise(FRAMES, channels)
        first = Client(world, channels=channels).play(samples)
        got = world.heard(first + delay - 100, FRAMES + 200, range(channels))
        lost_bits = 32 - KEPT_BITS[codec]
        assert np.array_equal(got[100:-100], samples >> lost_bits << lost_bits)
        assert not got[:100].any()
        assert not got[-100:].any()
        sink = world.counters("sinks")
        for name in ("lost", "late", "early", "duplicate", "reordered", "wrong_ssrc",
                     "sequence_errors", "timestamp_errors", "malformed"):  # fmt: skip
            assert sink[name] == 0, name

    undisturbed(scenario)


def test_a_latched_sink_finds_the_offset_of_its_sender() -> None:
    def scenario(world: World) -> None:
        sender = Stream(ts_offset=0x1234_5678)
        sink = Stream(timing=TIMING_LATCHED)
        world.apply([sender], [sink])
        world.until(lambda: world.counters("sinks")["packets"] > 20)
        samples = noise(FRAMES, 2)
        first = Client(world).play(samples, ahead=2000)
        counters = world.counters("sinks")
        assert counters["latched"] == 1
        late = (sender.ts_offset - counters["offset_frames"]) % 2**32
        assert late < 480, "how long after its last frame the first packets were collected"
        got = world.heard(first + DELAY + late, FRAMES, (0, 1))
        assert np.array_equal(got, samples & -256)
        assert world.counters("sinks")["slips"] == 0

    undisturbed(scenario)


def test_two_streams_on_the_same_channels_are_summed_and_saturation_is_counted() -> None:
    def scenario(world: World) -> None:
        stream = Stream(channels=3)
        world.apply([stream], [stream])
        one, other = noise(FRAMES, 3, seed=1), noise(FRAMES, 2, seed=2)
        clients = Client(world, channels=3), Client(world, first=1)
        frames = clients[0].play(one, ahead=2000), clients[1].play(other, ahead=2000)
        start, length = max(frames), FRAMES - abs(frames[0] - frames[1])
        got = world.heard(start + DELAY, length, range(3))
        rows = [
            (0, {f: one[start + f - frames[0]].tolist() for f in range(length)}),
            (1, {f: other[start + f - frames[1]].tolist() for f in range(length)}),
        ]
        mixed = twin.mixed(range(length), range(3), rows, UNITY)
        expected = np.array(mixed, np.int32).reshape(length, 3)
        assert np.array_equal(got, expected & -256)
        clipped = int(((expected == 2**31 - 1) | (expected == -(2**31))).sum())
        assert clipped > 1000
        assert world.counters("engine")["saturated"] == clipped
        for client in clients:
            assert world.counters("pcms", client.playback.slot)["saturated"] == clipped
            assert client.header["saturated"] == clipped

    undisturbed(scenario)


def test_channel_maps_on_both_sides() -> None:
    def scenario(world: World) -> None:
        source = Stream(channels=4, channel_map=(5, 0, 3, 0))
        sink = Stream(channels=4, channel_map=(9, -1, 7, 30))
        world.apply([source], [sink])
        samples = noise(FRAMES, 6)
        first = Client(world, channels=6).play(samples)
        got = world.heard(first + DELAY, FRAMES, (9, 7, 30, 8))
        assert np.array_equal(got[:, :3], samples[:, [5, 3, 0]] & -256)
        assert not got[:, 3].any()

    undisturbed(scenario)


def test_gains_are_exact_at_unity_and_rounded_elsewhere() -> None:
    def scenario(world: World) -> None:
        stream = Stream(codec=CODEC_AM824)
        world.apply([stream], [stream])
        half, third = UNITY // 2, UNITY // 3
        samples = noise(FRAMES, 2)
        world.engine.set_gains(half, third)
        first = Client(world).play(samples)
        got = world.heard(first + DELAY, FRAMES, (0, 1))
        played = [twin.amplified(value, half) for value in samples.ravel().tolist()]
        expected = [twin.amplified(value, third) for value in played]
        assert got.ravel().tolist() == expected

    undisturbed(scenario)


def test_what_was_due_when_a_client_ends_is_still_heard() -> None:
    """A drained stream is closed at once; its last packet (4 ms) is not complete by then."""

    def scenario(world: World) -> None:
        stream = Stream(frames=192)
        world.apply([stream], [stream])
        samples = noise(1000, 2)
        client = Client(world)
        first = client.play(samples)
        world.until(lambda: world.now() >= first + 1000)
        client.stop()
        client.close()
        assert np.array_equal(world.heard(first + DELAY, 1000, (0, 1)), samples & -256)
        world.engine.collect()
        assert world.counters("pcms", client.playback.slot)["stream_id"] == 0

    undisturbed(scenario)


def test_silence_of_a_client_that_does_not_write_is_counted_and_published() -> None:
    def scenario(world: World) -> None:
        stream = Stream()
        world.apply([stream], [stream])
        client = Client(world)
        first = client.play(noise(480, 2))
        world.until(lambda: world.now() > first + 2000)
        silent = int(client.header["silence_frames"])
        assert 2000 - 480 - 48 <= silent <= world.now() - first - 480
        assert client.header["ack_run"] == 1
        assert first + client.header["done_pos"] <= world.now() + 1
        assert client.header["done_pos"] > 1900
        assert client.header["error"] == 0

    undisturbed(scenario)
