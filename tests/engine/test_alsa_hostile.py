"""The ALSA socket and whoever means it ill: an answer or a closed connection, no more."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.engine import alsa_messages as messages
from aes67.engine.alsa import BURST_MESSAGES, AlsaServer, Hooks
from aes67.errors import WireError
from aes67.shm.layout import (
    CTL_PLAYBACK_VOLUME,
    MESSAGE_MAGIC,
    MSG_CTL_READ,
    MSG_CTL_WRITE,
    MSG_FREE,
    MSG_HELLO,
    MSG_SETUP,
    VERSION_MAJOR,
)
from sim.alsa_client import STRUCTS, AlsaClient, message
from sim.stand_in_engine import StandInEngine, StandInPlan
from sim.waiting import until

REQUESTS = (MSG_HELLO, MSG_SETUP, MSG_FREE, MSG_CTL_READ, MSG_CTL_WRITE)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request with any content, often with a head that is right, sometimes cut or extended."""
    kind = draw(st.sampled_from(REQUESTS))
    size = STRUCTS[kind].size
    body = draw(st.binary(min_size=size - 24, max_size=size - 24))
    data = message(kind)[:24] + body
    spoil = draw(st.sampled_from(["not", "byte", "cut", "longer", "longer and says so"]))
    if spoil == "byte":
        at = draw(st.integers(0, 23))
        data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
    elif spoil == "cut":
        data = data[: draw(st.integers(1, len(data)))]
    elif spoil.startswith("longer"):
        data += draw(st.binary(min_size=1, max_size=64))
        if spoil.endswith("so"):
            data = data[:12] + len(data).to_bytes(4, "little") + data[16:]
    return data


@given(st.binary(max_size=300) | requests())
def test_parsers_give_a_value_or_wire_error(data: bytes) -> None:
    for parse in (
        messages.parse_head,
        messages.parse_hello,
        messages.parse_setup,
        messages.parse_control,
    ):
        try:
            assert parse(data) is not None
        except WireError:
            continue


@given(st.binary(min_size=128, max_size=128))
def test_names_are_printable_whatever_they_were(names: bytes) -> None:
    hello = messages.parse_hello(message(MSG_HELLO)[:48] + names + bytes(16))
    assert hello.device.isprintable()
    assert hello.application.isprintable()
    assert len(hello.device) <= 64


@dataclass
class House:
    engine: StandInEngine
    server: AlsaServer
    path: Path


@pytest.fixture
async def house() -> AsyncIterator[House]:
    engine = StandInEngine()
    server = AlsaServer(engine, Hooks())  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory(prefix=f"alsa{os.getpid()}-") as directory:
        path = Path(directory) / "alsa.sock"
        server.start(path, mode=0o600)
        engine.apply(StandInPlan(), b"")
        server.plan_applied()
        yield House(engine, server, path)
        await server.close()
    engine.close()


def test_any_sequence_of_requests_is_answered_or_cut_off() -> None:
    """One loop for all examples: each is a client that connects, talks nonsense and is gone."""

    async def run_all() -> None:
        engine = StandInEngine()
        server = AlsaServer(engine, Hooks())  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory(prefix=f"alsa{os.getpid()}-") as directory:
            path = Path(directory) / "alsa.sock"
            server.start(path, mode=0o600)
            engine.apply(StandInPlan(), b"")
            server.plan_applied()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, _hostile_clients, loop, path)
            await until(lambda: not server._clients)
            assert server.pcms() == []
            assert engine.playbacks == {}
            await server.close()
        engine.close()

    asyncio.run(run_all())


def _hostile_clients(loop: asyncio.AbstractEventLoop, path: Path) -> None:
    @settings(max_examples=150, deadline=None)
    @given(st.booleans(), st.lists(requests(), min_size=1, max_size=6))
    def attack(hello_first: bool, script: list[bytes]) -> None:
        asyncio.run_coroutine_threadsafe(_one_attack(path, hello_first, script), loop).result(30)

    attack()


