"""The engine's end of the link, as a control sees it that speaks raw messages."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.engine.controls import Controls
from aes67.engine.cpu_latency import CpuLatency
from aes67.shm.layout import bus_frames_for
from aes67.shm.region import attach
from sim.engine_sockets import House, build, tear_down
from sim.plans import EMPTY_TABLES, FREE_CLOCK, plan_message
from sim.waiting import until


class Control:
    """A control process reduced to its socket."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.setblocking(False)
        self.sock.connect(str(path))
        self.fds: dict[str, list[int]] = {}

    async def receive(self) -> dict[str, Any] | None:
        """The next message, None at the end; its descriptors go to `fds` by type."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            while True:
                try:
                    data, fds, _, _ = socket.recv_fds(self.sock, 1 << 18, 4)
                    break
                except BlockingIOError:
                    ready = asyncio.Event()
                    loop.add_reader(self.sock, ready.set)
                    try:
                        await ready.wait()
                    finally:
                        loop.remove_reader(self.sock)
                except ConnectionResetError:
                    return None
        if not data:
            return None
        message: dict[str, Any] = json.loads(data)
        self.fds.setdefault(message["type"], []).extend(fds)
        return message

    async def wait_for(self, *kinds: str) -> dict[str, Any]:
        """The next message of one of these types."""
        while (message := await self.receive()) is not None:
            if message["type"] in kinds:
                return message
        raise AssertionError("the link was closed")

    def send(self, message: Any, tables: bytes | None = None) -> None:
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        if tables is None:
            self.sock.send(data)
            return
        fd = os.memfd_create("tables")
        os.write(fd, tables)
        socket.send_fds(self.sock, [data], [fd])
        os.close(fd)

    async def apply(self, tables: bytes = EMPTY_TABLES, **changes: Any) -> dict[str, Any]:
        """The engine's answer to a plan."""
        self.send(plan_message(**changes), tables)
        return await self.wait_for("applied", "refused")

    def close(self) -> None:
        self.sock.close()
        for fds in self.fds.values():
            for fd in fds:
                os.close(fd)
        self.fds.clear()


Connect = Callable[[], Control]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    with tempfile.TemporaryDirectory(prefix=f"link{os.getpid()}-") as directory:
        house = await build(directory)
        yield house
        await tear_down(house)


@pytest.fixture
def connect(house: House) -> Iterator[Connect]:
    controls: list[Control] = []

    def make() -> Control:
        controls.append(Control(house.path))
        return controls[-1]

    yield make
    for control in controls:
        control.close()


async def test_hello_carries_the_facts_and_the_memory(house: House, connect: Connect) -> None:
    assert stat.S_IMODE(house.path.stat().st_mode) == 0o600
    control = connect()
    hello = await control.receive()
    assert hello == {
        "type": "hello",
        "version": 1,
        "generation": house.engine.generation,
        "serial": 0,
        "sender_name": "",
        "realtime": False,
        "warnings": ["no real-time priority"],
        "controls": None,
    }
    clock, telemetry = control.fds.pop("hello")
    assert attach(clock).size == house.engine.clock.size
    assert attach(telemetry).size == house.engine.telemetry.size
    assert (await control.wait_for("ptp"))["state"] == "unlocked"
    assert (await control.wait_for("pcms"))["pcms"] == []


async def test_a_plan_is_applied_and_the_bus_sent_before_the_answer(
    house: House, connect: Connect
) -> None:
    control = connect()
    control.send(plan_message(serial=7, sender_name="Studio"), EMPTY_TABLES)
    bus = await control.wait_for("bus", "applied")
    assert (bus["type"], bus["rate"], bus["channels"]) == ("bus", 48000, 8)
    assert bus["frames"] == bus_frames_for(48000)
    (fd,) = control.fds.pop("bus")
    assert attach(fd).size == 4096 + 8 * bus_frames_for(48000) * 4
    assert (await control.wait_for("applied"))["serial"] == 7
    ((plan, tables),) = house.engine.applied
    assert (plan.rate, plan.device_channels, tables) == (48000, 8, EMPTY_TABLES)
    later = connect()
    hello = await later.wait_for("hello")
    assert (hello["serial"], hello["sender_name"]) == (7, "Studio")
    await later.wait_for("bus")


async def test_the_same_bus_is_not_sent_twice(house: House, connect: Connect) -> None:
    control = connect()
    await control.apply(serial=1)
    await control.apply(serial=2, tick_frames=6)
    assert len(control.fds["bus"]) == 1
    await control.apply(serial=3, rate=96000, tick_frames=12)
    assert len(control.fds["bus"]) == 2


