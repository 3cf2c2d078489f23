"""The worker over a bus whose time is moved by hand: recordings, listeners, what ends them."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aes67.errors import WireError
from aes67.streamer import listeners, protocol, worker
from aes67.streamer.encoders import AAC_FRAME
from aes67.streamer.protocol import Request, Settings
from aes67.streamer.worker import Worker
from sim.capture_memory import CaptureMemory, sine
from sim.waiting import PATIENCE_S, until

SETTINGS = Settings(
    running=True, channels=4, files_num=4, sinks={0: (0, 1), 1: (0, 1), 2: (3,), 9: (3, 4)}
)
STEP = 960


class Bench:
    """A worker, the memory it reads, and ways to ask it."""

    def __init__(self) -> None:
        self.memory = CaptureMemory()
        self.worker = Worker()
        self.writers: list[asyncio.StreamWriter] = []

    async def run(self, seconds: float) -> None:
        """Let time pass, as much as it is told."""
        for _ in range(int(seconds * 48000 / STEP)):
            self.memory.advance(STEP)
            self.worker._step()
            await asyncio.sleep(0)

    def begin(self, settings: Settings = SETTINGS) -> None:
        self.worker.engine(self.memory.descriptors())
        self.worker.configure(settings)

    async def ask(self, *what: Any, **more: Any) -> tuple[dict[str, Any], asyncio.StreamReader]:
        ours, theirs = socket.socketpair()
        self.worker.open(Request(*what, **more), theirs)
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)
        self.writers.append(writer)
        async with asyncio.timeout(PATIENCE_S):
            head: dict[str, Any] = json.loads(await reader.readline())
        return head, reader

    async def error(self, *what: Any, **more: Any) -> str:
        head, reader = await self.ask(*what, **more)
        if head["error"]:
            assert await reader.read() == b""
        return str(head["error"])


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.worker.close()
    for writer in made.writers:
        writer.close()
    await until(lambda: not made.worker.listeners)
    made.memory.close()


async def test_why_there_are_no_files(bench: Bench) -> None:
    assert await bench.error("info", 5) == protocol.NO_SINK
    bench.worker.configure(SETTINGS)
    assert await bench.error("info", 0) == protocol.NOT_RUNNING
    bench.begin()
    assert await bench.error("info", 0) == protocol.BUFFERING
    assert await bench.error("info", 9) == protocol.NOT_CAPTURED
    assert await bench.error("live", 9) == protocol.NOT_CAPTURED
    bench.worker.configure(replace(SETTINGS, running=False))
    assert await bench.error("file", 0, 1) == protocol.NOT_RUNNING
    bench.worker.engine(())
    assert await bench.error("info", 0) == protocol.NOT_RUNNING


async def test_files_of_a_ring(bench: Bench) -> None:
    bench.begin()
    await bench.run(2.9)
    assert await bench.error("file", 0, 0) == protocol.BUFFERING
    await bench.run(0.3)
    head, _ = await bench.ask("info", 0)
    assert head == {"error": "", "start": 1, "current": 3, "channels": 2, "rate": 48000}
    for place in range(3):
        head, reader = await bench.ask("file", 0, place)
        assert (head["count"], head["current"]) == (place, 3)
        assert (await reader.read())[:2] == b"\xff\xf1"
    assert await bench.error("file", 0, 3) == protocol.BUFFERING
    assert await bench.error("file", 0, 4) == protocol.NO_FILE
    await bench.run(1.5)
    head, _ = await bench.ask("file", 0, 3)
    assert (head["count"], head["current"], head["start"]) == (3, 0, 2)
    assert len(bench.worker.recordings) == 2  # sinks 0 and 1 share one


def frames_in(content: bytes) -> int:
    """How many ADTS frames."""
    found = 0
    while content:
        assert content[:2] == b"\xff\xf1"
        length = (content[3] & 3) << 11 | content[4] << 3 | content[5] >> 5
        content, found = content[length:], found + 1
    return found


async def test_a_file_is_as_long_as_it_says(bench: Bench) -> None:
    bench.begin(replace(SETTINGS, sinks={2: (3,)}))
    await bench.run(5.1)
    lengths = []
    for place in range(4):
        _, reader = await bench.ask("file", 2, place)
        lengths.append(frames_in(await reader.read()))
    assert sum(lengths) * AAC_FRAME == pytest.approx(4 * 48000, abs=AAC_FRAME)


async def test_the_live_stream_is_the_files_one_after_the_other(bench: Bench) -> None:
    bench.begin(replace(SETTINGS, sinks={0: (0,)}))
    await bench.run(6.1)
    head, live = await bench.ask("live", 0)
    assert head["error"] == ""
    wanted = b""
    for place in (3, 0, 1):
        _, reader = await bench.ask("file", 0, place)
        wanted += await reader.read()
    assert await live.readexactly(len(wanted)) == wanted
    await bench.run(1)
    _, reader = await bench.ask("file", 0, 2)
    newest = await reader.read()
    assert await live.readexactly(len(newest)) == newest


async def test_wav_is_what_is_on_the_bus(bench: Bench) -> None:
    bench.begin()
    head, reader = await bench.ask("listen", 9, format="wav")
    assert head == {"error": "", "rate": 48000}
    first = bench.memory.done
    await bench.run(0.5)
    content = await reader.readexactly(44 + 24000 * 6)
    octets = np.frombuffer(content[44:], np.uint8).reshape(-1, 2, 3).astype(np.int32)
    found = octets[..., 0] << 8 | octets[..., 1] << 16 | octets[..., 2] << 24
    for index, channel in enumerate((3, 4)):
        assert np.array_equal(found[:, index], sine(channel, 48000, first, 24000) & ~0xFF)


async def test_channels_are_chosen_by_the_sinks_own_numbers(bench: Bench) -> None:
    bench.begin()
    _, reader = await bench.ask("listen", 9, format="wav", channels=(1,))
    first = bench.memory.done
    await bench.run(0.1)
    content = await reader.readexactly(44 + 4800 * 3)
    found = np.frombuffer(content[44:], np.uint8).reshape(-1, 3)
    wanted = sine(4, 48000, first, 4800).view(np.uint8).reshape(-1, 4)[:, 1:]
    assert np.array_equal(found, wanted)
    assert await bench.error("listen", 9, format="wav", channels=(2,)) == protocol.NO_CHANNEL
    bench.worker.configure(replace(SETTINGS, sinks={0: tuple(range(8))}))
    too_many = tuple(range(3))
    assert await bench.error("listen", 0, format="opus", channels=too_many) == protocol.NO_CHANNEL


async def test_listeners_share_a_feed_that_ends_with_the_last(bench: Bench) -> None:
    bench.begin()
    readers = [(await bench.ask("listen", sink, format="opus"))[1] for sink in (0, 1, 1, 2)]
    assert len(bench.worker.feeds) == 2
    await bench.run(1)
    contents = [await reader.read(4000) for reader in readers]
    assert contents[0] == contents[1] == contents[2]
    assert all(content.startswith(b"OggS") for content in contents)
    for writer in bench.writers:
        writer.close()
    await asyncio.sleep(0)
    await bench.run(0.3)
    await until(lambda: not bench.worker.feeds)


async def test_one_who_does_not_read_costs_nobody_else(bench: Bench) -> None:
    bench.begin(replace(SETTINGS, sinks={0: tuple(range(8))}))
    await bench.ask("listen", 0, format="wav")
    _, good = await bench.ask("listen", 0, format="wav")
    (slow, other) = bench.worker.listeners
    heard = len(await good.readexactly(68))
    for _ in range(20):
        await bench.run(0.2)
        heard += len(await good.readexactly(9600 * 24))
        assert slow._bytes <= listeners.QUEUE_BYTES
        assert other._bytes <= listeners.QUEUE_BYTES
    assert sorted((slow.skipped > 0, other.skipped > 0)) == [False, True]
    assert heard == 68 + 4 * 48000 * 24


async def test_who_takes_nothing_is_cut(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners.Listener.send, "__defaults__", (0.05,))
    bench.begin(replace(SETTINGS, sinks={0: tuple(range(8))}))
    await bench.ask("listen", 0, format="wav")
    await bench.run(1)
    await until(lambda: not bench.worker.listeners)
    assert not bench.worker.feeds


@pytest.mark.parametrize(
    "changed", [{}, {0: (1,)}, {1: (0,)}], ids=["no sink", "another map", "another sink"]
)
@pytest.mark.parametrize("kind", ["live", "listen"])
async def test_a_sink_that_changes_lets_its_listeners_go(
    bench: Bench, kind: str, changed: dict[int, tuple[int, ...]]
) -> None:
    bench.begin(replace(SETTINGS, sinks={0: (0,)}))
    await bench.run(3.1)
    _, reader = await bench.ask(kind, 0, format="wav")
    bench.worker.configure(replace(SETTINGS, sinks=changed))
    async with asyncio.timeout(PATIENCE_S):
        await reader.read()
    await until(lambda: not bench.worker.listeners)


async def test_other_sinks_hear_on(bench: Bench) -> None:
    bench.begin()
    _, reader = await bench.ask("listen", 2, format="wav")
    await bench.run(0.1)
    bench.worker.configure(replace(SETTINGS, sinks={2: (3,)}))
    await bench.run(0.1)
    await reader.readexactly(44 + 9600 * 3)


async def test_another_engine_of_the_same_rate_is_heard_on(bench: Bench) -> None:
    bench.begin()
    _, reader = await bench.ask("listen", 0, format="wav")
    await reader.readexactly(44)
    bench.worker.engine(())
    await bench.run(0.1)
    second = CaptureMemory(done=7)
    bench.memory.close()
    bench.memory = second
    bench.worker.engine(second.descriptors())
    await bench.run(0.1)
    await reader.readexactly(4800 * 6)


async def test_another_rate_begins_anew(bench: Bench) -> None:
    bench.begin()
    _, reader = await bench.ask("listen", 0, format="wav")
    bench.memory.close()
    bench.memory = CaptureMemory(rate=96000)
    bench.worker.engine(bench.memory.descriptors())
    await reader.read()
    assert await bench.error("info", 0) == protocol.BUFFERING
    head, _ = await bench.ask("listen", 0, format="wav")
    assert head["rate"] == 96000


async def test_a_strange_engine_is_none(bench: Bench) -> None:
    bench.memory.header[0]["rate"] = -1
    with pytest.raises(WireError):
        bench.worker.engine(bench.memory.descriptors())
    bench.worker.configure(SETTINGS)
    assert await bench.error("listen", 0, format="wav") == protocol.NO_ENGINE


async def test_it_sleeps_while_nobody_needs_it(bench: Bench) -> None:
    bench.begin(replace(SETTINGS, running=False))
    assert bench.worker._timer is None
    _, _ = await bench.ask("listen", 0, format="wav")
    assert bench.worker._timer is not None
    bench.writers[-1].close()
    await asyncio.sleep(0)
    await bench.run(0.2)
    await until(lambda: not bench.worker.feeds)
    bench.worker._step()
    assert bench.worker._timer is None


async def test_there_is_a_limit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "LISTENERS_MAX", 2)
    bench.begin()
    for _ in range(2):
        await bench.ask("listen", 0, format="wav")
    assert await bench.error("listen", 0, format="wav") == protocol.FULL


async def test_without_pyav_the_files_say_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    bench.begin()
    assert await bench.error("info", 0) == protocol.NO_CODEC
    assert await bench.error("listen", 0, format="opus") == protocol.NO_CODEC
    assert (await bench.ask("listen", 0, format="wav"))[0]["error"] == ""
