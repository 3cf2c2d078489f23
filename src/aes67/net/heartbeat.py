"""What a child of the daemon tells its parent over an inherited pipe: ready, and still alive.

The parent passes the descriptor's number in AES67_HEARTBEAT_FD; without it nothing is sent. Each
line is one word. The beat comes from the asyncio loop itself, so a loop that hangs falls silent.
"""

from __future__ import annotations

import asyncio
import os

ENVIRONMENT = "AES67_HEARTBEAT_FD"
READY = b"ready\n"
ALIVE = b"alive\n"
RELOADED = b"reloaded\n"
INTERVAL_SECONDS = 1.0


class Heartbeat:
    """Beats on the running loop from `ready` to `close`."""

    def __init__(self) -> None:
        self._fd = -1
        self._timer: asyncio.TimerHandle | None = None
        number = os.environ.pop(ENVIRONMENT, "")
        if number.isdecimal():
            try:
                os.set_inheritable(int(number), False)
                os.set_blocking(int(number), False)
                self._fd = int(number)
            except OSError:
                return  # started by hand with a stale variable

    def ready(self) -> None:
        """The process does its work from now on; calling it again does nothing."""
        if self._timer is None and self._fd >= 0:
            self._write(READY)
            self._beat()

    def reloaded(self) -> None:
        """The configuration has been read again, as SIGHUP asked."""
        if self._fd >= 0:
            self._write(RELOADED)

    def close(self) -> None:
        """Stop beating."""
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._write(ALIVE)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(INTERVAL_SECONDS, self._beat)

    def _write(self, line: bytes) -> None:
        try:
            os.write(self._fd, line)
        except OSError:
            return  # the parent is stopped or gone; the kernel ends us in the latter case
