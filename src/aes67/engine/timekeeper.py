"""The shell around `ptp.ordinary_clock`: sockets, stamps and timers on the engine's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aes67.clock.estimator import warm
from aes67.clock.lock import State
from aes67.clock.timebase import MS, NS, TAI_MINUS_UTC_S, Line
from aes67.engine.clock_page import MediaRecord
from aes67.errors import Refused
from aes67.net.timestamping import (
    STAMPING,
    CrossClock,
    PtpSockets,
    Received,
    claim,
    interface_index,
    raw_now,
)
from aes67.ptp.bmca import Role
from aes67.ptp.ladder import Ladder, Rung
from aes67.ptp.ordinary_clock import Mapping, Mode, OrdinaryClock
from aes67.ptp.port import Outgoing, PortConfig
from aes67.ptp.snapshot import render
from aes67.wire.ptp_header import MULTICAST_IPV4, PortIdentity

GENERAL_DSCP = {46: 34, 48: 46}
"""Of the general messages, by that of the event messages: AES67's and RAVENNA's pairs."""
STAMP_TIMEOUT_NS = 20 * MS
SNAPSHOT_S = 1.0
MAX_STACKS = 16

ROLES = {
    Mode.PTP: Role.ORDINARY,
    Mode.PTP_SLAVE: Role.SLAVE_ONLY,
    Mode.GRANDMASTER: Role.MASTER_ONLY,
}

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


@dataclass
class _Network:
    """What belongs to one set of sockets."""

    sockets: PtpSockets
    name: socket.socket | None
    identity: PortIdentity
    waiting: dict[int, tuple[tuple[int, int], int]]
    """Event messages whose transmit stamp is to come: number -> (token, given up at)."""


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
        self._network: _Network | None = None
        self._ladder = Ladder()
        self._trouble = ""
        self._send_errors = 0
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
            self._configure(mode, spec)

    def snapshot(self) -> dict[str, Any]:
        """The clock as everybody is shown it; see `ptp.snapshot`."""
        if self._clock is None:
            return {"mode": None, "state": "unlocked", "reason": "not configured", "gmid": ""}
        network = self._network
        snapshot = render(self._clock, raw_now())
        snapshot["timestamps"] = {
            "rung": self._ladder.rung.words if network else None,
            "receive_missed": self._ladder.receive_missed,
            "transmit_missed": self._ladder.transmit_missed,
            "rung_changes": self._ladder.changes,
            "system_clock_steps": network.sockets.clock.steps if network else 0,
        }
        snapshot["send_errors"] = self._send_errors
        snapshot["trouble"] = self._trouble
        if self._trouble and self._clock.mode is not Mode.FREE:
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

    def _configure(self, mode: Mode, spec: ClockSpec) -> None:
        network = None if mode is Mode.FREE else self._open(spec)
        self._drop_network()
        self._network = network
        self._spec = spec
        self._ladder = Ladder()
        self._trouble = ""
        self._start(mode, spec)
        if self._watcher is None:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())
        log.info("clock %s on %s, domain %d", mode.value, spec.interface or "-", spec.domain)

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
            )
        media = self._clock.media if self._clock is not None else None
        self._clock = OrdinaryClock(
            mode, config, self._random.random, raw_ns, local, media, spec.interface
        )
        self._pump()

    def _open(self, spec: ClockSpec) -> _Network:
        general = GENERAL_DSCP.get(spec.dscp, spec.dscp)
        sockets = PtpSockets(
            spec.interface, (MULTICAST_IPV4,), spec.dscp, general, self._stamping
        )
        number, name = 0, None
        for number in range(MAX_STACKS):
            name = claim(f"aes67-ptp-{sockets.index}-{number}")
            if name is not None:
                break
        identity = PortIdentity(clock_identity(sockets.hardware_address, number), 1)
        network = _Network(sockets, name, identity, {})
        loop = asyncio.get_running_loop()
        loop.add_reader(sockets.event.fileno(), self._event_readable, network)
        loop.add_reader(sockets.general.fileno(), self._general_readable, network)
        return network

    def _drop_network(self) -> None:
        if self._network is not None:
            _close(self._network)
            self._network = None

    # -- running

    def _event_readable(self, network: _Network) -> None:
        """A packet on port 319, or a transmit stamp in its error queue."""
        assert self._clock is not None
        packet = network.sockets.receive(network.sockets.event)
        if packet is None or network.waiting:
            self._take_transmit_stamps(network)
        if packet is not None:
            stamp_ns = self._receive_stamp(packet)
            self._clock.receive(packet.data, packet.source, packet.read_ns, stamp_ns)
        self._pump()

    def _general_readable(self, network: _Network) -> None:
        """A packet on port 320."""
        assert self._clock is not None
        packet = network.sockets.receive(network.sockets.general)
        if packet is not None:
            self._clock.receive(packet.data, packet.source, packet.read_ns, None)
            self._pump()

    def _receive_stamp(self, packet: Received) -> int | None:
        if not packet.dropped:
            self._ladder.received(packet.stamp_ns is not None, packet.read_ns)
        if self._ladder.rung is Rung.USERSPACE:
            return packet.read_ns
        return packet.stamp_ns

    def _take_transmit_stamps(self, network: _Network) -> None:
        assert self._clock is not None
        for number, stamp_ns in network.sockets.transmit_stamps():
            waiting = network.waiting.pop(number, None)
            now_ns = raw_now()
            self._ladder.transmitted(True, now_ns)
            if waiting is not None and self._ladder.rung is Rung.KERNEL:
                self._clock.sent(waiting[0], stamp_ns, now_ns)

    def _give_up_stamps(self, network: _Network, now_ns: int) -> None:
        assert self._clock is not None
        for number, (token, until_ns) in list(network.waiting.items()):
            if now_ns >= until_ns:
                del network.waiting[number]
                self._ladder.transmitted(False, now_ns)
                if self._ladder.rung is Rung.KERNEL:
                    self._clock.sent(token, None, now_ns)

    def _pump(self) -> None:
        """Timers, sending, publishing; then sleep until the next deadline or packet."""
        clock = self._clock
        if clock is None:
            return
        now_ns = raw_now()
        due = now_ns >= clock.next_deadline()
        if self._network is not None:
            self._give_up_stamps(self._network, now_ns)
        if due:
            clock.handle_timer(now_ns)
        self._send_all(clock)
        if due:
            self._publish(_record(clock.mapping))
            seen = (clock.lock.state, clock.grandmaster)
            if seen != self._seen:
                self._seen = seen
                log.info("clock %s: %s", seen[0].name.lower(), clock.lock.reason)
                self._on_snapshot(self.snapshot())
        if self._timer is not None:
            self._timer.cancel()
        deadline = clock.next_deadline()
        if self._network is not None and self._network.waiting:
            deadline = min(deadline, *(until for _, until in self._network.waiting.values()))
        delay = max(deadline - raw_now(), 0) / NS
        self._timer = asyncio.get_running_loop().call_later(delay, self._pump)

    def _send_all(self, clock: OrdinaryClock) -> None:
        network = self._network
        while messages := clock.outgoing():
            for message in messages:
                if network is None:
                    continue
                try:
                    self._send(network, message, clock)
                except OSError as error:
                    network.waiting.clear()  # the numbers of stamps start anew after a failure
                    self._send_errors += 1
                    if self._send_errors == 1:
                        log.warning("PTP on %s: %s", network.sockets.interface, error)

    def _send(self, network: _Network, message: Outgoing, clock: OrdinaryClock) -> None:
        sockets = network.sockets
        if not message.event:
            sockets.send_general(message.data, MULTICAST_IPV4)
            return
        sent = sockets.send_event(message.data, MULTICAST_IPV4)
        network.waiting[sent.id] = (message.token, sent.after_ns + STAMP_TIMEOUT_NS)
        if self._ladder.rung is not Rung.KERNEL:
            middle = (sent.before_ns + sent.after_ns) // 2
            clock.sent(message.token, middle, sent.after_ns)
        # on lo and veth the stamp is there already, elsewhere within some tens of microseconds
        self._take_transmit_stamps(network)

    # -- the interface

    async def _watch(self) -> None:
        """Once a second: the snapshot, and sockets opened anew when the interface was replaced."""
        while True:
            await asyncio.sleep(SNAPSHOT_S)
            self._check_interface()
            self._on_snapshot(self.snapshot())

    def _check_interface(self) -> None:
        spec = self._spec
        if spec is None or self._clock is None or self._clock.mode is Mode.FREE:
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
        self._trouble = ""
        log.info("interface %s is back", spec.interface)


def clock_identity(hardware_address: bytes, number: int) -> bytes:
    """An EUI-64 of our own on an interface: ptp4l on the same one has the FF-FE form of its MAC.

    The locally administered bit is set, so the two bytes in the middle are ours to choose;
    `number` tells several engines on one interface apart.
    """
    first = hardware_address[0] | 0x02
    middle = bytes((0xAE, 0x67 + number))
    return bytes((first,)) + hardware_address[1:3] + middle + hardware_address[3:6]


def _close(network: _Network) -> None:
    loop = asyncio.get_running_loop()
    loop.remove_reader(network.sockets.event.fileno())
    loop.remove_reader(network.sockets.general.fileno())
    network.sockets.close()
    if network.name is not None:
        network.name.close()


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


_RANGES = (
    ("domain", 0, 127),
    ("dscp", 0, 63),
    ("priority1", 0, 255),
    ("priority2", 0, 255),
    ("sync_interval", -7, 1),
    ("announce_interval", -3, 4),
)


def _checked(spec: ClockSpec) -> Mode:
    try:
        mode = Mode(spec.mode)
    except ValueError:
        known = ", ".join(each.value for each in Mode)
        raise Refused("mode", spec.mode, f"the clock's mode is one of {known}") from None
    for name, low, high in _RANGES:
        value = getattr(spec, name)
        if not isinstance(value, int) or not low <= value <= high:
            raise Refused(name, value, f"from {low} to {high}")
    return mode


def _same(a: ClockSpec, b: ClockSpec) -> bool:
    names = ("mode", "interface", *(name for name, _, _ in _RANGES))
    return all(getattr(a, name) == getattr(b, name) for name in names)
