"""The sockets around the real engine: streams it opens, closes and reconfigures."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aes67.engine.alsa import AlsaServer, Hooks
from aes67.engine.engine import Engine
from aes67.engine.link import LinkServer
from aes67.engine.timekeeper import Timekeeper
from aes67.services.engine_link import EngineLink
from aes67.shm.layout import (
    CAPTURE,
    EVENT_RECONFIGURED,
    FORMATS,
    MSG_FREE,
    RUN_RUNNING,
    STREAM,
)
from aes67.shm.region import attach
from sim.alsa_client import AlsaClient
from sim.plans import EMPTY_TABLES, plan_message
from sim.waiting import until


@dataclass
class House:
    engine: Engine
    alsa: AlsaServer
    link: EngineLink
    path: Path

    def pcms(self) -> dict[int, dict[str, int]]:
        snapshot = self.link.snapshot()
        assert snapshot is not None
        return snapshot["pcms"]  # type: ignore[no-any-return]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    engine = Engine(lock_memory=False)
    engine.start()
    timekeeper = Timekeeper(engine.clock_page.publish_media, lambda snapshot: None)
    alsa = AlsaServer(engine, Hooks())
    server = LinkServer(engine, timekeeper, alsa)
    with tempfile.TemporaryDirectory(prefix=f"real{os.getpid()}-") as directory:
        path = Path(directory)
        server.start(path / "engine.sock")
        alsa.start(path / "alsa.sock", mode=0o600)
        link = EngineLink(path / "engine.sock")
        link.start()
        await link.wait_connected()
        await link.apply(plan_message(), EMPTY_TABLES)
        yield House(engine, alsa, link, path / "alsa.sock")
        await link.close()
        await server.close()
        await alsa.close()
    await timekeeper.close()
    engine.stop()


async def play(path: Path, **setup: Any) -> AlsaClient:
    client = AlsaClient(path)
    assert (await client.hello())["status"] == 0
    assert (await client.setup(**setup))["status"] == 0
    return client


async def test_a_stream_runs_from_set_up_to_close(house: House) -> None:
    client = await play(house.path)
    region = attach(client.fds[-1], writable=True)
    client.fds.pop()
    header = region.view(STREAM)[0]
    assert (header["rate"], header["channels"], header["first"]) == (48000, 2, 0)
    clock = (house.link.snapshot() or {})["clock"]
    header["appl_pos"] = 4800
    header["run_seq"], header["run"], header["state"] = 1, 7, RUN_RUNNING
    header["anchor"] = clock["media_now_ns"] * 48 // 1_000_000 - 100
    header["epoch"] = clock["epoch"]
    header["run_seq"] = 2
    await until(lambda: int(header["ack_run"]) == 7 and int(header["done_pos"]) > 100)
    (row,) = house.pcms().values()
    assert row["stream_id"] == int(header["stream_id"])
    assert row["state"] == RUN_RUNNING
    client.close()
    await until(lambda: house.pcms() == {})


async def test_a_new_rate_gives_everybody_new_memory(house: House) -> None:
    playing, recording = await play(house.path), AlsaClient(house.path)
    await recording.hello(CAPTURE)
    assert (await recording.setup())["status"] == 0
    await house.link.apply(plan_message(rate=96000, tick_frames=24), EMPTY_TABLES)
    for client in (playing, recording):
        assert (await client.receive())["kind"] == EVENT_RECONFIGURED
        client.close()
    await until(lambda: house.pcms() == {})
    again = await play(house.path, rate=96000)
    (row,) = house.alsa.pcms()
    assert row["rate"] == 96000
    again.close()


async def test_open_and_close_without_end_leaves_nothing(house: House) -> None:
    def descriptors() -> int:
        house.engine.collect()
        return len(os.listdir("/proc/self/fd"))

    client = await play(house.path)
    await client.ask(MSG_FREE)
    await until(lambda: house.pcms() == {})
    while client.fds:
        os.close(client.fds.pop())
    gc.collect()  # what earlier tests have left goes now, and what is left of that is no growth
    before = descriptors()
    for number in range(60):
        assert (await client.setup(channels=1 + number % 8))["status"] == 0
        if number % 2:
            assert (await client.ask(MSG_FREE))["status"] == 0
        while client.fds:
            os.close(client.fds.pop())
    await client.ask(MSG_FREE)
    await until(lambda: descriptors() <= before)
    client.close()


async def test_every_slot_can_be_used_and_one_more_is_refused(house: House) -> None:
    """As two users would: the limit of one user is below the engine's own."""
    house.alsa._desk._book._limits = type(house.alsa._limits)(pcms_per_uid=1000)
    client = AlsaClient(house.path)
    await client.hello()
    opened = [
        house.engine.open_playback(channels=1, first=0, buffer_frames=480) for _ in range(128)
    ]
    assert (await client.setup())["status"] < 0
    house.engine.close_playback(opened[0].stream_id)
    async with asyncio.timeout(60):
        while (await client.setup())["status"] < 0:
            continue
    for each in opened[1:]:
        house.engine.close_playback(each.stream_id)
    client.close()
    await until(lambda: house.pcms() == {})


async def test_the_bus_maps_as_it_is_described(house: House) -> None:
    client = AlsaClient(house.path)
    await client.hello(CAPTURE)
    reply = await client.setup()
    region = attach(client.fds.pop())
    shape = (int(reply["channels"]), int(reply["ring_frames"]))
    assert region.size == reply["bytes"] == 4096 + 4 * shape[0] * shape[1]
    assert not np.any(region.samples(shape)[:, :48000])
    client.close()


async def test_the_largest_buffer_offered_at_one_rate_holds_at_the_one_it_changes_to(
    house: House,
) -> None:
    """As `speaker-test -r 44100` on a device at 48 kHz whose rate follows the application."""
    await house.link.apply(plan_message(rate_follows_app=True), EMPTY_TABLES)
    client = AlsaClient(house.path)
    most = int((await client.hello())["buffer_bytes_max"])
    lower = plan_message(rate=44100, tick_frames=11, rate_follows_app=True)
    await house.link.apply(lower, EMPTY_TABLES)
    stereo = {"rate": 44100, "format": FORMATS.index("S16_LE"), "buffer_frames": most // 4}
    reply = await client.setup(**stereo)
    assert reply["status"] == 0
    assert reply["ring_frames"] >= most // 4
    stereo["buffer_frames"] += 1
    assert (await client.setup(**stereo))["status"] == -errno.EINVAL
    client.close()
    await until(lambda: house.pcms() == {})
