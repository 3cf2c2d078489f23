"""Listening sockets: seen with their permissions, left-overs replaced, nobody pushed aside."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aes67.net import listener as listener_module
from aes67.net.listener import Listener, listen
from aes67.net.seqpacket import connect, peer_credentials
from sim.waiting import until


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"seq{os.getpid()}-") as name:
        yield Path(name)


async def test_listen_accept_and_credentials(directory: Path) -> None:
    path = directory / "s"
    accepted: list[socket.socket] = []
    listener = Listener(listen(path, mode=0o640), path, accepted.append)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(directory) == ["s"]
    client = connect(path)
    await until(lambda: bool(accepted))
    credentials = peer_credentials(accepted[0])
    assert (credentials.pid, credentials.uid) == (os.getpid(), os.getuid())
    listener.close()
    assert not path.exists()
    client.close()
    accepted[0].close()


def test_a_left_over_socket_is_replaced_but_not_one_that_lives(directory: Path) -> None:
    path = directory / "s"
    dead = listen(path, mode=0o600)
    dead.close()
    living = listen(path, mode=0o600)
    with pytest.raises(OSError, match="another process answers") as caught:
        listen(path, mode=0o600)
    assert caught.value.errno == errno.EADDRINUSE
    connect(path).close()
    living.close()


def test_a_living_socket_with_a_full_queue_counts_as_living(directory: Path) -> None:
    path = directory / "s"
    living = listen(path, mode=0o600, backlog=0)
    waiting = connect(path)
    with pytest.raises(OSError, match="another process answers"):
        listen(path, mode=0o600)
    waiting.close()
    living.close()


def test_what_is_in_the_way_is_not_removed(directory: Path) -> None:
    path = directory / "s"
    path.write_text("precious")
    with pytest.raises(OSError, match="no socket"):
        listen(path, mode=0o600)
    assert path.read_text() == "precious"
    with pytest.raises(OSError, match="too long") as caught:
        listen(directory / ("x" * 100), mode=0o600)
    assert caught.value.errno == errno.ENAMETOOLONG


async def test_a_listener_leaves_its_successors_socket_alone(directory: Path) -> None:
    path = directory / "s"
    first = Listener(listen(path, mode=0o600), path, lambda sock: sock.close())
    path.unlink()
    second = listen(path, mode=0o600)
    first.close()
    connect(path).close()
    second.close()


async def test_running_out_of_descriptors_does_not_spin(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "ACCEPT_RETRY_SECONDS", 0.02)
    path = directory / "s"
    accepted: list[socket.socket] = []
    listener = Listener(listen(path, mode=0o600), path, accepted.append)
    clients = [connect(path) for _ in range(3)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(used + 1, limits[0]), limits[1]))
    try:
        await asyncio.sleep(0.05)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    await until(lambda: len(accepted) == 3)
    listener.close()
    for sock in clients + accepted:
        sock.close()
