"""SEQPACKET connections on a loop: whole messages, descriptors, bounded queues."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aes67.net.seqpacket import (
    INBOX_MESSAGES,
    Connection,
    Listener,
    connect,
    listen,
    peer_credentials,
)
from sim.waiting import until


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"seq{os.getpid()}-") as name:
        yield Path(name)


def pair(**options: int) -> tuple[Connection, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return Connection(ours, **{"message_bytes": 1000, **options}), theirs


async def test_messages_arrive_whole_and_in_order() -> None:
    connection, peer = pair()
    for length in (1, 1000, 7):
        peer.send(bytes(length))
    assert [len((await connection.receive()).data) for _ in range(3)] == [1, 1000, 7]  # type: ignore[union-attr]
    peer.close()
    assert await connection.receive() is None
    assert connection.closed


async def test_last_words_are_heard_but_not_after_close() -> None:
    connection, peer = pair()
    peer.send(b"last words")
    peer.close()
    await until(lambda: connection.closed)
    assert (await connection.receive()).data == b"last words"  # type: ignore[union-attr]
    assert await connection.receive() is None
    connection, peer = pair()
    peer.send(b"unheard")
    await until(lambda: bool(connection._inbox))
    connection.close()
    assert await connection.receive() is None
    peer.close()


async def test_a_message_longer_than_agreed_ends_the_connection() -> None:
    connection, peer = pair()
    peer.send(bytes(1001))
    assert await connection.receive() is None
    peer.close()


async def test_descriptors_come_with_their_message() -> None:
    connection, peer = pair(descriptors=2)
    read_end, write_end = os.pipe()
    socket.send_fds(peer, [b"one"], [write_end])
    message = await connection.receive()
    assert message is not None
    assert os.write(message.descriptors[0], b"x") == 1
    assert not os.get_inheritable(message.descriptors[0])
    message.close()
    os.close(write_end)
    assert os.read(read_end, 2) == b"x"
    assert os.read(read_end, 2) == b""
    os.close(read_end)
    connection.close()
    peer.close()


async def test_no_more_is_read_than_the_handler_takes() -> None:
    connection, peer = pair()
    with contextlib.suppress(BlockingIOError):
        while True:
            peer.send(b"flood")
            await asyncio.sleep(0)
    assert len(connection._inbox) == INBOX_MESSAGES
    for _ in range(INBOX_MESSAGES + 2):
        assert await connection.receive() is not None
    connection.close()
    peer.close()


async def test_what_cannot_be_sent_waits_and_is_replaced_by_key() -> None:
    connection, peer = pair()
    number = 0
    while not connection._outbox:
        connection.send(b"plain %d" % number)
        number += 1
    read_end, write_end = os.pipe()
    for round_number in range(5):
        connection.send(b"state %d" % round_number, [write_end], key="state")
    os.close(write_end)
    received: list[bytes] = []
    draining = asyncio.create_task(connection.drain())
    while b"state 4" not in received:
        try:
            data, fds, _, _ = socket.recv_fds(peer, 1000, 4)
        except BlockingIOError:
            await asyncio.sleep(0)
            continue
        received.append(data)
        for fd in fds:
            os.close(fd)
    await draining
    assert received == [b"plain %d" % each for each in range(number)] + [b"state 4"]
    assert os.read(read_end, 1) == b"", "descriptors of replaced messages are closed"
    os.close(read_end)
    connection.close()
    peer.close()


async def test_close_releases_whoever_waits() -> None:
    connection, peer = pair()
    closed: list[bool] = []
    connection.on_close = lambda: closed.append(True)
    waiting = asyncio.create_task(connection.receive())
    await asyncio.sleep(0)
    connection.close()
    connection.close()
    assert await waiting is None
    await connection.drain()
    connection.send(b"into the void")
    assert closed == [True]
    peer.close()


async def test_a_peer_that_is_gone_closes_on_send() -> None:
    connection, peer = pair()
    peer.close()
    connection.send(b"x")
    assert connection.closed


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
    import resource

    from aes67.net import seqpacket

    monkeypatch.setattr(seqpacket, "ACCEPT_RETRY_SECONDS", 0.02)
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
