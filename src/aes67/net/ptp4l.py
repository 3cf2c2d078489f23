"""Asks the ptp4l of this machine, over its management socket, whose time it follows."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import tempfile

from aes67.errors import Refused

SOCKETS = ("/var/run/ptp4lro", "/var/run/ptp4l")
"""The read-only one anybody may use (linuxptp 4.0); the other is root's."""
DATAGRAM_BYTES = 2048
BATCH = 8
_numbers = itertools.count()


class Ptp4l:
    """A datagram socket with a name in the file system: ptp4l answers no abstract one.

    Args:
        paths: where it may listen, the first one there is is asked.
        directory: for our socket; one that ptp4l sees too. Empty: that for temporary files.

    Raises:
        Refused: no socket can be made there.
    """

    def __init__(self, paths: tuple[str, ...] = SOCKETS, directory: str = "") -> None:
        self._paths = paths
        name = f"ptp4l-{os.getpid()}-{next(_numbers)}.sock"
        self._own = os.path.join(directory or tempfile.gettempdir(), name)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._own)
            self._socket.bind(self._own)
        except OSError as error:
            self._socket.close()
            raise Refused("ptp4l", self._own, f"no socket: {error.strerror}") from error

    def ask(self, request: bytes) -> bool:
        """Send to the first one there is; False: there is none, or we may not."""
        for path in self._paths:
            if os.path.exists(path):
                with contextlib.suppress(OSError):
                    self._socket.sendto(request, path)
                    return True
        return False

    def answers(self) -> list[bytes]:
        """What came since the last call."""
        found = []
        for _ in range(BATCH):
            try:
                found.append(self._socket.recv(DATAGRAM_BYTES))
            except OSError:
                break
        return found

    def close(self) -> None:
        """Give it back."""
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self._own)
