"""Memory rights: nothing is paged out, and pages are there before the tick needs them."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource

from aes67.shm.region import Region

_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MCL_ONFAULT = 4
"""Linux 4.4: lock what is used, do not fill what is not."""
_MADV_POPULATE_WRITE = 23
"""Linux 5.14."""
_CAP_IPC_LOCK = 14


def lock_all() -> str | None:
    """Keep every page of this process, now and later, in memory once it is used.

    Returns:
        Why not, or None. With a limit on locked memory later mappings would fail, so nothing is
        locked then.
    """
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if limit != resource.RLIM_INFINITY and not _has_capability(_CAP_IPC_LOCK):
        return f"locked memory is limited to {limit} bytes (RLIMIT_MEMLOCK)"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return f"mlockall: {os.strerror(ctypes.get_errno())}"
    return None


def _has_capability(number: int) -> bool:
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> number & 1)
    return False


def populate(region: Region, begin: int, size: int) -> None:
    """Make the pages of [begin, begin + size) present; without effect before Linux 5.14."""
    start = begin // mmap.PAGESIZE * mmap.PAGESIZE  # 16 or 64 KiB on some aarch64 machines
    with contextlib.suppress(OSError, ValueError):
        region.map.madvise(_MADV_POPULATE_WRITE, start, begin + size - start)
