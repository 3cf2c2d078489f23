"""The memory a plan's tables are handed to the engine in."""

from __future__ import annotations

import fcntl
import os

from aes67.shm.region import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SHRINK


def sealed_memory(data: bytes) -> int:
    """Descriptor of new memory with this content, sealed against resizing."""
    fd = os.memfd_create("aes67-tables", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, len(data))
        os.pwrite(fd, data, 0)
        fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK)
    except OSError:
        os.close(fd)
        raise
    return fd
