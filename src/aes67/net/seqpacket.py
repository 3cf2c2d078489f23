"""Connected AF_UNIX SOCK_SEQPACKET sockets on a loop: whole messages, descriptors, bounded queues.

Used by the engine's two sockets and by the control process' end of the link. It knows nothing of
what the messages say.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

INBOX_MESSAGES = 4
"""Messages read ahead of the handler; beyond them the peer's send blocks."""
READS_PER_WAKE = 8
"""A peer that floods gives way to everybody else on the loop after so many messages."""


@dataclass(frozen=True)
class Credentials:
    """SO_PEERCRED: who connected, as the kernel saw it at connect time."""

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Message:
    """One message and the descriptors that came with it; the receiver closes them."""

    data: bytes
    descriptors: tuple[int, ...] = ()

    def close(self) -> None:
        """Close descriptors nobody took."""
        for descriptor in self.descriptors:
            os.close(descriptor)


@dataclass(frozen=True)
class _Outgoing:
    data: bytes
    descriptors: tuple[int, ...]
    key: str


def peer_credentials(sock: socket.socket) -> Credentials:
    """Credentials of the process at the other end of a connected UNIX socket."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    return Credentials(*struct.unpack("iII", raw))


def connect(path: Path) -> socket.socket:
    """A connected, non-blocking socket.

    Raises:
        OSError: nobody listens there, no permission, or the listener's queue is full.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        sock.connect(str(path))
    except BaseException:
        sock.close()
        raise
    return sock


class Connection:
    """One connected socket: `receive` waits for a message, `send` never blocks.

    Reading stops while INBOX_MESSAGES wait for the handler; what cannot be sent at once is kept,
    and `drain` waits until it has gone, so a handler that drains after each reply keeps nothing
    of a peer that does not read.

    Args:
        sock: connected and non-blocking; taken over.
        message_bytes: longest message accepted; a longer one closes the connection.
        descriptors: most descriptors taken with one message; further ones are closed by the kernel.
        on_close: called once, when the peer has gone or `close` was called.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        message_bytes: int,
        descriptors: int = 0,
        on_close: Callable[[], object] | None = None,
    ) -> None:
        self.closed = False
        self.on_close = on_close
        self._sock = sock
        self._message_bytes = message_bytes
        self._ancillary_bytes = socket.CMSG_SPACE(descriptors * 4) if descriptors else 0
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[Message] = deque()
        self._outbox: deque[_Outgoing] = deque()
        self._arrived = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._reading = False
        self._resume_reading()

    async def receive(self) -> Message | None:
        """The next message; None when the connection is closed. What the peer sent before it
        went away comes first; after `close` nothing does."""
        while not self._inbox and not self.closed:
            self._arrived.clear()
            await self._arrived.wait()
        if not self._inbox:
            return None
        message = self._inbox.popleft()
        self._resume_reading()
        return message

    def send(self, data: bytes, descriptors: Sequence[int] = (), *, key: str = "") -> None:
        """Send now, or as soon as the peer reads.

        Descriptors stay the caller's. With `key` this message takes the place of one with the same
        key that still waits, so what repeats itself never piles up.
        """
        if self.closed or (not self._outbox and self._transmit(data, descriptors)):
            return
        if self.closed:
            return
        if key:
            kept = deque(waiting for waiting in self._outbox if waiting.key != key)
            for dropped in set(self._outbox) - set(kept):
                _close_all(dropped.descriptors)
            self._outbox = kept
        self._outbox.append(_Outgoing(data, tuple(os.dup(fd) for fd in descriptors), key))
        self._drained.clear()
        self._loop.add_writer(self._sock.fileno(), self._flush)

    async def drain(self) -> None:
        """Wait until everything has been handed to the kernel or the connection is closed."""
        await self._drained.wait()

    def close(self) -> None:
        """Close at once; messages not yet handed out are lost. Calling it again does nothing."""
        for message in self._inbox:
            message.close()
        self._inbox.clear()
        self._end()

    def _end(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        for outgoing in self._outbox:
            _close_all(outgoing.descriptors)
        self._outbox.clear()
        self._arrived.set()
        self._drained.set()
        if self.on_close is not None:
            self.on_close()

    def _resume_reading(self) -> None:
        if not self._reading and not self.closed and len(self._inbox) < INBOX_MESSAGES:
            self._reading = True
            self._loop.add_reader(self._sock.fileno(), self._readable)

    def _readable(self) -> None:
        for _ in range(READS_PER_WAKE):
            if len(self._inbox) >= INBOX_MESSAGES:
                self._loop.remove_reader(self._sock.fileno())
                self._reading = False
                return
            try:
                message = self._read_one()
            except BlockingIOError:
                return
            except OSError:
                message = None
            if message is None:
                self._end()
                return
            self._inbox.append(message)
            self._arrived.set()

    def _read_one(self) -> Message | None:
        """The next message; None at the end, which an empty message looks like too."""
        data, ancillary, flags, _ = self._sock.recvmsg(
            self._message_bytes, self._ancillary_bytes, socket.MSG_CMSG_CLOEXEC
        )
        descriptors = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
        if not data or flags & socket.MSG_TRUNC:
            _close_all(descriptors)
            return None
        return Message(data, tuple(descriptors))

    def _transmit(self, data: bytes, descriptors: Sequence[int]) -> bool:
        """Hand one message to the kernel; False when it has no room now. Errors close."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        try:
            self._sock.sendmsg([data], [rights] if descriptors else [], socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        except OSError:
            self._end()
        return True

    def _flush(self) -> None:
        while self._outbox:
            first = self._outbox[0]
            if not self._transmit(first.data, first.descriptors):
                return
            if self.closed:
                return
            self._outbox.popleft()
            _close_all(first.descriptors)
        self._loop.remove_writer(self._sock.fileno())
        self._drained.set()


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
