"""What a child tells its parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator

import pytest

from aes67.net import heartbeat as heartbeat_module
from aes67.net.heartbeat import ALIVE, ENVIRONMENT, READY, Heartbeat


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    os.set_blocking(read_end, False)
    monkeypatch.setenv(ENVIRONMENT, str(write_end))
    monkeypatch.setattr(heartbeat_module, "INTERVAL_SECONDS", 0.02)
    yield read_end, write_end
    os.close(read_end)
    os.close(write_end)


async def test_ready_once_then_alive_from_the_loop(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    heartbeat = Heartbeat()
    assert ENVIRONMENT not in os.environ, "its own children must not speak in its place"
    assert not os.get_inheritable(write_end)
    with pytest.raises(BlockingIOError):
        os.read(read_end, 100)
    heartbeat.ready()
    heartbeat.ready()
    assert os.read(read_end, 100) == READY + ALIVE
    await asyncio.sleep(0.1)
    assert set(os.read(read_end, 1000).splitlines(keepends=True)) == {ALIVE}
    heartbeat.close()
    await asyncio.sleep(0.05)
    with pytest.raises(BlockingIOError):
        os.read(read_end, 100)


async def test_a_parent_that_does_not_read_holds_nobody_up(pipe: tuple[int, int]) -> None:
    heartbeat = Heartbeat()
    with contextlib.suppress(BlockingIOError):
        while os.write(pipe[1], bytes(4096)):
            continue
    heartbeat.ready()
    await asyncio.sleep(0.05)
    heartbeat.close()


@pytest.mark.parametrize("value", ["", "x", "-1", "987654", "1e3"])
async def test_without_a_parent_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(ENVIRONMENT, value)
    heartbeat = Heartbeat()
    heartbeat.ready()
    heartbeat.close()
