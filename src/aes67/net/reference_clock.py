"""Clocks of this machine that others discipline, read against CLOCK_MONOTONIC_RAW, never set.

Two of them: the system clock as TAI, and a PTP hardware clock /dev/ptpN.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aes67.errors import Refused
from aes67.net.timestamping import CrossClock

NS = 1_000_000_000
ASSUMED_TAI_OFFSET_S = 37
"""Since 2017; where the kernel has not been told."""
STA_UNSYNC = 0x40
READINGS = 9

# linux/ptp_clock.h
PTP_CLOCK_GETCAPS = 0x80503D01
PTP_SYS_OFFSET = 0x43403D05
PTP_SYS_OFFSET_PRECISE = 0xC0403D08
PTP_SYS_OFFSET_EXTENDED = 0xC4C03D09
METHODS = {
    PTP_SYS_OFFSET_PRECISE: "PTP_SYS_OFFSET_PRECISE",
    PTP_SYS_OFFSET_EXTENDED: "PTP_SYS_OFFSET_EXTENDED",
    PTP_SYS_OFFSET: "PTP_SYS_OFFSET",
}
CAPS_BYTES = 80
_HEAD = struct.Struct("=IiII")
"""n_samples, and in PTP_SYS_OFFSET_EXTENDED since Linux 6.12 the clock to compare with."""
_TIME = struct.Struct("=qII")
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS)


@dataclass(frozen=True, slots=True)
class Reading:
    """The clock showed `time_ns` at `raw_ns`, the middle of a bracket of `width_ns`."""

    raw_ns: int
    time_ns: int
    width_ns: int


class ReferenceClock(Protocol):
    """A clock that can be read."""

    name: str

    @property
    def method(self) -> str:
        """How it is read."""
        ...

    def read(self) -> Reading | None:
        """One reading; None: disturbed by a step of the system clock. OSError: it is gone."""
        ...

    def remark(self) -> str:
        """What is to be said of its quality; empty: nothing."""
        ...

    def close(self) -> None:
        """Give it back."""
        ...


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long), ("esterror", ctypes.c_long), ("status", ctypes.c_int),
        ("constant", ctypes.c_long), ("precision", ctypes.c_long), ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long), ("fraction", ctypes.c_long), ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long), ("jitter", ctypes.c_long), ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long), ("jitcnt", ctypes.c_long), ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long), ("stbcnt", ctypes.c_long), ("tai", ctypes.c_int),
        ("rest", ctypes.c_int * 16),
    )  # fmt: skip


def kernel_discipline() -> tuple[bool, int, int]:
    """(somebody synchronises the system clock, TAI - UTC in s or 0, estimated error in us)."""
    timex = _Timex()
    ctypes.CDLL(None).adjtimex(ctypes.byref(timex))  # modes 0: reads only
    return not timex.status & STA_UNSYNC, int(timex.tai), int(timex.esterror)


class SystemClock:
    """CLOCK_TAI; where the kernel does not know the TAI offset, CLOCK_REALTIME + 37 s.

    A leap second is no step of CLOCK_TAI, and neither is a daemon that tells the kernel the offset
    of 37 s that was assumed before.
    """

    name = "the system clock"

    @property
    def method(self) -> str:
        """How it is read."""
        return "CLOCK_TAI" if kernel_discipline()[1] else "CLOCK_REALTIME + 37 s"

    def read(self) -> Reading | None:
        """The narrowest of some bracketed readings."""
        best: Reading | None = None
        for _ in range(READINGS):
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            tai = time.clock_gettime_ns(time.CLOCK_TAI)
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            if best is None or after - before < best.width_ns:
                best = Reading((before + after) // 2, tai, after - before)
        assert best is not None
        if kernel_discipline()[1]:
            return best
        return Reading(best.raw_ns, best.time_ns + ASSUMED_TAI_OFFSET_S * NS, best.width_ns)

    def remark(self) -> str:
        """Whether anybody disciplines it, and whether the kernel knows the TAI offset."""
        synchronised, tai, _ = kernel_discipline()
        remarks = []
        if not synchronised:
            remarks.append("nobody synchronises the system clock (STA_UNSYNC)")
        if not tai:
            remarks.append("the kernel does not know TAI, 37 s assumed")
        return "; ".join(remarks)

    def close(self) -> None:
        """Nothing to give back."""


Ioctl = Callable[[int, int, bytearray, bool], int]


class HardwareClock:
    """A PTP hardware clock, read with the best of the three ioctls its driver has.

    Args:
        path: /dev/ptpN.
        ioctl: `fcntl.ioctl`, or what stands for a driver where there is no such clock.

    Raises:
        Refused: no such device, no right to read it, or not a PTP hardware clock.
    """

    def __init__(self, path: str, ioctl: Ioctl = fcntl.ioctl) -> None:
        self.name = path
        self._ioctl = ioctl
        self._cross = CrossClock()
        self._raw = True
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Refused("mode", f"phc:{path}", f"{path}: {error.strerror}{_there()}") from None
        try:
            ioctl(self._descriptor, PTP_CLOCK_GETCAPS, bytearray(CAPS_BYTES), True)
            self._request = self._best()
        except OSError:
            os.close(self._descriptor)
            raise Refused(
                "mode", f"phc:{path}", f"{path} is no PTP hardware clock{_there()}"
            ) from None

    @property
    def method(self) -> str:
        """How it is read."""
        clock = " against CLOCK_REALTIME"
        if self._request == PTP_SYS_OFFSET_PRECISE or (
            self._request == PTP_SYS_OFFSET_EXTENDED and self._raw
        ):
            clock = " against CLOCK_MONOTONIC_RAW"
        return METHODS[self._request] + clock

    def read(self) -> Reading | None:
        """One reading, the narrowest of nine where the ioctl takes several."""
        if self._request == PTP_SYS_OFFSET_PRECISE:
            return self._precise()
        return self._extended() if self._request == PTP_SYS_OFFSET_EXTENDED else self._basic()

    def remark(self) -> str:
        """Nobody knows who disciplines it."""
        return ""

    def close(self) -> None:
        """Close the device."""
        os.close(self._descriptor)

    def _best(self) -> int:
        """The best request that the driver answers; OSError without any."""
        for request in METHODS:
            self._request = request
            for raw in (True, False) if request == PTP_SYS_OFFSET_EXTENDED else (True,):
                self._raw = raw
                try:
                    self.read()
                except OSError as error:
                    if error.errno not in _UNSUPPORTED:
                        raise
                else:
                    return request
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def _precise(self) -> Reading:
        """Device and system time latched by hardware at one instant."""
        data = bytearray(64)
        self._ioctl(self._descriptor, PTP_SYS_OFFSET_PRECISE, data, True)
        device, _, raw = _times(data, 0, 3)
        return Reading(raw, device, 0)

    def _extended(self) -> Reading | None:
        """System, device, system; the two of the system right around the device's register."""
        clock = time.CLOCK_MONOTONIC_RAW if self._raw else time.CLOCK_REALTIME
        data = bytearray(_HEAD.size + 25 * 3 * _TIME.size)
        _HEAD.pack_into(data, 0, READINGS, clock, 0, 0)
        self._ioctl(self._descriptor, PTP_SYS_OFFSET_EXTENDED, data, True)
        times = _times(data, _HEAD.size, READINGS * 3)
        triples = [times[i : i + 3] for i in range(0, len(times), 3)]
        before, device, after = min(triples, key=lambda each: each[2] - each[0])
        return self._reading(before, device, after, self._raw)

    def _basic(self) -> Reading | None:
        """System and device in turn, around the whole reading of the driver."""
        data = bytearray(_HEAD.size + 51 * _TIME.size)
        _HEAD.pack_into(data, 0, READINGS, 0, 0, 0)
        self._ioctl(self._descriptor, PTP_SYS_OFFSET, data, True)
        times = _times(data, _HEAD.size, READINGS * 2 + 1)
        triples = [times[i : i + 3] for i in range(0, 2 * READINGS, 2)]
        before, device, after = min(triples, key=lambda each: each[2] - each[0])
        return self._reading(before, device, after, False)

    def _reading(self, before: int, device: int, after: int, raw: bool) -> Reading | None:
        middle = (before + after) // 2
        if raw:
            return Reading(middle, device, after - before)
        steady = self._cross.renew()
        raw_ns = self._cross.to_raw(middle) if steady else None
        return None if raw_ns is None else Reading(raw_ns, device, after - before)


def _times(data: bytearray, offset: int, count: int) -> list[int]:
    found = []
    for number in range(count):
        seconds, nanoseconds, _ = _TIME.unpack_from(data, offset + number * _TIME.size)
        found.append(seconds * NS + nanoseconds)
    return found


def _there() -> str:
    """Which hardware clocks there are, for an error."""
    try:
        found = sorted(each for each in os.listdir("/dev") if each.startswith("ptp"))
    except OSError:
        found = []
    return f"; there are: {', '.join('/dev/' + each for each in found)}" if found else (
        "; this machine has none"
    )
