"""SEQPACKET connections on a loop: whole messages, descriptors, bounded queues."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

from aes67.net.seqpacket import INBOX_MESSAGES, Connection
from sim.waiting import until


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
