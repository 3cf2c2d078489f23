"""The shell around `ptp.ordinary_clock`: real time, timers and sockets on the engine's loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import Any, Protocol

from aes67.clock.estimator import warm
from aes67.clock.lock import State
from aes67.clock.timebase import NS, TAI_MINUS_UTC_S, Line
from aes67.engine.clock_page import MediaRecord
from aes67.engine.ptp_network import PtpNetwork
from aes67.errors import Refused
from aes67.net.timestamping import STAMPING, CrossClock, interface_index, raw_now
from aes67.ptp.bmca import Role
from aes67.ptp.ordinary_clock import Mapping, Mode, OrdinaryClock
from aes67.ptp.port_types import PortConfig
from aes67.ptp.snapshot import render

SNAPSHOT_S = 1.0
ROLES = {
    Mode.PTP: Role.ORDINARY,
    Mode.PTP_SLAVE: Role.SLAVE_ONLY,
    Mode.GRANDMASTER: Role.MASTER_ONLY,
}
RANGES = (
    ("domain", 0, 127),
    ("dscp", 0, 63),
    ("priority1", 0, 255),
    ("priority2", 0, 255),
    ("sync_interval", -7, 1),
    ("announce_interval", -3, 4),
    ("asymmetry_ns", -10_000_000, 10_000_000),
)

log = logging.getLogger(__name__)


class ClockSpec(Protocol):
    """The plan's `clock` object; intervals are base-2 logarithms of seconds."""

    @property
    def mode(self) -> str: ...
    @property
    def interface(self) -> str: ...
    @property
    def domain(self) -> int: ...
    @property
    def dscp(self) -> int: ...
    @property
    def priority1(self) -> int: ...
    @property
    def priority2(self) -> int: ...
    @property
    def sync_interval(self) -> int: ...
    @property
    def announce_interval(self) -> int: ...
    @property
    def allowed_masters(self) -> frozenset[bytes]: ...
    @property
    def asymmetry_ns(self) -> int: ...


