"""Changes of the network interfaces, told on an asyncio loop at the moment they happen.

The kernel's word is only a reason to look: what is told is the list of interfaces as it is then, so
that messages lost in a flood (ENOBUFS) cost nothing. Where the kernel does not tell, a look a
second makes up for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from aes67.net.interfaces import Interface, list_interfaces, open_changes

log = logging.getLogger("aes67.network")

SETTLE_SECONDS = 0.01
"""An interface that comes up says so several times."""
LOOK_SECONDS = 1.0
_RECEIVE_BYTES = 1 << 16
_READS = 64

Listener = Callable[[tuple[Interface, ...]], None]


class LinkWatch:
    """Calls `changed` with all interfaces, first at `start`, then whenever one is another.

    Belongs to the loop's thread.
    """

    def __init__(self, changed: Listener) -> None:
        self.interfaces: tuple[Interface, ...] = ()
        """As they were at the last look."""
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._look_at: asyncio.TimerHandle | None = None
        self._socket = None
        with contextlib.suppress(OSError):
            self._socket = open_changes()

    def start(self) -> None:
        """Look now, and from now on."""
        if self._socket is not None:
            self._loop.add_reader(self._socket.fileno(), self._readable)
        self._look()

    def close(self) -> None:
        """Tell nothing any more."""
        if self._look_at is not None:
            self._look_at.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        assert self._socket is not None
        for _ in range(_READS):
            try:
                self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError:
                continue  # ENOBUFS: some were lost, which is a reason to look as well
        self._look_in(SETTLE_SECONDS)

    def _look_in(self, seconds: float) -> None:
        due = self._loop.time() + seconds
        if self._look_at is None or self._look_at.when() > due:
            if self._look_at is not None:
                self._look_at.cancel()
            self._look_at = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._look_at = None
        try:
            found = list_interfaces()
        except OSError as error:
            log.error("the network interfaces cannot be read: %s", error)
            found = self.interfaces
        if found != self.interfaces:
            self.interfaces = found
            self._changed(found)
        self._look_in(LOOK_SECONDS)
