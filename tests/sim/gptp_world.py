"""An 802.1AS link in virtual time: the port under test and a neighbour with a law.

The neighbour is not the code under test: it makes its messages by itself, with the wire layer that
captures of ptp4l and tshark judge, and can be told to misbehave. Its local clock, which stamps peer
delay, and the grandmaster's time, which it gives out, are two oscillators.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from aes67.clock.timebase import NS, Line
from aes67.ptp.bmca import Role
from aes67.ptp.gptp_port import GptpPort
from aes67.ptp.port_types import PortConfig
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Announce, Answer, Quality, Timed, Tlv, pack, parse
from sim.world import Delay, Oscillator, fixed

OURS = PortIdentity(bytes.fromhex("020000ae67000002"), 1)
THEIRS = PortIdentity(bytes.fromhex("001b21fffe000001"), 3)


def config(role: Role = Role.SLAVE_ONLY, priority1: int = 250, **rest: int) -> PortConfig:
    made = PortConfig(
        OURS, role, priority1=priority1, log_announce=0, sync_receipt_timeout=3, major_sdo=1,
        path_trace=True, profile="gptp",
    )  # fmt: skip
    return replace(made, **rest)  # type: ignore[arg-type]


@dataclass
class Neighbor:
    """Whatever is at the other end of the link."""

    world: GptpWorld
    identity: PortIdentity = THEIRS
    crystal: Oscillator = field(default_factory=lambda: Oscillator(ppm=35.0, start_ns=77 * NS))
    law: Oscillator = field(default_factory=lambda: Oscillator(ppm=35.0, start_ns=5_000 * NS))
    grandmaster: bytes = THEIRS.clock
    priority1: int = 128
    steps_removed: int = 0
    path: tuple[bytes, ...] = ()
    down: Delay = field(default_factory=lambda: fixed(400.0))
    up: Delay = field(default_factory=lambda: fixed(400.0))
    residence_ns: float = 0.0
    """Of bridges between the grandmaster and the neighbour, told in the correctionField."""
    rate_offset: int = 0
    announcing: bool = False
    syncing: bool = False
    answering: bool = True
    asking: bool = True
    answers: int = 1
    """How many answer one Pdelay_Req: a switch in between lets several do so."""
    step_ns: int = 0
    domain: int = 0
    received: list[object] = field(default_factory=list)
    _sequences: dict[int, int] = field(default_factory=dict)

    def start(self) -> Neighbor:
        self.world.neighbor = self
        now = self.world.now
        self.world.at(now, self._announce)
        self.world.at(now + 60_000_000, self._sync)
        self.world.at(now + 7_000_000, self._ask)
        return self

    def time(self, true_ns: int) -> int:
        return self.law.at(true_ns) + self.step_ns

    def of_kind(self, kind: int) -> list[Timed | Answer | Announce]:
        return [m for m in self.received if m.header.message_type == kind]  # type: ignore[attr-defined,misc]

    def take(self, data: bytes, departure: int) -> None:
        """A message of the port under test, which left at `departure`."""
        arrival = departure + round(self.up(self.world.rng))
        message = parse(data)
        self.received.append(message)
        if message.header.message_type == h.PDELAY_REQ and self.answering:
            assert isinstance(message, Timed)
            self._answer(message, arrival)

    def _answer(self, request: Timed, arrival: int) -> None:
        for number in range(self.answers):
            source = PortIdentity(self.identity.clock, self.identity.port + number)
            asked = request.header
            leaves = arrival + 150_000 + number * 10_000
            header = self._header(h.PDELAY_RESP, h.TWO_STEP)
            header = replace(header, source=source, sequence_id=asked.sequence_id)
            answer = Answer(header, self.crystal.at(arrival), asked.source)
            self._deliver(pack(answer), leaves, True)
            header = replace(header, message_type=h.PDELAY_RESP_FOLLOW_UP, flags=0)
            followed = Answer(header, self.crystal.at(leaves), asked.source)
            self._deliver(pack(followed), leaves + 50_000, False)

    def _ask(self) -> None:
        self.world.at(self.world.now + NS, self._ask)
        if self.asking:
            self._deliver(pack(Timed(self._header(h.PDELAY_REQ, 0), 0)), self.world.now, True)

    def _announce(self) -> None:
        self.world.at(self.world.now + NS, self._announce)
        if not self.announcing:
            return
        value = b"".join((*self.path, self.identity.clock))
        message = Announce(
            self._header(h.ANNOUNCE, h.PTP_TIMESCALE), 37, self.priority1, Quality(6, 0x21, 0x4E5D),
            248, self.grandmaster, self.steps_removed, 0x20, tlvs=(Tlv(8, value),),
        )  # fmt: skip
        self._deliver(pack(message), self.world.now, False)

    def _sync(self) -> None:
        world = self.world
        world.at(world.now + NS // 8, self._sync)
        if not self.syncing:
            return
        header = self._header(h.SYNC, h.TWO_STEP)
        self._deliver(pack(Timed(header, 0)), world.now, True)
        # the origin is when it left the grandmaster, the correction what came since
        origin = self.time(world.now) - round(self.residence_ns)
        follow = replace(
            header, message_type=h.FOLLOW_UP, flags=0, correction=round(self.residence_ns * 65536)
        )
        value = bytes.fromhex("0080c2000001") + struct.pack(
            ">iH12si", self.rate_offset, 5, bytes(12), 0
        )
        self._deliver(pack(Timed(follow, origin, (Tlv(3, value),))), world.now + 300_000, False)

    def _header(self, kind: int, flags: int) -> Header:
        sequence = self._sequences.get(kind, 0)
        self._sequences[kind] = (sequence + 1) & 0xFFFF
        log = {h.SYNC: -3, h.ANNOUNCE: 0, h.PDELAY_REQ: 0}.get(kind, h.NO_INTERVAL)
        return Header(
            kind, self.identity, sequence, self.domain, flags, log_interval=log, major_sdo=1
        )

    def _deliver(self, data: bytes, leaves: int, event: bool) -> None:
        arrival = leaves + round(self.down(self.world.rng))
        self.world.at(arrival, lambda: self.world.arrive(data, arrival if event else None))


class GptpWorld:
    """The event queue and the port under test."""

    def __init__(self, settings: PortConfig | None = None, seed: int = 1) -> None:
        self.rng = np.random.default_rng(seed)
        self.now = 0
        self.local = Oscillator(ppm=-12.0, start_ns=4_411 * NS)
        self.neighbor: Neighbor | None = None
        self.transmit_stamps = True
        self.receive_stamps = True
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        raw_ns = self.local.at(0)
        self.clock = Line(raw_ns, raw_ns + 1_000 * NS)
        self.port = GptpPort(settings or config(), self.rng.random, raw_ns, self.clock)

    def at(self, true_ns: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (true_ns, self._count, action))

    def arrive(self, data: bytes, stamp_true_ns: int | None) -> None:
        stamp = None
        if stamp_true_ns is not None and self.receive_stamps:
            stamp = self.local.at(stamp_true_ns)
        self.port.receive(data, "02:00:00:00:00:01", self.local.at(self.now), stamp)
        self._after()

    def run(self, until_s: float) -> None:
        until = round(until_s * NS)
        while self.now < until:
            timer = self.now + max(self.port.next_deadline() - self.local.at(self.now), 0)
            event = self._queue[0][0] if self._queue else until
            self.now = max(min(timer, event, until), self.now)
            if event <= self.now and self._queue:
                heapq.heappop(self._queue)[2]()
            elif timer <= self.now:
                self.port.handle_timer(self.local.at(self.now) + 1)
                self._after()

    def error(self) -> float:
        """The selected master's estimated time minus the neighbour's, now."""
        assert self.port.selected is not None
        assert self.neighbor is not None
        estimate = self.port.selected.estimator.line.at(self.local.at(self.now))
        return estimate - self.neighbor.time(self.now)

    def _after(self) -> None:
        for message in self.port.outgoing():
            departure = self.now + 15_000
            if message.event:
                stamp = self.local.at(departure) if self.transmit_stamps else None
                token = message.token
                self.at(departure + 30_000, lambda t=token, s=stamp: self._sent(t, s))  # type: ignore[misc]
            if self.neighbor is not None:
                data, there = message.data, self.neighbor
                self.at(departure, lambda n=there, d=data, w=departure: n.take(d, w))  # type: ignore[misc]

    def _sent(self, token: tuple[int, int], stamp: int | None) -> None:
        self.port.sent(token, stamp)
        self._after()
