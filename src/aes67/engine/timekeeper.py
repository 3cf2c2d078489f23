"""The shell around `ptp.ordinary_clock`: real time, timers and sockets on the engine's loop.

It knows no profile. What a port sends and measures is for `ptp.ports`, what carries it for
`engine.port_kinds`: each has a table with a row for each kind of port, and that is the place for
another kind. A clock of this machine in the place of ports is an `engine.reference_reader`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

from aes67.clock.estimator import warm
from aes67.clock.lock import State
from aes67.clock.timebase import NS, TAI_MINUS_UTC_S, Line
from aes67.engine.clock_page import MediaRecord
from aes67.engine.clock_spec import ClockSpec, Wanted, checked, port_config, same
from aes67.engine.ptp_ports import PtpPorts
from aes67.engine.reference_reader import Ptp4lPlace, ReferenceReader, open_reference
from aes67.errors import Refused
from aes67.net.timestamping import STAMPING, CrossClock, raw_now
from aes67.ptp.modes import Mapping
from aes67.ptp.ordinary_clock import OrdinaryClock
from aes67.ptp.snapshot import render

SNAPSHOT_NS = NS
SELDOM = 5
"""Snapshots after which a patient slave looks again who listens on this host: it sends nothing that
others need."""

log = logging.getLogger(__name__)


class Timekeeper:
    """Owns the clock domain of the engine; every method runs on its event loop.

    Args:
        publish: takes each new mapping, at least every 400 ms, in haste at every measurement.
        on_snapshot: takes the snapshot at each change of state or grandmaster and once a second.
        stamping: SOF_TIMESTAMPING_ flags to ask the kernel for; fewer stand for a poorer kernel.
        ptp4l: how the ptp4l is asked that may discipline the clock of this machine.
        name: for the log.
    """

    def __init__(
        self,
        publish: Callable[[MediaRecord], None],
        on_snapshot: Callable[[dict[str, Any]], None],
        *,
        stamping: int = STAMPING,
        ptp4l: Ptp4lPlace | None = None,
        name: str = "clock",
    ) -> None:
        self._name = name
        self._publish = publish
        self._on_snapshot = on_snapshot
        self._stamping = stamping
        self._ptp4l = ptp4l or Ptp4lPlace()
        self._random = random.Random()
        self._cross = CrossClock()
        self._clock: OrdinaryClock | None = None
        self._spec: ClockSpec | None = None
        self._ports: PtpPorts | None = None
        self._reference: ReferenceReader | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watch_ns = 0
        self._watches = 0
        self._seen: tuple[State, bytes | None] | None = None
        self._configuring = asyncio.Lock()

    async def configure(self, spec: ClockSpec, *, wait: bool = False) -> None:
        """Run the clock as `spec` says, from now on; nothing has changed if it is refused.

        The media time goes on where it was; where the new clock disagrees by 1 ms or more it is a
        new epoch. With `wait` an interface that is missing is used when it comes, and until then a
        reason.

        Raises:
            Refused: a value out of range, no such interface or hardware clock, or no right to use
                ports 319 and 320.
        """
        wanted = checked(spec)
        async with self._configuring:
            if self._spec is not None and same(spec, self._spec):
                return
            await asyncio.to_thread(warm)
            reference = open_reference(wanted, spec.domain, raw_now(), self._ptp4l)
            ports = self._opened(wanted, spec, wait)
            self._drop(keep=ports)
            self._ports, self._reference = ports, reference
            self._spec = spec
            self._start(wanted, spec)
        log.info("%s %s, domain %d", self._name, wanted.words, spec.domain)

    def snapshot(self) -> dict[str, Any]:
        """The clock as everybody is shown it; see `ptp.snapshot`."""
        clock, ports = self._clock, self._ports
        if clock is None:
            return {"mode": None, "state": "unlocked", "reason": "not configured", "gmid": ""}
        snapshot = render(clock, raw_now())
        number = clock.ports.index(clock.port) if clock.port is not None else 0
        snapshot["timestamps"] = ports.stamps(number) if ports else _NO_STAMPS
        snapshot["ports"] = self._each_port(clock)
        if snapshot["ports"]:
            snapshot["port_state"] = snapshot["ports"][number]["port_state"]
        snapshot["reference"] = self._reference.snapshot() if self._reference else None
        snapshot["send_errors"] = ports.send_errors if ports else 0
        snapshot["trouble"] = ports.trouble if ports else ""
        if snapshot["trouble"]:
            snapshot["reason"] = f"{snapshot['trouble']}; {snapshot['reason']}"
        return snapshot

    async def close(self) -> None:
        """Stop; the page keeps its last mapping."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._drop()
        self._clock = None
        self._spec = None

    # -- setting up

    def _start(self, wanted: Wanted, spec: ClockSpec) -> None:
        raw_ns, real_ns = self._cross.read()
        local = Line(raw_ns, real_ns + TAI_MINUS_UTC_S * NS)
        ports = self._ports
        configs = [
            port_config(spec, wanted.mode, port, ports.identity(number))
            for number, port in enumerate(wanted.ports)
            if ports is not None
        ]
        self._watch_ns = self._watch_ns or raw_ns + SNAPSHOT_NS
        reader = self._reference
        media = self._clock.media if self._clock is not None else None
        self._clock = OrdinaryClock(
            wanted.mode,
            configs,
            self._random.random,
            raw_ns,
            local,
            media,
            spec.interface,
            reader.reference if reader is not None else None,
        )
        if ports is not None:
            ports.serve(self._clock)
        self._pump()

    def _opened(self, wanted: Wanted, spec: ClockSpec, wait: bool) -> PtpPorts | None:
        """The ports for a spec: those there are if they will do, so that we stay who we are."""
        ways = (wanted.ports, spec.dscp, spec.card_timestamps)
        if not wanted.ports:
            return None
        if self._ports is not None and self._ports.ways == ways:
            return self._ports
        if self._ports is not None:
            self._ports.lend_names()
        try:
            return PtpPorts(
                wanted.ports, spec.dscp, self._stamping, self._pump, spec.card_timestamps, wait
            )
        except Refused:
            if self._ports is not None:
                self._ports.take_names_back()
            raise

    def _drop(self, keep: PtpPorts | None = None) -> None:
        if self._ports is not None and self._ports is not keep:
            self._ports.close()
            self._ports = None
        if self._reference is not None:
            self._reference.close()
            self._reference = None

    # -- running

    def _pump(self) -> None:
        """Timers, sending, publishing; then sleep until the next deadline or packet."""
        clock, ports = self._clock, self._ports
        if clock is None:
            return
        now_ns = raw_now()
        if ports is not None:
            clock.wake(now_ns)
            ports.send(clock)
            ports.collect()
            now_ns = raw_now()
        due = now_ns >= clock.next_deadline()
        if ports is not None:
            ports.handle_timer(now_ns)
        if due:
            if self._reference is not None:
                self._reference.read(now_ns)
            clock.handle_timer(now_ns)
        if ports is not None:
            ports.send(clock)
            clock.make_ready()
            ports.listen(at_once=not clock.patient)
        if due:
            self._tell(clock)
        self._sleep(clock, ports)
        if now_ns >= self._watch_ns:
            self._watch_ns = max(self._watch_ns, now_ns - SNAPSHOT_NS) + SNAPSHOT_NS
            self._watch()

    def _sleep(self, clock: OrdinaryClock, ports: PtpPorts | None) -> None:
        deadline = clock.next_deadline()
        given_up = ports.next_deadline() if ports is not None else None
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
            log.info("%s %s: %s", self._name, seen[0].name.lower(), clock.lock.reason)
            self._on_snapshot(self.snapshot())

    def link_back(self, name: str) -> None:
        """The link of an interface has come back, or it is another one of the same name.

        A switch that was started meanwhile knows nothing of our PTP groups, so they are joined
        again.
        """
        if self._ports is not None:
            nobody = self._ports.nobody
            self._ports.link_back(name)
            self._somebody(nobody)

    def _somebody(self, was_nobody: bool) -> None:
        """Begin anew under our own identity once there is an interface to have it from."""
        if was_nobody and self._spec is not None and self._ports and not self._ports.nobody:
            self._start(checked(self._spec), self._spec)

    # -- once a second

    def _watch(self) -> None:
        """The snapshot, and sockets opened anew when an interface was replaced."""
        self._watches += 1
        if self._ports is not None:
            nobody = self._ports.nobody
            patient = self._clock is not None and self._clock.patient
            self._ports.check_interfaces(look_around=not patient or self._watches % SELDOM == 0)
            self._somebody(nobody)
        if self._reference is not None:
            self._reference.ask()
        self._on_snapshot(self.snapshot())

    # -- what is shown

    def _each_port(self, clock: OrdinaryClock) -> list[dict[str, Any]]:
        ports = self._ports
        return [
            {
                "interface": port.config.interface,
                "profile": port.config.profile,
                "port_identity": str(port.identity),
                "port_state": (ports.state(number) if ports else port.state).value,
                "rung": ports.stamps(number)["rung"] if ports else None,
                "trouble": ports.troubles[number] if ports else "",
            }
            for number, port in enumerate(clock.ports)
        ]


_NO_STAMPS = {
    "rung": None,
    "card": "",
    "card_missed": 0,
    "receive_missed": 0,
    "transmit_missed": 0,
    "rung_changes": 0,
    "system_clock_steps": 0,
}


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