@pytest.mark.parametrize(
    ("changes", "field_name"),
    [
        ({"rate": 47999}, "rate"),
        ({"serial": 0}, "serial"),
        ({"serial": "7"}, "serial"),
        ({"serial": True}, "serial"),
        ({"serial": None}, "serial"),
        ({"clock": None}, "clock"),
        ({"clock": {**FREE_CLOCK, "mode": "ptp-slave", "domain": 200}}, None),
    ],
    ids=str,
)
async def test_a_refused_plan_changes_nothing(
    house: House, connect: Connect, changes: dict[str, Any], field_name: str | None
) -> None:
    control = connect()
    refusal = await control.apply(**changes)
    assert refusal["type"] == "refused"
    assert refusal["rule"]
    if field_name is not None:
        assert refusal["field"] == field_name
    assert house.engine.plan is None
    assert (await control.apply(serial=8)) == {"type": "applied", "serial": 8}
    refusal = await control.apply(**{"serial": 9, **changes})
    assert refusal["type"] == "refused"
    plan, tables = house.engine.applied[-1]
    assert plan.clock.mode == "free", "an engine that took it has been taken back"
    assert tables == EMPTY_TABLES
    later = connect()
    assert (await later.wait_for("hello"))["serial"] == 8


async def test_what_the_engine_refuses_leaves_the_clock_alone(
    house: House, connect: Connect
) -> None:
    control = connect()
    await control.apply(serial=1)
    spec = house.link._timekeeper._spec
    house.engine.refuse_rate = 96000
    changes = {"rate": 96000, "clock": {**FREE_CLOCK, "domain": 3}}
    assert (await control.apply(serial=2, **changes))["field"] == "rate"
    assert house.link._timekeeper._spec is spec


async def test_plans_change_the_limit_of_idle_processors_and_nothing_else_does(
    house: House, connect: Connect, tmp_path: Path
) -> None:
    """A file of the test's own stands in for the device: what was written is in it."""
    device = tmp_path / "cpu_dma_latency"
    device.touch()
    house.link._cpu_latency = latency = CpuLatency(device, tmp_path / "none")

    def asked() -> tuple[bool, int]:
        return latency._file >= 0, device.stat().st_size // 4

    control = connect()
    for serial, limit_us in enumerate((None, 0, 0, 50), 1):
        answer = await control.apply(serial=serial, cpu_latency_us=limit_us)
        assert answer == {"type": "applied", "serial": serial}
    assert asked() == (True, 2)
    assert (await control.apply(serial=5, cpu_latency_us=10_001))["field"] == "cpu_latency_us"
    house.engine.refuse_rate = 96000
    assert (await control.apply(serial=6, rate=96000))["type"] == "refused"
    assert asked() == (True, 2), "refused plans change nothing"
    control.close()
    again = connect()
    assert (await again.wait_for("hello"))["warnings"] == house.engine.warnings
    assert asked() == (True, 2), "control may come and go"
    await again.apply(serial=7)
    assert asked() == (False, 2), "a plan that says nothing of it"


async def test_an_engine_that_ends_asks_nothing_of_processors_any_more(tmp_path: Path) -> None:
    device = tmp_path / "cpu_dma_latency"
    device.touch()
    house = await build(str(tmp_path))
    house.link._cpu_latency = latency = CpuLatency(device, tmp_path / "none")
    control = Control(house.path)
    await control.apply(serial=1, cpu_latency_us=0)
    assert latency._file >= 0
    await tear_down(house)
    assert latency._file < 0
    control.close()


async def test_what_cannot_be_asked_of_processors_is_a_warning_before_the_answer(
    house: House, connect: Connect, tmp_path: Path
) -> None:
    house.link._cpu_latency = CpuLatency(tmp_path / "none", tmp_path / "none")
    control = connect()
    control.send(plan_message(serial=1, cpu_latency_us=0), EMPTY_TABLES)
    real_time, problem = (await control.wait_for("warnings", "applied"))["warnings"]
    assert real_time == "no real-time priority"
    assert "cpu_latency_us = 0 is not in force" in problem
    assert (await control.wait_for("applied"))["serial"] == 1
    control.send(plan_message(serial=2, cpu_latency_us=0), EMPTY_TABLES)
    assert (await control.wait_for("warnings", "applied"))["type"] == "applied", "said once"
    later = connect()
    assert (await later.wait_for("hello"))["warnings"] == [real_time, problem]
    later.send(plan_message(serial=3), EMPTY_TABLES)
    assert (await later.wait_for("warnings"))["warnings"] == [real_time]


@pytest.mark.parametrize("tables", [b"", EMPTY_TABLES[:-1], EMPTY_TABLES + b"\0", None])
async def test_tables_must_be_there_and_whole(
    house: House, connect: Connect, tables: bytes | None
) -> None:
    control = connect()
    control.send(plan_message(), tables)
    assert (await control.wait_for("refused"))["field"] == "tables"
    read_end, write_end = os.pipe()
    socket.send_fds(control.sock, [json.dumps(plan_message()).encode()], [read_end])
    os.close(read_end)
    os.close(write_end)
    assert (await control.wait_for("refused"))["field"] == "tables"
    assert house.engine.applied == []


