"""Listening AF_UNIX SOCK_SEQPACKET sockets: permissions before they are seen, no left-overs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from aes67.net.seqpacket import connect

PATH_BYTES_MAX = 107
"""sun_path less its terminating zero."""
ACCEPTS_PER_WAKE = 8
"""A crowd of connections gives way to everybody else on the loop after so many."""
ACCEPT_RETRY_SECONDS = 0.5


def listen(path: Path, *, mode: int, group: str = "", backlog: int = 128) -> socket.socket:
    """A listening, non-blocking socket at `path`, with its permissions set before it can be seen.

    A socket file that nobody answers on (left by a process that was killed) is replaced.

    Args:
        path: at most 107 bytes.
        mode: permission bits of the socket file.
        group: name of the group it is to belong to; passed over when there is no such group, on
            this system or in this user namespace, or no right to give files away.
        backlog: connections the kernel keeps until they are accepted.

    Raises:
        OSError: EADDRINUSE when somebody answers there, EEXIST when a file that is no socket is
            in the way, ENAMETOOLONG, or what the kernel says.
    """
    _check_free(path)
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    if len(os.fsencode(hidden)) > PATH_BYTES_MAX:
        raise OSError(errno.ENAMETOOLONG, "path of a socket is too long", str(path))
    with contextlib.suppress(FileNotFoundError):
        hidden.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        sock.bind(str(hidden))
        if group:
            _hand_to(hidden, group)
        hidden.chmod(mode)
        sock.listen(backlog)
        hidden.rename(path)
    except BaseException:
        sock.close()
        hidden.unlink(missing_ok=True)
        raise
    return sock


def _hand_to(path: Path, group: str) -> None:
    try:
        shutil.chown(path, group=group)
    except LookupError:
        pass
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise


def _check_free(path: Path) -> None:
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise OSError(errno.EEXIST, "is in the way and is no socket", str(path))
    try:
        connect(path).close()
    except ConnectionRefusedError:
        return  # nobody listens: left over
    except BlockingIOError:
        pass  # its queue is full, so somebody does listen
    raise OSError(errno.EADDRINUSE, "another process answers there", str(path))


class Listener:
    """Accepts connections and hands each one's socket to `on_connection`."""

    def __init__(
        self, sock: socket.socket, path: Path, on_connection: Callable[[socket.socket], None]
    ) -> None:
        self._sock = sock
        self._path = path
        self._inode = path.stat().st_ino
        self._on_connection = on_connection
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        self._resume()

    def _resume(self) -> None:
        self._retry = None
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_WAKE):
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                # Out of descriptors or memory: readiness would spin, so look again later.
                self._loop.remove_reader(self._sock.fileno())
                self._retry = self._loop.call_later(ACCEPT_RETRY_SECONDS, self._resume)
                return
            sock.setblocking(False)
            self._on_connection(sock)

    def close(self) -> None:
        """Stop listening and take the socket file away, unless another process has replaced it."""
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        with contextlib.suppress(OSError):
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()
