"""The directory of the sockets: made with the right mode, and locked by one process of a kind."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from aes67.errors import Aes67Error

LOCK_WAIT_SECONDS = 2.0
"""A predecessor that is being ended holds the lock a little longer."""


class Held(Aes67Error):
    """Another process has the lock; `holder` is its pid as text, or `unknown`."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


def make(directory: Path) -> None:
    """Make it unless it is there: for everybody to enter if we are root, else for us alone.

    Raises:
        OSError: it cannot be made.
    """
    directory.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700, exist_ok=True)


def lock(path: Path) -> int:
    """Descriptor of a file that holds our pid; it is locked as long as the descriptor is open.

    Raises:
        Held: another process has it, and keeps it for LOCK_WAIT_SECONDS.
        OSError: it cannot be opened.
    """
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            holder = os.pread(held, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(held)
            raise Held(holder) from None
        os.ftruncate(held, 0)
        os.pwrite(held, f"{os.getpid()}\n".encode(), 0)
        return held