async def test_a_new_control_replaces_the_old_one(house: House, connect: Connect) -> None:
    first = connect()
    await first.apply()
    second = connect()
    await second.wait_for("hello")
    while await first.receive() is not None:
        continue
    assert (await second.apply(serial=2))["type"] == "applied"


async def test_a_control_that_dies_changes_nothing(house: House, connect: Connect) -> None:
    control = connect()
    await control.apply(serial=5)
    control.close()
    await until(lambda: house.link._control is None)
    assert house.engine.plan is not None
    assert len(house.engine.applied) == 1


async def test_the_snapshot_comes_once_a_second_on_its_own(house: House, connect: Connect) -> None:
    control = connect()
    await control.apply()
    states = [(await control.wait_for("ptp"))["state"] for _ in range(3)]
    assert states[-1] == "locked", "the local clock of mode free is always locked"


async def test_controls_go_both_ways(house: House, connect: Connect) -> None:
    control = connect()
    control.send({"type": "controls", "playback_db": -6, "playback_on": True, "else": 1})
    await until(lambda: house.alsa.controls == Controls(playback_db=-6))
    assert house.engine.gains[0] == round((1 << 30) * 10 ** (-6 / 20))
    house.link.controls_changed()
    heard = await control.wait_for("controls")
    assert heard == {"type": "controls", **Controls(playback_db=-6).to_json()}
    control.send({"type": "controls", "playback_db": 7})
    later = connect()
    hello = await later.wait_for("hello")
    assert hello["controls"] == Controls(playback_db=-6).to_json()


async def test_rate_requests_need_a_control(house: House, connect: Connect) -> None:
    assert not house.link.request_rate(96000)
    control = connect()
    await control.wait_for("hello")
    assert house.link.request_rate(96000)
    assert (await control.wait_for("rate_request"))["rate"] == 96000
    control.send({"type": "rate_refused", "reason": "no"})


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"[]",
        b"1",
        b"null",
        b"{}",
        b'{"type": 1}',
        b'{"type": []}',
        b'{"type": "other"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"type": "controls"}',
        b'{"type": "rate_refused"}',
        b'{"type": "controls", "playback_db": "loud"}',
    ],
    ids=lambda data: data[:20].decode(errors="replace"),
)
async def test_nonsense_is_passed_over(house: House, connect: Connect, data: bytes) -> None:
    control = connect()
    control.send(data)
    assert (await control.apply(serial=3)) == {"type": "applied", "serial": 3}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=10), children, max_size=3)
    ),
    max_leaves=8,
)


def spoilt(draw: Callable[[Any], Any]) -> dict[str, Any]:
    """A plan, or another message, with some fields made anything."""
    kind = draw(st.sampled_from(["plan", "controls", "rate_refused"]))
    message = plan_message() | {
        "type": kind,
        "playback_db": 0,
        "playback_on": True,
        "reason": "",
        "capture_db": 0,
    }
    for name in draw(st.lists(st.sampled_from(sorted(set(message) - {"type"})), max_size=3)):
        message[name] = draw(JSON)
    return message


def test_any_message_is_survived() -> None:
    async def run_all() -> None:
        with tempfile.TemporaryDirectory(prefix=f"link{os.getpid()}-") as directory:
            house = await build(directory)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, attack_all, loop, house)
            await tear_down(house)

    asyncio.run(run_all())


def attack_all(loop: asyncio.AbstractEventLoop, house: House) -> None:
    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def attack(data: st.DataObject) -> None:
        messages = [spoilt(data.draw) for _ in range(3)]
        future = asyncio.run_coroutine_threadsafe(one_attack(house, messages), loop)
        future.result(30)

    attack()


async def one_attack(house: House, messages: list[dict[str, Any]]) -> None:
    control = Control(house.path)
    try:
        for message in messages:
            control.send(message, EMPTY_TABLES)
            if message["type"] == "plan":
                await control.wait_for("applied", "refused")
        assert (await control.apply(serial=2))["type"] == "applied"
    finally:
        control.close()


async def test_a_control_that_never_reads_is_not_a_leak(house: House, connect: Connect) -> None:
    control = connect()
    await until(lambda: house.link._control is not None)
    for number in range(3000):
        house.link.snapshot_changed({"number": number, "padding": "x" * 500})
    connection = house.link._control
    assert connection is not None
    assert len(connection._outbox) <= 6
    numbers = []
    while not numbers or numbers[-1] != 2999:
        numbers.append((await control.wait_for("ptp")).get("number", -1))
    assert numbers == sorted(numbers)
