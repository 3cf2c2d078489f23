"""Gives back the memory only compiling needed: boards have 512 MB, the compiler takes 60 of it.

The compiler's code is a clean file mapping. Dropping its pages costs nothing but reading them
again, should an ordinary thread ever compile; the tick never calls into it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

COMPILER_LIBRARY = "libllvmlite"
MADV_DONTNEED = 4


def trim() -> None:
    """Drop the compiler's code pages and free heap pages; without effect where that cannot be."""
    gc.collect()
    gc.freeze()
    libc = ctypes.CDLL(None, use_errno=True)
    for begin, size in _code_of(COMPILER_LIBRARY):
        libc.munlock(ctypes.c_void_p(begin), ctypes.c_size_t(size))
        libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(size), MADV_DONTNEED)
    with contextlib.suppress(AttributeError):  # glibc only
        libc.malloc_trim(0)


def _code_of(library: str) -> list[tuple[int, int]]:
    """(address, bytes) of the executable, never written mappings of a library in this process.

    Not its read-only data: part of that was written by the dynamic linker and would be lost.
    """
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and library in fields[5] and fields[1] == "r-xp":
                begin, end = (int(part, 16) for part in fields[0].split("-"))
                found.append((begin, end - begin))
    return found
