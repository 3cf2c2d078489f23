"""Grants PCMs: what an application is told the device is, what it may set up, and its rate.

Knows clients only by a key and by what they said; the socket is `engine.alsa`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aes67.engine.alsa_messages import Caps, Hello, Setup, Stream
from aes67.engine.pcm_offer import Denied, check_setup, offer
from aes67.engine.pcms import Book, Claim, Limits, Pcm
from aes67.errors import Refused
from aes67.net.seqpacket import Credentials
from aes67.shm.layout import CAPTURE, PAGE_BYTES, PLAYBACK, ring_frames_for

if TYPE_CHECKING:
    from aes67.engine.engine import Engine
    from aes67.engine.plan import Plan

log = logging.getLogger("aes67.alsa")

PLAN_WAIT_SECONDS = 5.0
"""How long HELLO waits for the first plan; the plugin gives up earlier."""
RATE_WAIT_SECONDS = 2.0
"""How long SETUP waits for a plan of the rate it asked for."""


@dataclass
class Seat:
    """One client as the desk knows it."""

    key: int
    credentials: Credentials
    hello: Hello | None = None
    caps: Caps | None = None
    stale: bool = False
    """The device has changed under it: it must be opened again."""


class PcmDesk:
    """All PCMs of an engine; belongs to the loop's thread.

    Args:
        engine: opens and closes the streams.
        limits: see Limits.
        request_rate: asks control for a plan of a rate; False when nobody can be asked.
        changed: called after each change of `pcms`.
    """

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        request_rate: Callable[[int], bool],
        changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._book = Book(limits)
        self._request_rate = request_rate
        self._changed = changed
        self._planned = asyncio.Event()
        self._rate_answered = asyncio.Event()
        self._rate_refused = ""
        self._rate_lock = asyncio.Lock()

    def pcms(self) -> list[Pcm]:
        """The PCMs that are set up."""
        return self._book.all()

    async def hello(self, seat: Seat, hello: Hello) -> Caps:
        """Take a client in, waiting for the first plan if need be.

        Raises:
            Denied: EINVAL (second HELLO, no such channels), EBUSY (exclusive), ENODEV (no plan).
        """
        if seat.hello is not None or hello.direction not in (PLAYBACK, CAPTURE):
            raise Denied(errno.EINVAL)
        try:
            async with asyncio.timeout(PLAN_WAIT_SECONDS):
                await self._planned.wait()
        except TimeoutError:
            raise Denied(errno.ENODEV) from None
        caps = offer(hello, self._plan, self._engine.generation)
        claim = Claim(hello.direction, hello.first, max(hello.channels, 1), hello.exclusive)
        if not hello.is_control and self._book.is_busy(claim):
            raise Denied(errno.EBUSY)
        seat.hello, seat.caps = hello, caps
        return caps

    async def setup(self, seat: Seat, setup: Setup) -> Stream:
        """Open the client's PCM with these parameters, in place of the one it may have.

        Raises:
            Denied: EINVAL (out of the range of CAPS), EBUSY (exclusive, limit, other rate in use),
                ENOMEM (limit of memory), ENODEV (device changed since HELLO), ETIMEDOUT.
        """
        hello, caps = seat.hello, seat.caps
        assert hello is not None
        assert caps is not None
        if seat.stale:
            raise Denied(errno.ENODEV)
        if hello.is_control:
            raise Denied(errno.EINVAL)
        self.release(seat)
        check_setup(setup, caps)
        await self._ensure_rate(setup.rate)
        if seat.stale:
            raise Denied(errno.ENODEV)
        self._check_room(seat, hello, setup)
        if hello.direction == CAPTURE:
            return self._open_capture(seat, setup)
        return self._open_playback(seat, setup)

    def release(self, seat: Seat) -> None:
        """Close the client's PCM, if it has one."""
        pcm = self._book.remove(seat.key)
        if pcm is None:
            return
        if pcm.direction == PLAYBACK:
            self._engine.close_playback(pcm.stream_id)
        self._changed()

    def plan_applied(self) -> None:
        """To be called when a plan is in force, after `expire` of every client."""
        self._planned.set()
        self._rate_answered.set()

    def expire(self, seat: Seat) -> bool:
        """Close what the plan in force does not fit any more; True when the client has to know."""
        if seat.hello is None or seat.stale or self._fits(seat):
            return False
        seat.stale = True
        self.release(seat)
        return True

    def rate_refused(self, reason: str) -> None:
        """Control's answer when there will be no plan of the rate asked for."""
        self._rate_refused = reason or "no reason given"
        self._rate_answered.set()

    @property
    def _plan(self) -> Plan:
        plan = self._engine.plan
        assert plan is not None, "asked before a plan was applied"
        return plan

    def _fits(self, seat: Seat) -> bool:
        """Whether what the client was told at HELLO, and what it has set up, still holds."""
        assert seat.hello is not None
        assert seat.caps is not None
        pcm = self._book.get(seat.key)
        if pcm is not None and pcm.rate != self._plan.rate:
            return False
        try:
            caps = offer(seat.hello, self._plan, self._engine.generation)
        except Denied:
            return False
        return (caps.rates, caps.bus_channels) == (seat.caps.rates, seat.caps.bus_channels)

    async def _ensure_rate(self, rate: int) -> None:
        """Have the device run at `rate`, asking control for a plan when it does not."""
        async with self._rate_lock:
            if self._plan.rate == rate:
                return
            if self._book.all():
                raise Denied(errno.EBUSY)
            self._rate_refused = ""
            if not self._request_rate(rate):
                raise Denied(errno.ENODEV)
            try:
                async with asyncio.timeout(RATE_WAIT_SECONDS):
                    while self._plan.rate != rate and not self._rate_refused:
                        self._rate_answered.clear()
                        await self._rate_answered.wait()
            except TimeoutError:
                raise Denied(errno.ETIMEDOUT) from None
            if self._plan.rate != rate:
                log.warning("rate %d refused: %s", rate, self._rate_refused)
                raise Denied(errno.EINVAL)

    def _check_room(self, seat: Seat, hello: Hello, setup: Setup) -> None:
        if self._book.is_busy(
            Claim(hello.direction, hello.first, setup.channels, hello.exclusive)
        ):
            raise Denied(errno.EBUSY)
        ring_bytes = 0
        if hello.direction == PLAYBACK:
            frames = ring_frames_for(setup.rate, setup.buffer_frames)
            ring_bytes = PAGE_BYTES + frames * setup.channels * 4
        if number := self._book.over_limit(seat.credentials.uid, ring_bytes):
            log.warning("uid %d has reached its limit of PCMs or memory", seat.credentials.uid)
            raise Denied(number)

    def _open_playback(self, seat: Seat, setup: Setup) -> Stream:
        assert seat.hello is not None
        try:
            playback = self._engine.open_playback(
                channels=setup.channels, first=seat.hello.first, buffer_frames=setup.buffer_frames
            )
        except Refused as refused:
            log.warning("playback refused: %s", refused)
            raise Denied(errno.EBUSY) from None
        except OSError as error:
            log.warning("playback: %s", error)
            raise Denied(error.errno or errno.ENOMEM) from None
        region = playback.region
        self._enter(seat, setup, playback.stream_id, playback.slot, region.size)
        return Stream(
            stream_id=playback.stream_id,
            size=region.size,
            ring_frames=playback.ring_frames,
            channels=setup.channels,
            descriptor=region.fd,
        )

    def _open_capture(self, seat: Seat, setup: Setup) -> Stream:
        bus = self._engine.bus
        if bus is None:
            raise Denied(errno.ENODEV)
        self._enter(seat, setup, 0, -1, 0)
        channels = self._plan.device_channels
        return Stream(
            stream_id=0,
            size=bus.size,
            ring_frames=(bus.size - PAGE_BYTES) // (4 * channels),
            channels=channels,
            descriptor=bus.fd,
        )

    def _enter(
        self, seat: Seat, setup: Setup, stream_id: int, slot: int, ring_bytes: int
    ) -> None:
        assert seat.hello is not None
        pcm = Pcm(
            stream_id=stream_id,
            slot=slot,
            direction=seat.hello.direction,
            first=seat.hello.first,
            channels=setup.channels,
            rate=setup.rate,
            exclusive=seat.hello.exclusive,
            ring_bytes=ring_bytes,
            uid=seat.credentials.uid,
            pid=seat.credentials.pid,
            application=seat.hello.application,
        )
        self._book.add(seat.key, pcm)
        self._changed()
