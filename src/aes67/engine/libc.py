"""The C library as compiled code calls it: by symbol, so that the machine code can be cached.

Pointers are passed as integers (`array.ctypes.data`); x86-64 and aarch64 pass both alike.
"""

from __future__ import annotations

from typing import Any

from aes67.jit import inner  # before Numba: it names the cache directory

# isort: split
import numpy as np
from numba import carray, types

from aes67.engine.atomics import as_pointer

CLOCK_MONOTONIC = 1
CLOCK_MONOTONIC_RAW = 4
TIMER_ABSTIME = 1
MSG_DONTWAIT = 0x40
MSG_TRUNC = 0x20
EINTR = 4
EAGAIN = 11
SECOND_NS = 1_000_000_000

_SLEEP_TRIES = 4

clock_gettime = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.intp))
clock_nanosleep = types.ExternalFunction(
    "clock_nanosleep", types.int32(types.int32, types.int32, types.intp, types.intp)
)
recvmmsg = types.ExternalFunction(
    "recvmmsg", types.int32(types.int32, types.intp, types.uint32, types.int32, types.intp)
)
sendmmsg = types.ExternalFunction(
    "sendmmsg", types.int32(types.int32, types.intp, types.uint32, types.int32)
)
errno_location = types.ExternalFunction("__errno_location", types.intp())


@inner
def read_clock(clock: int, timespec: Any) -> int:
    """A clock in ns; `timespec` is an int64[2] to work in."""
    clock_gettime(clock, timespec.ctypes.data)
    return int(timespec[0] * SECOND_NS + timespec[1])


@inner
def sleep_until(mono_ns: int, timespec: Any) -> None:
    """Sleep to an instant of CLOCK_MONOTONIC; a signal may end it after some tries."""
    timespec[0] = mono_ns // SECOND_NS
    timespec[1] = mono_ns % SECOND_NS
    for _ in range(_SLEEP_TRIES):
        if clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, timespec.ctypes.data, 0) != EINTR:
            return


@inner
def last_error() -> int:
    """`errno` of the calling thread."""
    return int(carray(as_pointer(errno_location()), (1,), np.int32)[0])
