"""Clocks of this machine. There is no PTP hardware clock here: a function that answers the ioctls
as the kernel's `ptp_chardev.c` does, from CLOCK_REALTIME, stands for its driver; the descriptor it
is given is that of /dev/null."""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Callable

import pytest

from aes67.errors import Refused
from aes67.net.reference_clock import (
    PTP_CLOCK_GETCAPS,
    PTP_SYS_OFFSET,
    PTP_SYS_OFFSET_EXTENDED,
    PTP_SYS_OFFSET_PRECISE,
    HardwareClock,
    SystemClock,
    kernel_discipline,
)
from aes67.net.timestamping import CrossClock

AHEAD_NS = 4_411_000_000_123
"""Of the stand-in's time before CLOCK_REALTIME: an arbitrary epoch, as hardware clocks have."""


def put(data: bytearray, offset: int, ns: int) -> None:
    struct.pack_into("=qII", data, offset, ns // 10**9, ns % 10**9, 0)


class StandIn:
    """The ioctls of a driver with some of the three ways of reading."""

    def __init__(self, *requests: int, raw: bool = True) -> None:
        self.requests = (PTP_CLOCK_GETCAPS, *requests)
        self.raw = raw
        self.gone = False

    def __call__(self, descriptor: int, request: int, data: bytearray, mutate: bool) -> int:
        assert mutate
        assert len(data) == request >> 16 & 0x3FFF, "the size is part of the request"
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")
        if request not in self.requests:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        if request == PTP_SYS_OFFSET_PRECISE:
            raw_ns, real_ns = CrossClock().read()
            for i, ns in enumerate((real_ns + AHEAD_NS, real_ns, raw_ns)):
                put(data, 16 * i, ns)
        elif request == PTP_SYS_OFFSET_EXTENDED:
            self._extended(data)
        elif request == PTP_SYS_OFFSET:
            (count,) = struct.unpack_from("=I", data)
            for i in range(2 * count + 1):
                ahead = AHEAD_NS if i % 2 else 0
                put(data, 16 + 16 * i, time.clock_gettime_ns(time.CLOCK_REALTIME) + ahead)
        return 0

    def _extended(self, data: bytearray) -> None:
        count, clock = struct.unpack_from("=Ii", data)
        if clock and not self.raw:
            raise OSError(errno.EINVAL, "Invalid argument")
        for i in range(count):
            for j in range(3):
                which = time.CLOCK_REALTIME if j == 1 else clock
                ns = time.clock_gettime_ns(which) + (AHEAD_NS if j == 1 else 0)
                put(data, 16 + 16 * (3 * i + j), ns)


@pytest.mark.parametrize(
    ("driver", "method"),
    [
        (
            StandIn(PTP_SYS_OFFSET_PRECISE, PTP_SYS_OFFSET_EXTENDED, PTP_SYS_OFFSET),
            "PTP_SYS_OFFSET_PRECISE against CLOCK_MONOTONIC_RAW",
        ),
        (
            StandIn(PTP_SYS_OFFSET_EXTENDED, PTP_SYS_OFFSET),
            "PTP_SYS_OFFSET_EXTENDED against CLOCK_MONOTONIC_RAW",
        ),
        (
            StandIn(PTP_SYS_OFFSET_EXTENDED, PTP_SYS_OFFSET, raw=False),
            "PTP_SYS_OFFSET_EXTENDED against CLOCK_REALTIME",
        ),
        (StandIn(PTP_SYS_OFFSET), "PTP_SYS_OFFSET against CLOCK_REALTIME"),
    ],
)
def test_the_best_way_a_driver_has_is_used_and_gives_the_same_time(
    driver: StandIn, method: str
) -> None:
    clock = HardwareClock("/dev/null", driver)
    try:
        assert clock.method == method
        assert clock.remark() == ""
        errors = []
        for _ in range(20):
            reading = clock.read()
            assert reading is not None
            raw_ns, real_ns = CrossClock().read()
            errors.append(reading.time_ns - (real_ns - raw_ns + reading.raw_ns) - AHEAD_NS)
            assert reading.width_ns < 1_000_000
        assert sorted(map(abs, errors))[10] < 5_000
        driver.gone = True
        with pytest.raises(OSError, match="No such device"):
            clock.read()
    finally:
        clock.close()


def nothing(descriptor: int, request: int, data: bytearray, mutate: bool) -> int:
    if request == PTP_CLOCK_GETCAPS:
        return 0
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HardwareClock("/dev/ptp999"), "/dev/ptp999: No such file or directory"),
        (lambda: HardwareClock("/dev/null"), "/dev/null is no PTP hardware clock"),
        (lambda: HardwareClock("/dev/null", nothing), "/dev/null is no PTP hardware clock"),
    ],
    ids=["missing", "another-device", "cannot-be-read"],
)
def test_what_is_no_hardware_clock_is_refused(
    make: Callable[[], HardwareClock], words: str
) -> None:
    with pytest.raises(Refused) as refused:
        make()
    assert refused.value.field == "mode"
    assert words in refused.value.rule
    assert "this machine has none" in refused.value.rule or "there are: /dev/" in refused.value.rule


def test_the_system_clock_is_read_as_tai() -> None:
    clock = SystemClock()
    reading = clock.read()
    assert reading is not None
    raw_ns, real_ns = CrossClock().read()
    ahead = reading.time_ns - reading.raw_ns - (real_ns - raw_ns)
    synchronised, tai, _ = kernel_discipline()
    assert abs(ahead - (tai or 37) * 10**9) < 5_000
    assert ("STA_UNSYNC" in clock.remark()) is not synchronised
    assert ("37 s assumed" in clock.remark()) is (tai == 0)
    assert clock.method == ("CLOCK_TAI" if tai else "CLOCK_REALTIME + 37 s")
    clock.close()
