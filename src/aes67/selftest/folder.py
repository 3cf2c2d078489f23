"""The folder of a running self-test; the ones that killed self-tests left are removed.

A lock says that its self-test lives. The kernel lets go of it however that one ends, and it holds
across containers that share the folder of temporary files, where process numbers say nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

KINDS = ("selftest", "ptp4l")
LOCK = "lock"
_NAME = re.compile(rf"aes67-({'|'.join(KINDS)})-[0-9]+-[a-z0-9_]+")


class Folder:
    """A temporary folder, locked until `cleanup` removes it.

    Making one removes those of the same user whose self-test is gone.
    """

    def __init__(self, kind: str) -> None:
        assert kind in KINDS
        remove_left()
        self._temporary = tempfile.TemporaryDirectory(prefix=f"aes67-{kind}-{os.getpid()}-")
        self.path = Path(self._temporary.name)
        self._lock = _hold(self.path)

    def cleanup(self) -> None:
        """Remove it with all that is in it; once."""
        self._temporary.cleanup()
        os.close(self._lock)


def _hold(folder: Path) -> int:
    """Lock a folder; nobody ever sees the lock there without its being held."""
    new = folder / f"{LOCK}.new"
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    new.rename(folder / LOCK)
    return descriptor


def remove_left() -> None:
    """Remove the folders of this user's self-tests that are gone, and nothing else."""
    with contextlib.suppress(OSError):
        for entry in Path(tempfile.gettempdir()).iterdir():
            if _NAME.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    _remove_if_left(entry)


def _remove_if_left(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: it lives
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
