"""A timekeeper on real sockets for tests: what it is told, what it publishes, waiting for it.

Deadlines are long, for they cost nothing where the thing comes about: the processors of a test
machine may be taken away at any moment, and the other end may have to start or to compile first.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aes67.clock.lock import State
from aes67.clock.timebase import Line
from aes67.engine.clock_page import MediaRecord
from aes67.engine.plan import ClockSpec
from aes67.engine.timekeeper import Timekeeper
from aes67.net.timestamping import STAMPING, CrossClock
from sim.netns import Namespace
from sim.waiting import PATIENCE_S

NS = 1_000_000_000
TAI_NS = 37 * NS

PTP = ClockSpec(
    mode="ptp-slave", interface="lo", domain=0, dscp=46, priority1=100, priority2=128,
    sync_interval=-3, announce_interval=-2,
)  # fmt: skip
GPTP = ClockSpec(
    mode="gptp", interface="ck0", domain=0, dscp=46, priority1=250, priority2=248,
    sync_interval=None, announce_interval=None,
)  # fmt: skip


def ptp(**changes: Any) -> ClockSpec:
    """A slave of the AES67 media profile on lo, but for these."""
    return replace(PTP, **changes)


def gptp(**changes: Any) -> ClockSpec:
    """A node of an 802.1AS network on ck0, but for these."""
    return replace(GPTP, **changes)


def reading_of(record: MediaRecord) -> tuple[int, int]:
    """Media time by a page's record, and CLOCK_REALTIME, of this moment.

    A ptp4l on this machine serves and measures against CLOCK_REALTIME.
    """
    raw_ns, real_ns = CrossClock().read()
    return Line(record.raw_ns, record.media_ns, record.rate_q40).at(raw_ns), real_ns


class Listener:
    """What a timekeeper publishes, with the instant (time.monotonic) of each record."""

    def __init__(self) -> None:
        self.records: list[tuple[float, MediaRecord]] = []
        self.snapshots: list[dict[str, Any]] = []

    def publish(self, record: MediaRecord) -> None:
        self.records.append((time.monotonic(), record))

    def entered(self, state: State) -> float:
        """When this state was published first."""
        return next((at for at, r in self.records if r.state == state), float("inf"))

    def states(self, since: int = 0) -> set[State]:
        """The states published since there were so many records."""
        return {State(record.state) for _, record in self.records[since:]}

    @property
    def record(self) -> MediaRecord:
        """The newest one."""
        return self.records[-1][1]

    def reading(self) -> tuple[int, int]:
        """`reading_of` the newest one."""
        return reading_of(self.record)

    def ahead_of_realtime(self) -> int:
        """Media time minus CLOCK_REALTIME, now."""
        media_ns, real_ns = self.reading()
        return media_ns - real_ns


@asynccontextmanager
async def keeping(
    where: Namespace, spec: ClockSpec, stamping: int = STAMPING
) -> AsyncIterator[tuple[Timekeeper, Listener]]:
    """A timekeeper configured inside a namespace."""
    listener = Listener()
    keeper = Timekeeper(listener.publish, listener.snapshots.append, stamping=stamping)
    with where.entered():
        await keeper.configure(spec)
        try:
            yield keeper, listener
        finally:
            await keeper.close()


async def until(
    condition: Callable[[], object], told: Callable[[], object], seconds: float = PATIENCE_S
) -> None:
    """Let the loop run until something is so; what is `told` when it does not come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, told()
        await asyncio.sleep(0.02)


async def until_shown(keeper: Timekeeper, **wanted: Any) -> dict[str, Any]:
    """The first snapshot that has all of these values at once."""
    found: dict[str, Any] = {}

    def shown() -> bool:
        found.update(keeper.snapshot())
        return all(found[key] == value for key, value in wanted.items())

    await until(shown, lambda: (wanted, found))
    return found


async def until_state(listener: Listener, state: State) -> None:
    """Until this state is the one that was published last."""
    await until(
        lambda: listener.records and listener.record.state == state,
        lambda: listener.snapshots[-1:],
    )


async def until_near(listener: Listener, ahead_ns: float, within_ns: int) -> None:
    """Until media time has been so far ahead of CLOCK_REALTIME for a second, but for `within_ns`.

    The median of that second: a measurement that a standing machine has spoilt is not the clock's.
    """
    errors: list[float] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(errors) < 20 or abs(statistics.median(errors[-20:])) >= within_ns:
        assert time.monotonic() < deadline, errors[-100:]
        await asyncio.sleep(0.05)
        errors.append(listener.ahead_of_realtime() - ahead_ns)


def numbers(log: Path, words: str) -> list[int]:
    """What a ptp4l has printed behind these words so far."""
    lines = [line for line in log.read_text().splitlines() if words in line]
    return [int(line.split(words)[1].split()[0]) for line in lines]


def measured(log: Path, words: str) -> float:
    """The median of the newest five of `numbers`; infinite before there are so many."""
    newest = numbers(log, words)[-5:]
    return statistics.median(newest) if len(newest) == 5 else float("inf")


async def report_law(spec: ClockSpec, base_ns: int, ppm: float, epoch_ns: int) -> None:
    """Run a timekeeper until killed; a JSON line each 100 ms with its error against a law.

    The program of a process of its own, under `virtual_phc.c`, whose law it is.
    """
    listener = Listener()
    keeper = Timekeeper(listener.publish, lambda snapshot: None)
    await keeper.configure(spec)
    while True:
        await asyncio.sleep(0.1)
        media_ns, real_ns = listener.reading()
        law_ns = epoch_ns + real_ns - base_ns + round((real_ns - base_ns) * ppm * 1e-6)
        line = {"error": media_ns - law_ns, "snapshot": keeper.snapshot()}
        print(json.dumps(line), flush=True)


class Reports:
    """What a process says with `report_law` into a file."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def lines(self) -> list[dict[str, Any]]:
        """The whole ones so far."""
        whole = self.log.read_text().rsplit("\n", 1)[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def until(self, wanted: Callable[[dict[str, Any]], object], seconds: float) -> dict[str, Any]:
        """The newest snapshot once it is as wanted."""
        deadline = time.monotonic() + seconds
        while True:
            for line in self.lines()[-1:]:
                snapshot: dict[str, Any] = line["snapshot"]
                if wanted(snapshot):
                    return snapshot
            assert time.monotonic() < deadline, self.log.read_text()[-3_000:]
            time.sleep(0.1)

    def until_near(self, within_ns: int) -> None:
        """Until the median of a second's errors is so small, one second after now or later."""
        begin = len(self.lines())
        deadline = time.monotonic() + PATIENCE_S
        while True:
            errors = [line["error"] for line in self.lines()[begin:]][-10:]
            if len(errors) == 10 and abs(statistics.median(errors)) < within_ns:
                return
            assert time.monotonic() < deadline, errors
            time.sleep(0.1)
