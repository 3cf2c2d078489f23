"""A second clock domain: a network that insists on a grandmaster of its own, measured and shown.

It has ports, an estimator, a lock and a clock page of its own and shares nothing with the media
clock. Nothing is sent or played by it: it says what time that network has, and how far from ours.
It never stands in the way of a plan: what cannot be opened is a reason, and tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aes67.clock.lock import State
from aes67.clock.timebase import Line, rate_to_ppm
from aes67.engine.clock_page import ClockPage, MediaRecord
from aes67.engine.clock_spec import ClockSpec
from aes67.engine.timekeeper import Timekeeper
from aes67.errors import Refused
from aes67.net.timestamping import raw_now
from aes67.ptp.modes import USABLE
from aes67.shm.layout import CLOCK, PAGE_BYTES
from aes67.shm.region import Region, create

RETRY_S = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hooks:
    """What is called on the loop: `page` when there is another page or none any more, `told` with
    the snapshot at each change and once a second, None when there is no second clock any more."""

    page: Callable[[], None]
    told: Callable[[dict[str, Any] | None], None]


@dataclass(frozen=True)
class _Running:
    keeper: Timekeeper
    region: Region
    page: ClockPage


class SecondClock:
    """The second clock domain of the engine, if a plan asks for one; on its event loop.

    Args:
        media: the line of the media clock in force.
        generation: of the engine.
    """

    def __init__(self, media: Callable[[], MediaRecord], generation: int, hooks: Hooks) -> None:
        self._media = media
        self._generation = generation
        self._hooks = hooks
        self._spec: ClockSpec | None = None
        self._name = ""
        self._running: _Running | None = None
        self._trouble = ""
        self._retry: asyncio.Task[None] | None = None
        self._configuring = asyncio.Lock()

    @property
    def region(self) -> Region | None:
        """Its clock page: record 1 only, the tick's record and the heartbeat are the first's."""
        return self._running.region if self._running is not None else None

    async def configure(self, spec: ClockSpec | None, name: str = "") -> None:
        """Run it as `spec` says, or not at all; raises nothing, see `snapshot` for the reason."""
        async with self._configuring:
            was_there = self._spec is not None
            self._spec, self._name = spec, name
            await self._stop_retrying()
            if spec is None:
                await self._end()
                if was_there:
                    self._hooks.told(None)
                return
            if not await self._started(spec):
                self._retry = asyncio.get_running_loop().create_task(self._try_again(spec))
        self._tell()

    def snapshot(self) -> dict[str, Any] | None:
        """As `Timekeeper.snapshot`, with its name and how far it is ahead of the media clock.

        `ahead_of_media_ns` and `ahead_of_media_ppm` are None unless both clocks are known.
        """
        spec, running = self._spec, self._running
        if spec is None:
            return None
        if running is None:
            found: dict[str, Any] = {
                "mode": spec.mode, "interface": spec.interface, "domain": spec.domain,
                "state": "unlocked", "reason": self._trouble, "gmid": "",
            }  # fmt: skip
        else:
            found = running.keeper.snapshot()
        theirs = running.page.media() if running is not None else None
        return found | {"name": self._name} | _difference(self._media(), theirs, raw_now())

    def link_back(self, name: str) -> None:
        """As `Timekeeper.link_back`."""
        if self._running is not None:
            self._running.keeper.link_back(name)

    async def close(self) -> None:
        """Stop; nothing is told."""
        async with self._configuring:
            self._spec = None
            await self._stop_retrying()
            await self._end(told=False)

    # -- how

    async def _started(self, spec: ClockSpec) -> bool:
        running = self._running or self._made()
        try:
            await running.keeper.configure(spec)
        except (Refused, OSError) as refusal:
            self._trouble = refusal.rule if isinstance(refusal, Refused) else str(refusal)
            log.warning("clock %s on %s: %s", self._name, spec.interface, self._trouble)
            if self._running is None:
                running.region.close()
            await self._end()
            return False
        self._trouble = ""
        if self._running is None:
            self._running = running
            self._hooks.page()
        return True

    def _made(self) -> _Running:
        region = create("aes67-clock-2", PAGE_BYTES, read_only_for_others=True)
        page = ClockPage(region, self._generation)
        header = region.view(CLOCK)[0]
        for field in ("mono_ns", "mono_raw_ns", "tick_ns"):
            header[field] = 0
        keeper = Timekeeper(page.publish_media, lambda _: self._tell(), name="second clock")
        return _Running(keeper, region, page)

    async def _end(self, *, told: bool = True) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running.keeper.close()
            running.region.close()
            if told:
                self._hooks.page()

    async def _try_again(self, spec: ClockSpec) -> None:
        """Until it can be opened: an interface may come later, or back."""
        while not self._running:
            await asyncio.sleep(RETRY_S)
            async with self._configuring:
                if self._spec is spec and await self._started(spec):
                    break
            self._tell()
        self._tell()

    async def _stop_retrying(self) -> None:
        task, self._retry = self._retry, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _tell(self) -> None:
        if self._spec is not None:
            self._hooks.told(self.snapshot())


def _difference(ours: MediaRecord, theirs: MediaRecord | None, raw_ns: int) -> dict[str, Any]:
    """How far the second clock is ahead at an instant of CLOCK_MONOTONIC_RAW, if that is known."""
    unknown = {"ahead_of_media_ns": None, "ahead_of_media_ppm": None}
    if theirs is None or not {State(ours.state), State(theirs.state)} <= set(USABLE):
        return unknown
    return {
        "ahead_of_media_ns": _line(theirs).at(raw_ns) - _line(ours).at(raw_ns),
        "ahead_of_media_ppm": round(rate_to_ppm(theirs.rate_q40 - ours.rate_q40), 6),
    }


def _line(record: MediaRecord) -> Line:
    return Line(record.raw_ns, record.media_ns, record.rate_q40)
