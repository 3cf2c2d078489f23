"""The ALSA socket as applications see it, over real sockets."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from aes67.engine import alsa as alsa_module
from aes67.engine import pcm_desk
from aes67.engine.alsa import AlsaServer, Hooks
from aes67.engine.controls import Controls
from aes67.engine.pcms import Limits
from aes67.shm.layout import (
    CAPTURE,
    CLOCK,
    CLOCK_LOCKED,
    CTL_CAPTURE_SWITCH,
    CTL_PLAYBACK_SWITCH,
    CTL_PLAYBACK_VOLUME,
    CTL_PTP_LOCKED,
    EVENT_CONTROL,
    EVENT_RECONFIGURED,
    MSG_CTL_READ,
    MSG_CTL_WRITE,
    MSG_FREE,
    MSG_HELLO,
    MSG_SETUP,
    PLAYBACK,
    STREAM,
    bus_frames_for,
    ring_frames_for,
)
from aes67.shm.region import attach
from sim.alsa_client import AlsaClient, message
from sim.stand_in_engine import StandInEngine, StandInPlan
from sim.waiting import until


@dataclass
class House:
    """A server on its socket and what it told the rest of the process."""

    engine: StandInEngine
    server: AlsaServer
    path: Path
    rates: list[int] = field(default_factory=list)
    clients: list[AlsaClient] = field(default_factory=list)

    def client(self) -> AlsaClient:
        client = AlsaClient(self.path)
        self.clients.append(client)
        return client

    def plan(self, **changes: object) -> None:
        before = self.engine.plan or StandInPlan()
        self.engine.apply(replace(before, **changes), b"")  # type: ignore[arg-type]
        self.server.plan_applied()

    async def open(self, direction: int = PLAYBACK, **fields: object) -> AlsaClient:
        client = self.client()
        assert (await client.hello(direction, **fields))["status"] == 0
        assert (await client.setup())["status"] == 0
        return client


Build = Callable[..., Awaitable[House]]


@pytest.fixture
async def build() -> AsyncIterator[Build]:
    houses: list[House] = []
    with tempfile.TemporaryDirectory(prefix=f"alsa{os.getpid()}-") as directory:

        async def make(*, limits: Limits | None = None, answer_rates: bool = True) -> House:
            engine = StandInEngine()
            rates: list[int] = []

            def request_rate(rate: int) -> bool:
                rates.append(rate)
                return answer_rates

            server = AlsaServer(engine, Hooks(request_rate=request_rate), limits)  # type: ignore[arg-type]
            path = Path(directory) / f"alsa{len(houses)}.sock"
            server.start(path, mode=0o600)
            houses.append(House(engine, server, path, rates))
            return houses[-1]

        yield make
        for house in houses:
            for client in house.clients:
                client.close()
            await house.server.close()
            assert house.server.pcms() == []
            assert not house.path.exists()
            house.engine.close()


@pytest.fixture
async def house(build: Build) -> House:
    house = await build()
    house.plan()
    return house


async def test_hello_says_what_the_device_is(house: House) -> None:
    client = house.client()
    caps = await client.hello(first=60)
    assert caps["status"] == 0
    assert caps["generation"] == house.engine.generation
    assert list(caps["rates"][: int(caps["rate_count"])]) == [48000]
    assert (caps["channels_min"], caps["channels_max"], caps["bus_channels"]) == (1, 4, 64)
    assert caps["period_frames_min"] == 6
    assert caps["tick_ns"] == 250_000
    assert caps["buffer_bytes_max"] == 2400 * 64 * 4
    page = attach(client.fds.pop()).view(CLOCK)
    assert page[0]["generation"] == house.engine.generation


async def test_hello_waits_for_the_first_plan(build: Build) -> None:
    house = await build()
    asking = asyncio.create_task(house.client().hello())
    await asyncio.sleep(0.05)
    assert not asking.done()
    house.plan()
    assert (await asking)["status"] == 0


async def test_hello_does_not_wait_for_ever(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcm_desk, "PLAN_WAIT_SECONDS", 0.05)
    house = await build()
    assert (await house.client().hello())["status"] == -errno.ENODEV


async def test_a_client_that_gives_up_waiting_leaves_nothing(build: Build) -> None:
    house = await build()
    client = house.client()
    client.sock.send(message(MSG_HELLO))
    await until(lambda: len(house.server._clients) == 1)
    client.close()
    await until(lambda: not house.server._clients)


async def test_a_silent_connection_is_closed(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alsa_module, "HELLO_WAIT_SECONDS", 0.05)
    house = await build()
    assert await house.client().raw() == b""


async def test_setup_gives_a_ring_of_the_right_size(house: House) -> None:
    client = house.client()
    await client.hello(first=2)
    reply = await client.setup(channels=8, buffer_frames=4800)
    assert reply["status"] == 0
    assert reply["ring_frames"] == ring_frames_for(48000, 4800) >= 4800 + 4800
    assert reply["bytes"] == 4096 + int(reply["ring_frames"]) * 8 * 4
    region = attach(client.fds.pop(), writable=True)
    assert region.size == reply["bytes"]
    region.view(STREAM)[0]["run"] = 1
    (pcm,) = house.server.pcms()
    assert pcm == {
        "stream_id": int(reply["stream_id"]),
        "direction": "playback",
        "application": "test",
        "pid": os.getpid(),
        "uid": os.getuid(),
        "rate": 48000,
        "channels": 8,
        "first": 2,
        "slot": 0,
    }


async def test_capture_gives_the_bus_read_only(house: House) -> None:
    client = house.client()
    await client.hello(CAPTURE, first=4)
    reply = await client.setup()
    assert (reply["stream_id"], reply["channels"]) == (0, 64)
    assert reply["ring_frames"] == bus_frames_for(48000)
    with pytest.raises(PermissionError):
        attach(client.fds[-1], writable=True)


async def test_set_up_again_replaces_the_stream(house: House) -> None:
    client = await house.open()
    assert (await client.setup(channels=1))["status"] == 0
    assert [pcm["channels"] for pcm in house.server.pcms()] == [1]
    assert len(house.engine.playbacks) == 1


async def test_free_and_close_give_the_stream_back(house: House) -> None:
    freed, closed = await house.open(), await house.open()
    assert len(house.engine.playbacks) == 2
    assert (await freed.ask(MSG_FREE))["status"] == 0
    assert len(house.engine.playbacks) == 1
    assert (await freed.ask(MSG_FREE))["status"] == 0
    closed.close()
    await until(lambda: not house.engine.playbacks)
    assert (await freed.setup())["status"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 0},
        {"channels": 65},
        {"channels": 2**32 - 1},
        {"rate": 44100},
        {"rate": 0},
        {"format": 5},
        {"format": 2**32 - 1},
        {"period_frames": 0},
        {"buffer_frames": 0},
        {"buffer_frames": -1},
        {"buffer_frames": 2**62},
        {"buffer_frames": -(2**63)},
        {"period_frames": 2**32 - 1},
        {"buffer_frames": 12000 * 64 // 2 + 1},
    ],
    ids=str,
)
async def test_wild_parameters_are_refused(house: House, wrong: dict[str, int]) -> None:
    client = house.client()
    await client.hello()
    assert (await client.setup(**wrong))["status"] == -errno.EINVAL
    assert house.server.pcms() == []
    assert (await client.setup())["status"] == 0


@pytest.mark.parametrize("fixed", [0, 1, 64])
async def test_the_largest_buffer_that_is_offered_works(house: House, fixed: int) -> None:
    client = house.client()
    caps = await client.hello(channels=fixed)
    channels = fixed or 1
    frames = int(caps["buffer_bytes_max"]) // (2 * channels)
    reply = await client.setup(channels=channels, format=0, buffer_frames=frames)
    assert reply["status"] == 0
    reply = await client.setup(channels=channels, format=0, buffer_frames=frames + 1)
    assert reply["status"] == -errno.EINVAL


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({"first": 64}, errno.EINVAL),
        ({"first": 2**32 - 1}, errno.EINVAL),
        ({"first": 63, "channels": 2}, errno.EINVAL),
        ({"channels": 65}, errno.EINVAL),
        ({"channels": 2**32 - 1, "first": 1}, errno.EINVAL),
        ({"direction": 2}, errno.EINVAL),
        ({"major": 2}, errno.EPROTONOSUPPORT),
    ],
)
async def test_hello_for_what_there_is_not(
    house: House, fields: dict[str, int], number: int
) -> None:
    client = house.client()
    assert (await client.ask(MSG_HELLO, **fields))["status"] == -number
    assert (await client.hello())["status"] == 0


async def test_requests_before_hello_and_second_hello(house: House) -> None:
    client = house.client()
    assert (await client.setup())["status"] == -errno.EPROTO
    assert (await client.hello())["status"] == 0
    assert (await client.hello())["status"] == -errno.EINVAL
    assert (await client.ask(MSG_CTL_READ))["status"] == -errno.EINVAL


async def test_exclusive_is_refused_where_channels_are_in_use(house: House) -> None:
    await house.open(first=2, channels=2)
    alone = house.client()
    refused = await alone.hello(exclusive=1, first=3, channels=2)
    assert refused["status"] == -errno.EBUSY
    assert (await alone.hello(exclusive=1, first=4, channels=2))["status"] == 0
    assert (await alone.setup())["status"] == 0
    other = house.client()
    assert (await other.hello(first=0))["status"] == 0
    assert (await other.setup(channels=5))["status"] == -errno.EBUSY
    assert (await other.setup(channels=4))["status"] == 0
    assert (await house.client().hello(CAPTURE, first=4, exclusive=1))["status"] == 0


async def test_limits_hold_for_one_user(build: Build) -> None:
    house = await build(limits=Limits(pcms_per_uid=2, bytes_per_uid=1 << 20, connections_per_uid=4))
    house.plan()
    await house.open()
    big = house.client()
    await big.hello()
    assert (await big.setup(channels=64, buffer_frames=2400))["status"] == -errno.ENOMEM
    assert (await big.setup())["status"] == 0
    third = house.client()
    await third.hello(CAPTURE)
    assert (await third.setup())["status"] == -errno.EBUSY
    house.client()
    assert await house.client().raw() == b""


async def test_a_new_rate_closes_the_pcms_and_says_so(house: House) -> None:
    playing, recording, idle = await house.open(), await house.open(CAPTURE), house.client()
    await idle.hello()
    house.plan(rate=96000)
    for client in (playing, recording, idle):
        event = await client.receive()
        assert event["kind"] == EVENT_RECONFIGURED
        assert (await client.setup(rate=96000))["status"] == -errno.ENODEV
    assert not house.engine.playbacks
    again = house.client()
    assert list((await again.hello())["rates"])[0] == 96000
    assert (await again.setup(rate=96000))["status"] == 0


async def test_an_unrelated_plan_disturbs_nobody(house: House) -> None:
    client = await house.open()
    house.plan(tick_frames=6, playback_delay_frames=48)
    assert len(house.engine.playbacks) == 1
    assert (await client.ask(MSG_FREE))["status"] == 0
    assert client.events == []


async def test_rate_follows_the_application(house: House) -> None:
    house.plan(rate_follows_app=True)
    client = house.client()
    caps = await client.hello()
    rates = [44100, 48000, 88200, 96000, 176400, 192000, 352800, 384000]
    assert list(caps["rates"]) == rates
    setup = asyncio.create_task(client.setup(rate=96000))
    await until(lambda: house.rates == [96000])
    house.plan(rate=96000)
    assert (await setup)["status"] == 0
    assert client.events == []
    second = house.client()
    await second.hello(CAPTURE)
    assert (await second.setup(rate=48000))["status"] == -errno.EBUSY
    assert (await second.setup(rate=96000))["status"] == 0


async def test_rate_request_refused_unanswered_or_without_control(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await build()
    house.plan(rate_follows_app=True)
    client = house.client()
    await client.hello()
    setup = asyncio.create_task(client.setup(rate=44100))
    await until(lambda: house.rates == [44100])
    house.server.rate_refused("a sink needs 48000")
    assert (await setup)["status"] == -errno.EINVAL
    monkeypatch.setattr(pcm_desk, "RATE_WAIT_SECONDS", 0.05)
    assert (await client.setup(rate=44100))["status"] == -errno.ETIMEDOUT
    alone = await build(answer_rates=False)
    alone.plan(rate_follows_app=True)
    client = alone.client()
    await client.hello()
    assert (await client.setup(rate=44100))["status"] == -errno.ENODEV


async def test_two_applications_race_for_two_rates(house: House) -> None:
    house.plan(rate_follows_app=True)
    one, two = house.client(), house.client()
    await one.hello()
    await two.hello()
    first = asyncio.create_task(one.setup(rate=96000))
    await until(lambda: house.rates == [96000])
    second = asyncio.create_task(two.setup(rate=44100))
    await asyncio.sleep(0.01)
    house.plan(rate=96000)
    assert (await first)["status"] == 0
    assert (await second)["status"] == -errno.EBUSY
    assert house.rates == [96000]


async def control_device(house: House) -> AlsaClient:
    client = house.client()
    assert (await client.hello(is_control=1))["status"] == 0
    return client


async def test_volume_and_mute_reach_the_engine(house: House) -> None:
    mixer = await control_device(house)
    assert (await mixer.ask(MSG_CTL_READ, element=CTL_PLAYBACK_VOLUME))["value"] == 0
    assert house.engine.gains == (1 << 30, 1 << 30)
    await mixer.ask(MSG_CTL_WRITE, element=CTL_PLAYBACK_VOLUME, value=-20)
    assert house.engine.gains == (round((1 << 30) / 10), 1 << 30)
    await mixer.ask(MSG_CTL_WRITE, element=CTL_CAPTURE_SWITCH, value=0)
    assert house.engine.gains[1] == 0
    await mixer.ask(MSG_CTL_WRITE, element=CTL_PLAYBACK_VOLUME, value=-99)
    assert house.engine.gains[0] == 0
    await mixer.ask(MSG_CTL_WRITE, element=CTL_PLAYBACK_VOLUME, value=0)
    assert house.engine.gains[0] == 1 << 30
    assert house.server.controls == Controls(capture_on=False)


@pytest.mark.parametrize(
    ("element", "value", "number"),
    [
        (CTL_PLAYBACK_VOLUME, 1, errno.EINVAL),
        (CTL_PLAYBACK_VOLUME, -100, errno.EINVAL),
        (CTL_PLAYBACK_SWITCH, 2, errno.EINVAL),
        (CTL_PLAYBACK_SWITCH, -(2**63), errno.EINVAL),
        (CTL_PTP_LOCKED, 1, errno.EPERM),
        (5, 0, errno.EINVAL),
    ],
)
async def test_wrong_control_values(house: House, element: int, value: int, number: int) -> None:
    mixer = await control_device(house)
    reply = await mixer.ask(MSG_CTL_WRITE, element=element, value=value)
    assert reply["status"] == -number
    assert house.engine.gains == (1 << 30, 1 << 30)


async def test_control_devices_hear_of_changes(house: House) -> None:
    writer, reader = await control_device(house), await control_device(house)
    pcm = await house.open()
    await writer.ask(MSG_CTL_WRITE, element=CTL_PLAYBACK_VOLUME, value=-3)
    assert (await reader.receive())["kind"] == EVENT_CONTROL
    assert (await reader.ask(MSG_CTL_READ, element=CTL_PLAYBACK_VOLUME))["value"] == -3
    house.engine.clock.view(CLOCK)[0]["state"] = CLOCK_LOCKED
    house.server.clock_changed()
    house.server.clock_changed()
    assert (await reader.receive())["kind"] == EVENT_CONTROL
    assert (await reader.ask(MSG_CTL_READ, element=CTL_PTP_LOCKED))["value"] == 1
    assert reader.events == []
    assert (await pcm.ask(MSG_FREE))["status"] == 0
    assert pcm.events == []


async def test_a_control_device_that_never_reads_costs_nothing(house: House) -> None:
    mixer = await control_device(house)
    for volume in range(2000):
        house.server.set_controls(Controls(playback_db=-(volume % 90)))
    (client,) = house.server._clients.values()
    assert len(client.connection._outbox) <= 1
    read = 0
    while (await mixer.ask(MSG_CTL_READ, element=CTL_PLAYBACK_VOLUME))["value"] != -19:
        read += 1
    assert read == 0


async def test_the_socket_has_the_mode_it_was_given(house: House) -> None:
    assert stat.S_IMODE(house.path.stat().st_mode) == 0o600


async def test_two_hundred_clients_die_and_leave_nothing(house: House) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    quiet = await house.open()
    gc.collect()  # what earlier tests left is not ours to count
    before = descriptors()
    for number in range(200):
        client = house.client()
        client.sock.send(message(MSG_HELLO, direction=number % 2))
        if number % 3:
            await client.receive()
            client.sock.send(
                message(MSG_SETUP, rate=48000, channels=2, period_frames=48, buffer_frames=480)
            )
        if number % 5 == 0:
            await asyncio.sleep(0)
        client.close()
    await until(lambda: len(house.server._clients) == 1)
    await until(lambda: descriptors() == before)
    assert len(house.engine.playbacks) == 1
    assert (await quiet.ask(MSG_FREE))["status"] == 0
