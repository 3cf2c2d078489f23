"""The kernel drops the messages this port has sent, and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from aes67.net.own_packets import drop_own

CLOCK = bytes.fromhex("020000ae67f00002")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs,
    ):
        ours.bind(("127.0.0.1", 0))
        ours.settimeout(5)
        theirs.connect(ours.getsockname())
        drop_own(ours, CLOCK, 1)
        yield ours, theirs


def message(clock: bytes, port: int) -> bytes:
    return bytes(20) + clock + port.to_bytes(2, "big") + bytes(14)


def test_only_messages_of_this_very_port_are_dropped(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    kept = [
        message(CLOCK, 2),
        message(CLOCK[:-1] + b"\x03", 1),
        message(b"\x03" + CLOCK[1:], 1),
        message(CLOCK, 0x0101),
        message(CLOCK, 1)[:29],
        b"",
        message(bytes(8), 1),
    ]
    for each in kept:
        theirs.send(message(CLOCK, 1))
        theirs.send(message(CLOCK, 1)[:30])
        theirs.send(each)
    assert [ours.recv(100) for _ in kept] == kept
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        ours.recv(100)
