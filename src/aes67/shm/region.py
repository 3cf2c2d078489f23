"""Memory behind a descriptor: sealed memfds made by the engine, and views of them."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from aes67.errors import WireError
from aes67.shm.layout import (
    BUS,
    PAGE_BYTES,
    TELEMETRY_SECTIONS,
    Struct,
    telemetry_offsets,
)

F_ADD_SEALS = 1033
F_SEAL_SEAL = 0x01
F_SEAL_SHRINK = 0x02
F_SEAL_GROW = 0x04
F_SEAL_FUTURE_WRITE = 0x10
"""Linux 5.1; not in Python's fcntl. Existing mappings stay writable, new ones cannot be."""
_FALLOC_KEEP_SIZE_PUNCH_HOLE = 0x01 | 0x02


@dataclass
class Region:
    """A mapped memfd. `fd` stays open for passing on; `close` gives both back."""

    fd: int
    size: int
    map: mmap.mmap

    def view(self, struct: Struct, offset: int = 0, count: int = 1) -> np.ndarray[Any, Any]:
        """Array of `count` records of `struct` at byte `offset`."""
        return np.frombuffer(self.map, dtype=struct.dtype, count=count, offset=offset)

    def samples(self, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
        """The int32 ring after the header page, in the given shape."""
        count = shape[0] * shape[1]
        return np.frombuffer(self.map, dtype="<i4", count=count, offset=PAGE_BYTES).reshape(shape)

    def discard(self) -> None:
        """Give the memory back at once, whoever keeps it mapped: all of it reads as zeros.

        Somebody who writes there afterwards does so at his own expense. Memory that is read-only
        for others stays: its seal forbids this too.
        """
        fallocate = ctypes.CDLL(None).fallocate
        fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
        fallocate(self.fd, _FALLOC_KEEP_SIZE_PUNCH_HOLE, 0, self.size)

    def close(self) -> None:
        """Give the descriptor back; the mapping goes when the last view of it does."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def create(name: str, size: int, *, read_only_for_others: bool) -> Region:
    """A new memfd of `size` zero bytes, mapped read-write here and sealed against resizing.

    Nobody's `ftruncate` can then raise SIGBUS in another process; with `read_only_for_others` not
    even root can map it writable any more.
    """
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        memory = mmap.mmap(fd, size)
        seals = F_SEAL_GROW | F_SEAL_SHRINK
        if read_only_for_others:
            seals |= F_SEAL_FUTURE_WRITE
        fcntl.fcntl(fd, F_ADD_SEALS, seals | F_SEAL_SEAL)
    except OSError:
        os.close(fd)
        raise
    return Region(fd, size, memory)


def attach(fd: int, *, writable: bool = False) -> Region:
    """Map a descriptor somebody sent; takes the descriptor over.

    Raises:
        OSError: it cannot be mapped.
        WireError: it is empty.
    """
    size = os.fstat(fd).st_size
    if size <= 0:
        os.close(fd)
        raise WireError("shared memory is empty")
    access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
    return Region(fd, size, mmap.mmap(fd, size, access=access))


def telemetry_views(region: Region) -> dict[str, np.ndarray[Any, Any]]:
    """The telemetry sections by name: `engine` (1 record), `sources`, `sinks`, `pcms`, `legs`."""
    offsets = telemetry_offsets()
    return {
        name: region.view(struct, offsets[name], count)
        for name, struct, count in TELEMETRY_SECTIONS
    }


def bus_samples(region: Region) -> np.ndarray[Any, Any]:
    """The capture bus as int32 [channels][frames], its shape read from its own header."""
    header = region.view(BUS)[0]
    return region.samples((int(header["channels"]), int(header["frames"])))
