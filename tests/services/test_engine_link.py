"""Control's end of the link against the engine's real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aes67.engine.controls import Controls
from aes67.engine.cpu_latency import CpuLatency
from aes67.errors import Refused
from aes67.net.listener import listen
from aes67.services import engine_link as engine_link_module
from aes67.services.engine_callbacks import Callbacks, Hello
from aes67.services.engine_link import EngineLink
from aes67.shm.layout import BUS, CLOCK, ENGINE_COUNTERS, MSG_CTL_WRITE
from aes67.shm.region import telemetry_views
from sim.alsa_client import AlsaClient
from sim.engine_sockets import House, build, tear_down
from sim.plans import EMPTY_TABLES, plan_message
from sim.waiting import until

PLAN = plan_message()


@dataclass
class Heard:
    """What a link told."""

    connected: list[Hello] = field(default_factory=list)
    disconnected: int = 0
    ptp: list[dict[str, Any]] = field(default_factory=list)
    pcms: list[list[dict[str, Any]]] = field(default_factory=list)
    controls: list[dict[str, Any]] = field(default_factory=list)
    rates: list[int] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def lose(self) -> None:
        self.disconnected += 1

    def callbacks(self) -> Callbacks:
        return Callbacks(
            connected=self.connected.append,
            disconnected=self.lose,
            ptp=self.ptp.append,
            pcms=self.pcms.append,
            controls=self.controls.append,
            rate_request=self.rates.append,
            plan_refused=self.refused.append,
        )


@pytest.fixture
def directory() -> Any:
    with tempfile.TemporaryDirectory(prefix=f"link{os.getpid()}-") as name:
        yield name


@pytest.fixture
async def house(directory: str) -> AsyncIterator[House]:
    house = await build(directory)
    yield house
    await tear_down(house)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def link(directory: str, heard: Heard) -> AsyncIterator[EngineLink]:
    link = EngineLink(Path(directory) / "engine.sock", heard.callbacks())
    link.start()
    yield link
    await link.close()


async def test_it_waits_for_an_engine_and_maps_its_memory(
    directory: str, link: EngineLink, heard: Heard
) -> None:
    assert link.snapshot() is None
    with pytest.raises(ConnectionError):
        await link.apply(PLAN, EMPTY_TABLES)
    house = await build(directory, generation=77)
    hello = await link.wait_connected()
    assert (hello.generation, hello.serial, hello.realtime) == (77, 0, False)
    assert heard.connected == [hello]
    snapshot = link.snapshot()
    assert snapshot is not None
    assert snapshot["clock"]["generation"] == 77
    assert snapshot["sources"] == snapshot["sinks"] == snapshot["pcms"] == {}
    await until(lambda: bool(heard.ptp and heard.pcms))
    await tear_down(house)
    await until(lambda: heard.disconnected == 1)
    assert not link.connected
    assert link.snapshot() is not None, "the last numbers stay readable"


async def test_apply_returns_when_the_engine_runs_it(house: House, link: EngineLink) -> None:
    await link.wait_connected()
    assert link.bus is None
    await link.apply(PLAN, EMPTY_TABLES)
    ((plan, tables),) = house.engine.applied
    assert (plan.serial, tables) == (1, EMPTY_TABLES)
    assert link.bus is not None
    assert int(link.bus.view(BUS)[0]["rate"]) == 48000
    with pytest.raises(PermissionError):
        os.pwrite(link.bus.fd, b"x", 0)
    await link.apply(PLAN | {"rate": 96000}, EMPTY_TABLES)
    assert int(link.bus.view(BUS)[0]["rate"]) == 96000


async def test_apply_raises_what_the_engine_refuses(house: House, link: EngineLink) -> None:
    await link.wait_connected()
    await link.apply(PLAN, EMPTY_TABLES)
    with pytest.raises(Refused) as caught:
        await link.apply(PLAN | {"tick_frames": 0}, EMPTY_TABLES)
    assert (caught.value.field, caught.value.value) == ("tick_frames", 0)
    assert len(house.engine.applied) == 1


async def test_counters_and_clock_are_read_as_they_are(house: House, link: EngineLink) -> None:
    await link.wait_connected()
    views = telemetry_views(house.engine.telemetry)
    for index, counter in enumerate(ENGINE_COUNTERS.fields[2:]):
        views["engine"][0][counter.name] = 1000 + index
    views["sinks"][63]["identity"], views["sinks"][63]["lost"] = -5, 3
    views["pcms"][2]["stream_id"], views["pcms"][2]["fill_frames"] = 9, 480
    page = house.engine.clock.view(CLOCK)[0]
    page["mono_ns"], page["mono_raw_ns"] = 10_000, 12_000
    page["raw_ns"], page["media_ns"], page["rate_q40"] = 20_000, 5_000_000, 1 << 39
    snapshot = link.snapshot()
    assert snapshot is not None
    assert [snapshot["engine"][each.name] for each in ENGINE_COUNTERS.fields[2:]] == list(
        range(1000, 1000 + len(ENGINE_COUNTERS.fields) - 2)
    )
    assert list(snapshot["sinks"]) == [63]
    assert snapshot["sinks"][63]["lost"] == 3
    assert snapshot["pcms"][2]["fill_frames"] == 480
    clock = snapshot["clock"]
    raw = clock["heartbeat_age_ns"] + 12_000
    assert clock["media_now_ns"] == 5_000_000 + (raw - 20_000) + (raw - 20_000) // 2
    json.dumps(snapshot)


async def test_a_record_being_written_is_not_believed(house: House, link: EngineLink) -> None:
    await link.wait_connected()
    page = house.engine.clock.view(CLOCK)[0]
    page["media_ns"], page["media_seq"] = 111, 2
    first = link.snapshot()
    page["media_seq"], page["media_ns"] = 3, 999  # a writer that died here
    second = link.snapshot()
    assert first is not None
    assert second is not None
    assert first["clock"]["media_ns"] == second["clock"]["media_ns"] == 111


async def test_a_restarted_engine_gets_plan_and_volumes_again(
    directory: str, link: EngineLink, heard: Heard
) -> None:
    first = await build(directory, generation=1)
    await link.wait_connected()
    await link.apply(PLAN | {"device_channels": 4}, EMPTY_TABLES)
    link.set_controls(Controls(playback_db=-7).to_json())
    await tear_down(first)
    await until(lambda: heard.disconnected == 1)
    second = await build(directory, generation=2)
    await until(lambda: second.engine.plan is not None)
    assert second.engine.applied[0][0].device_channels == 4
    assert second.alsa.controls == Controls(playback_db=-7)
    assert [hello.generation for hello in heard.connected] == [1, 2]
    await tear_down(second)


async def test_whoever_gives_the_new_engine_a_plan_has_the_say(
    directory: str, link: EngineLink, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_link_module, "RESEND_SECONDS", 0.05)
    first = await build(directory)
    await link.wait_connected()
    await link.apply(PLAN, EMPTY_TABLES)
    await tear_down(first)
    await until(lambda: heard.disconnected == 1)
    second = await build(directory)
    await link.wait_connected()
    await link.apply(PLAN | {"rate": 96000}, EMPTY_TABLES)
    await asyncio.sleep(0.1)
    assert [plan.rate for plan, _ in second.engine.applied] == [96000]
    await tear_down(second)


async def test_a_new_control_takes_over_a_running_engine(
    house: House, link: EngineLink, directory: str
) -> None:
    await link.wait_connected()
    await link.apply(PLAN, EMPTY_TABLES)
    link.set_controls(Controls(capture_on=False).to_json())
    await link.close()
    heard = Heard()
    successor = EngineLink(Path(directory) / "engine.sock", heard.callbacks())
    successor.restore_controls(Controls(playback_db=-40).to_json())
    successor.start()
    hello = await successor.wait_connected()
    assert hello.serial == 1
    assert heard.controls == [Controls(capture_on=False).to_json()], "the engine's own count"
    await until(lambda: successor.bus is not None)
    await asyncio.sleep(0.15)
    assert len(house.engine.applied) == 1, "connecting alone changes nothing"
    await successor.apply(PLAN, EMPTY_TABLES)
    assert house.engine.applied[-1][0].serial == 2
    assert house.alsa.controls == Controls(capture_on=False)
    await successor.close()


async def test_restored_volumes_reach_an_engine_without_any(directory: str, heard: Heard) -> None:
    link = EngineLink(Path(directory) / "engine.sock", heard.callbacks())
    link.restore_controls(Controls(playback_db=-3).to_json())
    link.start()
    house = await build(directory)
    await until(lambda: house.alsa.controls == Controls(playback_db=-3))
    await link.close()
    await tear_down(house)


async def test_an_engine_that_dies_in_the_middle_of_a_plan(
    directory: str, link: EngineLink, heard: Heard
) -> None:
    """It never answers; the plan goes to its successor."""
    server = listen(Path(directory) / "engine.sock", mode=0o600)
    real = await build_beside(directory)
    connection = await accept_and_greet(server, real)
    await link.wait_connected()
    applying = asyncio.create_task(
        link.apply(PLAN | {"rate": 44100, "tick_frames": 11}, EMPTY_TABLES)
    )
    await asyncio.sleep(0.05)
    connection.close()
    server.close()
    with pytest.raises(ConnectionError):
        await applying
    successor = await build(directory)
    await until(lambda: successor.engine.plan is not None)
    assert successor.engine.plan is not None
    assert successor.engine.plan.rate == 44100
    await tear_down(successor)
    real.engine.close()


async def test_an_engine_that_does_not_answer(directory: str, link: EngineLink) -> None:
    server = listen(Path(directory) / "engine.sock", mode=0o600)
    real = await build_beside(directory)
    connection = await accept_and_greet(server, real)
    await link.wait_connected()
    with pytest.raises(TimeoutError):
        await link.apply(PLAN, EMPTY_TABLES, within_seconds=0.05)
    assert link.connected
    connection.close()
    server.close()
    real.engine.close()


async def test_a_successor_that_refuses_the_plan_is_reported(
    directory: str, link: EngineLink, heard: Heard
) -> None:
    first = await build(directory)
    await link.wait_connected()
    await link.apply(PLAN | {"rate": 96000}, EMPTY_TABLES)
    await tear_down(first)
    await until(lambda: heard.disconnected == 1)
    second = await build(directory, refuse_rate=96000)
    await until(lambda: bool(heard.refused))
    assert heard.refused[0].field == "rate"
    await link.apply(PLAN, EMPTY_TABLES)
    await tear_down(second)


async def build_beside(directory: str) -> House:
    """Memory of an engine whose sockets nobody looks at."""
    os.mkdir(Path(directory) / "beside")  # noqa: ASYNC240
    house = await build(str(Path(directory) / "beside"))
    await house.link.close()
    return house


async def accept_and_greet(server: socket.socket, house: House, **changes: Any) -> socket.socket:
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(server)
    hello = {
        "type": "hello",
        "version": 1,
        "generation": 1,
        "serial": 0,
        "realtime": False,
        "warnings": [],
        "controls": None,
    } | changes
    fds = [house.engine.clock.fd, house.engine.telemetry.fd]
    socket.send_fds(connection, [json.dumps(hello).encode()], fds)
    return connection


@pytest.mark.parametrize(
    "spoil",
    [
        lambda connection, house: connection.send(b"not json"),
        lambda connection, house: connection.send(b"[]"),
        lambda connection, house: connection.send(b'{"type": "hello", "version": 1}'),
        lambda connection, house: connection.send(b'{"type": "bus"}'),
        lambda connection, house: connection.send(b'{"type": "pcms"}'),
        lambda connection, house: socket.send_fds(
            connection,
            [b'{"type": "hello", "version": 1, "generation": 1, "serial": 0}'],
            [house.engine.telemetry.fd, house.engine.clock.fd],
        ),
        lambda connection, house: socket.send_fds(
            connection,
            [b'{"type": "hello", "version": 2}'],
            [house.engine.clock.fd, house.engine.telemetry.fd],
        ),
    ],
    ids=["text", "list", "no memory", "bus without", "no pcms", "swapped", "version"],
)
async def test_an_engine_that_talks_nonsense_is_left_and_tried_again(
    directory: str,
    link: EngineLink,
    spoil: Callable[[socket.socket, House], Any],
) -> None:
    server = listen(Path(directory) / "engine.sock", mode=0o600)
    loop = asyncio.get_running_loop()
    real = await build_beside(directory)
    before = len(os.listdir("/proc/self/fd"))
    async with asyncio.timeout(5):
        connection, _ = await loop.sock_accept(server)
        spoil(connection, real)
        while await loop.sock_recv(connection, 100):
            continue
        connection.close()
        again, _ = await loop.sock_accept(server)
    again.close()
    server.close()
    real.engine.close()
    await link.close()
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_a_warning_that_comes_later_is_known_when_the_change_is_answered(
    house: House, link: EngineLink, directory: str
) -> None:
    house.link._cpu_latency = CpuLatency(Path(directory) / "none")
    hello = await link.wait_connected()
    await link.apply(PLAN | {"cpu_latency_us": 0}, EMPTY_TABLES)
    assert link.hello is not None
    assert link.hello.warnings[: len(hello.warnings)] == hello.warnings
    assert "cpu_latency_us = 0 is not in force" in link.hello.warnings[-1]
    await link.apply(PLAN, EMPTY_TABLES)
    assert link.hello == hello


async def test_what_applications_do_is_heard(
    house: House, link: EngineLink, heard: Heard, directory: str
) -> None:
    house.alsa.start(Path(directory) / "alsa.sock", mode=0o600)
    await link.wait_connected()
    await link.apply(PLAN | {"rate_follows_app": True}, EMPTY_TABLES)
    client, mixer = (
        AlsaClient(Path(directory) / "alsa.sock"),
        AlsaClient(Path(directory) / "alsa.sock"),
    )
    await client.hello()
    setup = asyncio.create_task(client.setup(rate=96000))
    await until(lambda: heard.rates == [96000])
    link.refuse_rate("not today")
    assert (await setup)["status"] < 0
    setup = asyncio.create_task(client.setup(rate=96000))
    await until(lambda: heard.rates == [96000, 96000])
    await link.apply(PLAN | {"rate": 96000, "rate_follows_app": True}, EMPTY_TABLES)
    assert (await setup)["status"] == 0
    await until(lambda: bool(heard.pcms[-1]))
    assert heard.pcms[-1][0]["application"] == "test"
    assert heard.pcms[-1][0]["rate"] == 96000
    await mixer.hello(is_control=1)
    await mixer.ask(MSG_CTL_WRITE, element=0, value=-12)
    await until(lambda: heard.controls == [Controls(playback_db=-12).to_json()])
    client.close()
    mixer.close()
    await until(lambda: heard.pcms[-1] == [])


async def test_a_hundred_reconnections_leave_nothing(directory: str, heard: Heard) -> None:
    house = await build(directory)
    link = EngineLink(house.path, heard.callbacks())
    link.start()
    await link.wait_connected()
    await link.apply(PLAN, EMPTY_TABLES)
    before = len(os.listdir("/proc/self/fd"))
    for count in range(2, 102):
        control = house.link._control
        assert control is not None
        control.close()
        await until(lambda count=count: len(heard.connected) == count)  # type: ignore[misc]
        await until(lambda: link.bus is not None)
    await asyncio.sleep(0.15)
    assert len(house.engine.applied) == 1, "the engine still has the plan"
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    await link.close()
    await tear_down(house)
