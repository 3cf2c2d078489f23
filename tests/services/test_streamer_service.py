"""The worker as a process of its own: started, told, asked, killed, started again, ended."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from aes67.services import streamer
from aes67.services.streamer import StreamerGone, StreamerService
from aes67.streamer import protocol
from aes67.streamer.protocol import Request, Settings
from sim.capture_memory import CaptureMemory, sine
from sim.waiting import until

SETTINGS = Settings(running=True, sinks={0: (0, 1)})
WAV = Request("listen", 0, format="wav")


@pytest.fixture
async def service() -> AsyncIterator[StreamerService]:
    made = StreamerService()
    yield made
    await made.close()
    made.forget()


async def error(service: StreamerService, request: Request) -> str:
    """What the worker says of a request, as soon as there is one."""
    async with asyncio.timeout(30):
        while True:
            try:
                answer = await service.ask(request)
            except StreamerGone:
                await asyncio.sleep(0.01)
                continue
            answer.close()
            return str(answer.head["error"])


def alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


async def test_it_runs_from_settings_to_none(service: StreamerService) -> None:
    with pytest.raises(StreamerGone):
        await service.ask(WAV)
    assert service.process_id is None
    await service.configure(SETTINGS)
    assert await error(service, WAV) == protocol.NO_ENGINE
    process = service.process_id
    assert process is not None
    assert os.getpriority(os.PRIO_PROCESS, process) >= 10
    await service.configure(None)
    assert not alive(process)
    with pytest.raises(StreamerGone):
        await service.ask(WAV)


async def test_it_hears_the_engine_it_is_told_of(service: StreamerService) -> None:
    memory = CaptureMemory()
    service.engine((memory.clock.fd, memory.bus.fd))
    await service.configure(SETTINGS)
    assert await error(service, WAV) == ""
    answer = await service.ask(WAV)
    chunks = answer.chunks()
    content = await anext(chunks)
    first = memory.done
    memory.advance(4800)
    async with asyncio.timeout(10):
        while len(content) < 44 + 4800 * 6:
            content += await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]
    found = np.frombuffer(content[44:], np.uint8).reshape(-1, 2, 3)[:, 0]
    wanted = sine(0, 48000, first, 4800).view(np.uint8).reshape(-1, 4)[:, 1:]
    assert np.array_equal(found, wanted)
    service.engine(None)
    assert await error(service, WAV) == protocol.NO_ENGINE
    memory.close()


async def test_one_that_dies_is_started_again_and_knows_all(
    service: StreamerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamer, "PAUSE_SECONDS_MIN", 0.01)
    memory = CaptureMemory()
    service.engine((memory.clock.fd, memory.bus.fd))
    await service.configure(Settings())
    await service.configure(SETTINGS)
    assert await error(service, WAV) == ""
    answer = await service.ask(WAV)
    before = service.process_id
    assert before is not None
    os.kill(before, signal.SIGKILL)
    async with asyncio.timeout(10):
        assert b"".join([chunk async for chunk in answer.chunks()])[:4] in (b"RIFF", b"")
    await until(lambda: service.process_id not in (None, before))
    assert await error(service, WAV) == ""
    assert service.problem == ""
    memory.close()


async def test_one_that_hangs_is_not_waited_for(
    service: StreamerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamer, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(streamer, "END_SECONDS", 0.1)
    await service.configure(SETTINGS)
    await until(lambda: service.process_id is not None)
    process = service.process_id
    assert process is not None
    os.kill(process, signal.SIGSTOP)
    with pytest.raises(StreamerGone, match="does not answer"):
        await service.ask(WAV)
    await service.close()
    assert not alive(process)


async def test_it_ends_with_control(service: StreamerService) -> None:
    await service.configure(SETTINGS)
    assert await error(service, WAV) == protocol.NO_ENGINE
    process, link = service.process_id, service._link
    assert process is not None
    assert link is not None
    link.close()  # as when control dies
    await until(lambda: service.process_id != process)


async def test_no_descriptor_is_left(service: StreamerService) -> None:
    memory = CaptureMemory()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        service.engine((memory.clock.fd, memory.bus.fd))
        await service.configure(SETTINGS)
        for _ in range(5):
            await error(service, WAV)
        await service.configure(None)
    service.forget()
    await until(lambda: len(os.listdir("/proc/self/fd")) <= before + 1)
    memory.close()


@pytest.mark.parametrize("turns", range(0, 40, 4))
async def test_it_may_be_ended_while_it_starts(service: StreamerService, turns: int) -> None:
    await service.configure(SETTINGS)
    for _ in range(turns):
        await asyncio.sleep(0)
    await service.configure(None)
    gc.collect()
    assert service.process_id is None


async def test_who_stops_waiting_for_the_end_can_wait_again(service: StreamerService) -> None:
    await service.configure(SETTINGS)
    assert await error(service, WAV) == protocol.NO_ENGINE
    process = service.process_id
    assert process is not None
    impatient = asyncio.create_task(service.configure(None))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait({impatient})
    await service.close()
    assert not alive(process)