async def _one_attack(path: Path, hello_first: bool, script: list[bytes]) -> None:
    client = AlsaClient(path)
    try:
        if hello_first:
            assert (await client.hello())["status"] == 0
        for data in script:
            try:
                client.sock.send(data)
            except (BrokenPipeError, ConnectionResetError):
                break
            reply = await client.raw()
            if not reply:
                break
            assert int.from_bytes(reply[:4], "little") == MESSAGE_MAGIC
            assert int.from_bytes(reply[12:16], "little") == len(reply)
            assert reply[16:20] == data[16:20]
            if len(data) >= 6 and int.from_bytes(data[4:6], "little") != VERSION_MAJOR:
                assert int.from_bytes(reply[20:24], "little", signed=True) < 0
    finally:
        client.close()


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"\0" * 24,
        message(MSG_HELLO)[:23],
        message(MSG_HELLO, magic=1),
        message(MSG_HELLO, size=191),
        message(MSG_HELLO, size=2**32 - 1),
        message(MSG_SETUP, type=99),
        message(MSG_HELLO, size=193) + b"\0" * 2000,
        b"\xff" * 1024,
    ],
    ids=["short", "zeros", "cut", "magic", "size", "huge size", "type", "long", "ones"],
)
async def test_no_message_of_ours_closes_the_connection(house: House, data: bytes) -> None:
    good, bad = AlsaClient(house.path), AlsaClient(house.path)
    assert (await good.hello())["status"] == 0
    bad.sock.send(data)
    assert await bad.raw() == b""
    assert (await good.setup())["status"] == 0
    good.close()
    bad.close()


async def test_descriptors_a_client_sends_are_not_kept(house: House) -> None:
    client = AlsaClient(house.path)
    await client.hello()
    before = len(os.listdir("/proc/self/fd"))
    read_end, write_end = os.pipe()
    for _ in range(20):
        client.sock.sendmsg([message(MSG_FREE)], [(1, 1, read_end.to_bytes(4, "little") * 4)])
        await client.raw()
    os.close(read_end)
    os.close(write_end)
    assert len(os.listdir("/proc/self/fd")) == before
    client.close()


async def test_a_flood_does_not_keep_others_waiting(house: House) -> None:
    flooder, mixer = AlsaClient(house.path), AlsaClient(house.path)
    await flooder.hello(is_control=1)
    await mixer.hello(is_control=1)
    loop = asyncio.get_running_loop()
    flooding = True
    sent = 0

    async def flood() -> None:
        nonlocal sent
        request = message(MSG_CTL_READ, element=CTL_PLAYBACK_VOLUME)
        while flooding:
            try:
                for _ in range(64):
                    flooder.sock.send(request)
                    sent += 1
            except BlockingIOError:
                pass
            await asyncio.sleep(0)
            try:
                while flooder.sock.recv(1024):
                    pass
            except BlockingIOError:
                pass

    task = asyncio.create_task(flood())
    await until(lambda: sent > 4 * BURST_MESSAGES)
    began = loop.time()
    for _ in range(20):
        await mixer.ask(MSG_CTL_READ, element=CTL_PLAYBACK_VOLUME)
    took = loop.time() - began
    flooding = False
    await task
    assert took < 1.0
    flooder.close()
    mixer.close()


async def test_a_client_that_never_reads_is_not_worked_for(house: House) -> None:
    """Replies it does not fetch stay in its own socket; the rest of its requests stay unread."""
    client = AlsaClient(house.path)
    await client.hello()
    sent = 0
    try:
        while sent < 10_000:
            client.sock.send(
                message(MSG_SETUP, rate=48000, channels=64, period_frames=48, buffer_frames=2400)
            )
            sent += 1
            await asyncio.sleep(0)
    except BlockingIOError:
        pass
    assert sent < 1000
    assert len(house.engine.playbacks) == 1
    assert house.engine._next_id < 100
    client.close()
    await until(lambda: not house.engine.playbacks)


async def test_connections_without_end_leave_room_for_others(house: House) -> None:
    crowd = [AlsaClient(house.path) for _ in range(100)]
    client = AlsaClient(house.path)
    assert (await client.hello())["status"] == 0
    for each in [*crowd, client]:
        each.close()
    await until(lambda: not house.server._clients)