class Timekeeper:
    """Owns the clock domain of the engine; every method runs on its event loop.

    Args:
        publish: takes each new mapping, at every measurement and at least every 100 ms.
        on_snapshot: takes the snapshot at each change of state or grandmaster and once a second.
        stamping: SOF_TIMESTAMPING_ flags to ask the kernel for; fewer stand for a poorer kernel.
    """

    def __init__(
        self,
        publish: Callable[[MediaRecord], None],
        on_snapshot: Callable[[dict[str, Any]], None],
        *,
        stamping: int = STAMPING,
    ) -> None:
        self._publish = publish
        self._on_snapshot = on_snapshot
        self._stamping = stamping
        self._random = random.Random()
        self._cross = CrossClock()
        self._clock: OrdinaryClock | None = None
        self._spec: ClockSpec | None = None
        self._network: PtpNetwork | None = None
        self._trouble = ""
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._seen: tuple[State, bytes | None] | None = None
        self._configuring = asyncio.Lock()

    async def configure(self, spec: ClockSpec) -> None:
        """Run the clock as `spec` says, from now on; nothing has changed if it is refused.

        The media time goes on where it was; where the new clock disagrees by 1 ms or more it is a
        new epoch.

        Raises:
            Refused: a value out of range, no such interface, or no right to use ports 319 and 320.
        """
        mode = _checked(spec)
        async with self._configuring:
            if self._spec is not None and _same(spec, self._spec):
                return
            await asyncio.to_thread(warm)
            network = None if mode is Mode.FREE else self._open(spec)
            self._drop_network()
            self._network = network
            self._spec = spec
            self._trouble = ""
            self._start(mode, spec)
            if self._watcher is None:
                self._watcher = asyncio.get_running_loop().create_task(self._watch())
        log.info("clock %s on %s, domain %d", mode.value, spec.interface or "-", spec.domain)

    def snapshot(self) -> dict[str, Any]:
        """The clock as everybody is shown it; see `ptp.snapshot`."""
        if self._clock is None:
            return {"mode": None, "state": "unlocked", "reason": "not configured", "gmid": ""}
        network = self._network
        snapshot = render(self._clock, raw_now())
        snapshot["timestamps"] = {
            "rung": network.ladder.rung.words if network else None,
            "receive_missed": network.ladder.receive_missed if network else 0,
            "transmit_missed": network.ladder.transmit_missed if network else 0,
            "rung_changes": network.ladder.changes if network else 0,
            "system_clock_steps": network.sockets.clock.steps if network else 0,
        }
        snapshot["send_errors"] = network.send_errors if network else 0
        snapshot["trouble"] = self._trouble
        if self._trouble:
            snapshot["reason"] = f"{self._trouble}; {snapshot['reason']}"
        return snapshot

    async def close(self) -> None:
        """Stop; the page keeps its last mapping."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._drop_network()
        self._clock = None
        self._spec = None

    # -- setting up

    def _start(self, mode: Mode, spec: ClockSpec) -> None:
        raw_ns, real_ns = self._cross.read()
        local = Line(raw_ns, real_ns + TAI_MINUS_UTC_S * NS)
        config = None
        if self._network is not None:
            config = PortConfig(
                identity=self._network.identity,
                role=ROLES[mode],
                domain=spec.domain,
                priority1=spec.priority1,
                priority2=spec.priority2,
                log_announce=spec.announce_interval,
                log_sync=spec.sync_interval,
                allowed_masters=spec.allowed_masters,
                asymmetry_ns=spec.asymmetry_ns,
            )
        media = self._clock.media if self._clock is not None else None
        self._clock = OrdinaryClock(
            mode, config, self._random.random, raw_ns, local, media, spec.interface
        )
        if self._network is not None:
            self._network.listener = self._clock
        self._pump()

    def _open(self, spec: ClockSpec) -> PtpNetwork:
        return PtpNetwork(spec.interface, spec.dscp, self._stamping, self._pump)

    def _drop_network(self) -> None:
        if self._network is not None:
            self._network.close()
            self._network = None

    # -- running

    def _pump(self) -> None:
        """Timers, sending, publishing; then sleep until the next deadline or packet."""
        clock, network = self._clock, self._network
        if clock is None:
            return
        now_ns = raw_now()
        due = now_ns >= clock.next_deadline()
        if network is not None:
            network.handle_timer(now_ns)
        if due:
            clock.handle_timer(now_ns)
        # a stamp that is there at once makes the next message: a Follow_Up
        while messages := clock.outgoing():
            if network is not None:
                network.send(messages)
        if due:
            self._tell(clock)
        deadline = clock.next_deadline()
        given_up = network.next_deadline() if network is not None else None
        if given_up is not None:
            deadline = min(deadline, given_up)
        if self._timer is not None:
            self._timer.cancel()
        delay = max(deadline - raw_now(), 0) / NS
        self._timer = asyncio.get_running_loop().call_later(delay, self._pump)

    def _tell(self, clock: OrdinaryClock) -> None:
        """Publish the mapping, and the snapshot if the state or the grandmaster is another one."""
        self._publish(_record(clock.mapping))
        seen = (clock.lock.state, clock.grandmaster)
        if seen != self._seen:
            self._seen = seen
            log.info("clock %s: %s", seen[0].name.lower(), clock.lock.reason)
            self._on_snapshot(self.snapshot())

    # -- the interface

    def link_back(self, name: str) -> None:
        """The link of an interface has come back, or it is another one of the same name.

        A switch that was started meanwhile knows nothing of our PTP groups, so they are joined
        again.
        """
        if self._spec is None or self._spec.interface != name:
            return
        self._check_interface()
        if self._network is not None:
            self._network.sockets.rejoin()

    async def _watch(self) -> None:
        """Once a second: the snapshot, and sockets opened anew when the interface was replaced."""
        while True:
            await asyncio.sleep(SNAPSHOT_S)
            self._check_interface()
            self._on_snapshot(self.snapshot())

    def _check_interface(self) -> None:
        spec, clock = self._spec, self._clock
        if spec is None or clock is None or clock.mode is Mode.FREE:
            return
        try:
            index = interface_index(spec.interface)
        except Refused:
            if self._network is not None:
                log.warning("interface %s is gone", spec.interface)
            self._drop_network()
            self._trouble = f"interface {spec.interface} is gone"
            return
        if self._network is not None and self._network.sockets.index == index:
            return
        self._drop_network()
        try:
            self._network = self._open(spec)
        except Refused as error:
            self._trouble = str(error)
            return
        self._network.listener = clock
        self._trouble = ""
        log.info("interface %s is back", spec.interface)


def _record(mapping: Mapping) -> MediaRecord:
    return MediaRecord(
        raw_ns=mapping.line.raw_ns,
        media_ns=mapping.line.time_ns,
        rate_q40=mapping.line.rate_q40,
        epoch=mapping.epoch,
        state=int(mapping.state),
        uncertainty_ns=mapping.uncertainty_ns,
        session_epoch=mapping.session_epoch,
    )


def _checked(spec: ClockSpec) -> Mode:
    try:
        mode = Mode(spec.mode)
    except ValueError:
        known = ", ".join(each.value for each in Mode)
        raise Refused("mode", spec.mode, f"the clock's mode is one of {known}") from None
    for name, low, high in RANGES:
        value = getattr(spec, name)
        if not isinstance(value, int) or not low <= value <= high:
            raise Refused(name, value, f"from {low} to {high}")
    return mode


def _same(a: ClockSpec, b: ClockSpec) -> bool:
    names = ("mode", "interface", "allowed_masters", *(name for name, _, _ in RANGES))
    return all(getattr(a, name) == getattr(b, name) for name in names)
