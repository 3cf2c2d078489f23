"""A network in virtual time: oscillators, a lossy link with seeded delays, PTP masters with a law.

Nothing here reads a clock or sleeps. A `Master` is not the code under test: it makes its messages
by itself (with the wire layer, which the captures of real masters judge), stamps them exactly and
can be told to misbehave.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from aes67.clock.timebase import NS, Line
from aes67.ptp.ordinary_clock import Mode, OrdinaryClock
from aes67.ptp.port_types import PortConfig
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Announce, Answer, Quality, Timed, pack, parse

Delay = Callable[[np.random.Generator], float]
GRAIN_NS = 10_000_000


def fixed(ns: float) -> Delay:
    return lambda rng: ns


def hardware(rng: np.random.Generator) -> float:
    """What hardware stamps leave: 30 ns of noise and a little queueing."""
    return 1_000.0 + rng.normal(0, 30) + rng.exponential(100)


def software(rng: np.random.Generator) -> float:
    """Software stamps on a busy host: gamma, 6 us on average."""
    return 1_000.0 + rng.gamma(3, 2_000)


def quiet(rng: np.random.Generator) -> float:
    """Software stamps on a quiet host and a direct link."""
    return 1_000.0 + rng.gamma(3, 200)


def spiky(rng: np.random.Generator) -> float:
    spike = rng.exponential(200_000) if rng.random() < 0.02 else 0.0
    return software(rng) + float(spike)


def wifi(rng: np.random.Generator) -> float:
    spike = rng.exponential(3e6) if rng.random() < 0.05 else 0.0
    return 500_000.0 + rng.gamma(2, 250_000) + float(spike)


class Oscillator:
    """Time of a clock against true time: rate, random walk of the rate (ns^2/s^3), sine."""

    def __init__(
        self,
        ppm: float = 0.0,
        walk: float = 0.0,
        sine: tuple[float, float] = (0.0, 1.0),
        start_ns: int = 0,
        seed: int = 0,
        horizon_s: float = 900.0,
    ) -> None:
        steps = int(horizon_s * NS / GRAIN_NS)
        grain_s = GRAIN_NS / NS
        rng = np.random.default_rng(seed)
        rate = ppm * 1e3 + np.cumsum(rng.normal(0.0, np.sqrt(walk * grain_s), steps))
        self._phase = np.concatenate([[0.0], np.cumsum(rate * grain_s)])
        self._sine = sine
        self.start_ns = start_ns

    def at(self, true_ns: int) -> int:
        slot, rest = divmod(true_ns, GRAIN_NS)
        a, b = self._phase[slot], self._phase[slot + 1]
        amplitude, period_s = self._sine
        wave = amplitude * np.sin(2 * np.pi * true_ns / NS / period_s) if amplitude else 0.0
        return self.start_ns + true_ns + round(float(a + (b - a) * rest / GRAIN_NS + wave))


@dataclass
class Master:
    """A grandmaster whose every habit can be changed while it runs."""

    world: World
    clock: bytes = bytes.fromhex("001dc1fffe000001")
    law: Oscillator = field(default_factory=Oscillator)
    domain: int = 0
    priority1: int = 128
    quality: Quality = field(default_factory=lambda: Quality(6, 0x21, 0x4E5D))
    log_sync: int = -3
    log_announce: int = 1
    said_log_announce: int | None = None
    """What its Announces say instead."""
    log_delay: int = 0
    two_step: bool = True
    down: Delay = field(default_factory=lambda: quiet)
    up: Delay = field(default_factory=lambda: quiet)
    residence_ns: float = 0.0
    loss: float = 0.0
    alive: bool = True
    announcing: bool = True
    syncing: bool = True
    following_up: bool = True
    answering: bool = True
    step_ns: int = 0
    sync_sequence: int = 0
    announce_sequence: int = 0
    steps_removed: int = 0
    first_announce_ns: int = 0
    answered: int = 0

    @property
    def identity(self) -> PortIdentity:
        return PortIdentity(self.clock, 1)

    def start(self, at_ns: int = 0) -> Master:
        self.world.at(at_ns + self.first_announce_ns, self._announce)
        self.world.at(at_ns + 60_000_000, self._sync)
        self.world.masters.append(self)
        return self

    def time(self, true_ns: int) -> int:
        return self.law.at(true_ns) + self.step_ns

    def _announce(self) -> None:
        self.world.at(self.world.now + _interval(self.log_announce), self._announce)
        if not (self.alive and self.announcing):
            return
        said = self.log_announce if self.said_log_announce is None else self.said_log_announce
        header = self._header(h.ANNOUNCE, self.announce_sequence, said)
        self.announce_sequence = (self.announce_sequence + 1) & 0xFFFF
        message = Announce(
            header, 37, self.priority1, self.quality, 128, self.clock, self.steps_removed, 0x20
        )
        self._deliver(pack(message), self.world.now + 200_000, None)

    def _sync(self) -> None:
        world = self.world
        jitter = round(world.rng.normal(0, 200_000))
        world.at(world.now + _interval(self.log_sync) + jitter, self._sync)
        if not (self.alive and self.syncing):
            return
        sequence = self.sync_sequence
        self.sync_sequence = (sequence + 1) & 0xFFFF
        departure = world.now
        arrival = departure + round(self.down(world.rng) + self.residence_ns)
        correction = round(self.residence_ns * 65536)
        flags = h.TWO_STEP if self.two_step else 0
        header = self._header(h.SYNC, sequence, self.log_sync, flags, correction)
        origin = 0 if self.two_step else self.time(departure)
        self._deliver(pack(Timed(header, origin)), arrival, arrival)
        if self.two_step and self.following_up:
            follow = self._header(h.FOLLOW_UP, sequence, self.log_sync)
            self._deliver(pack(Timed(follow, self.time(departure))), departure + 300_000, None)

    def asked(self, data: bytes, departure: int) -> None:
        """A Delay_Req of the slave, which left at `departure`."""
        message = parse(data)
        assert isinstance(message, Timed)
        lost = self.world.rng.random() < self.loss
        if not (self.alive and self.answering) or lost or message.header.domain != self.domain:
            return
        arrival = departure + round(self.up(self.world.rng))
        header = self._header(h.DELAY_RESP, message.header.sequence_id, self.log_delay)
        answer = Answer(header, self.time(arrival), message.header.source)
        self.answered += 1
        self._deliver(pack(answer), arrival + 300_000, None)

    def _deliver(self, data: bytes, true_ns: int, stamp_true_ns: int | None) -> None:
        if self.world.rng.random() >= self.loss:
            self.world.at(true_ns, lambda: self.world.arrive(data, stamp_true_ns))

    def _header(
        self, kind: int, sequence: int, log: int, flags: int = 0, correction: int = 0
    ) -> Header:
        return Header(
            kind, self.identity, sequence, self.domain, flags | h.PTP_TIMESCALE, correction, log
        )


class World:
    """The event queue, one clock under test, any number of masters."""

    def __init__(self, seed: int = 1, local: Oscillator | None = None) -> None:
        self.rng = np.random.default_rng(seed)
        self.now = 0
        self.local = local or Oscillator(ppm=-12.0, start_ns=4_411 * NS)
        self.masters: list[Master] = []
        self.errors: list[tuple[int, int]] = []
        self.states: list[tuple[int, str]] = []
        self.transmit_stamps = True
        self.receive_stamps = True
        self.clock: OrdinaryClock | None = None
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, true_ns: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (true_ns, self._count, action))

    def slave(self, domain: int = 0, local_ahead_ns: int = 123 * NS) -> OrdinaryClock:
        """The clock under test: slave-only, its local time off by `local_ahead_ns`."""
        from aes67.ptp.bmca import Role

        config = PortConfig(
            PortIdentity(bytes.fromhex("020000ae67000002"), 1), Role.SLAVE_ONLY, domain
        )
        return self.run_clock(Mode.PTP_SLAVE, config, local_ahead_ns)

    def run_clock(self, mode: Mode, config: PortConfig, ahead_ns: int = 0) -> OrdinaryClock:
        raw_ns = self.local.at(self.now)
        self.clock = OrdinaryClock(
            mode, config, self.rng.random, raw_ns, Line(raw_ns, raw_ns + ahead_ns), None, "sim0"
        )
        return self.clock

    def arrive(self, data: bytes, stamp_true_ns: int | None) -> None:
        """A packet reaches the clock under test."""
        assert self.clock is not None
        stamp = None
        if stamp_true_ns is not None and self.receive_stamps:
            stamp = self.local.at(stamp_true_ns)
        self.clock.receive(data, "10.0.0.1", self.local.at(self.now), stamp)
        self._after()

    def run(self, until_s: float, sample_after_s: float | None = None) -> None:
        """Let the world go on; the media clock's error against masters[0] every 20 ms."""
        assert self.clock is not None
        until = round(until_s * NS)
        sample = self.now if sample_after_s is None else round(sample_after_s * NS)
        while self.now < until:
            raw_now = self.local.at(self.now)
            timer = self.now + max(self.clock.next_deadline() - raw_now, 0)
            event = self._queue[0][0] if self._queue else until
            upcoming = min(timer, event, until, max(sample, self.now))
            self.now = max(upcoming, self.now)
            if sample <= self.now:
                self._sample()
                sample = self.now + 20_000_000
            elif timer <= event and timer <= until:
                self.clock.handle_timer(self.local.at(self.now))
                self._after()
            elif event <= until:
                _, _, action = heapq.heappop(self._queue)
                action()
        self.now = until

    def until_locked(self, limit_s: float) -> float:
        """Let the world go on until the clock is locked, at most so long; `first("locked")`."""
        while self.first("locked") == float("inf") and self.now < limit_s * NS:
            self.run(self.now / NS + 0.1, sample_after_s=1000)
        return self.first("locked")

    def honest(self, looks: int) -> int:
        """At how many of so many looks, a second apart, 3 sigma covers the true error."""
        assert self.clock is not None
        found = 0
        for _ in range(looks):
            self.run(self.now / NS + 1.0, sample_after_s=1000)
            found += abs(self.error()) <= self.clock.mapping.uncertainty_ns
        return found

    def error(self) -> int:
        """Media time minus the first master's time, now."""
        assert self.clock is not None
        raw_ns = self.local.at(self.now)
        return self.clock.mapping.line.at(raw_ns) - self.masters[0].time(self.now)

    def since(self, seconds: float) -> np.ndarray:
        return np.array([e for t, e in self.errors if t >= seconds * NS], dtype=float)

    def rms(self, after_s: float) -> float:
        return float(np.sqrt(np.mean(self.since(after_s) ** 2)))

    def first(self, state: str) -> float:
        """Seconds until a state was entered first; infinite if never."""
        return next((t / NS for t, s in self.states if s == state), float("inf"))

    def _sample(self) -> None:
        if self.masters:
            self.errors.append((self.now, self.error()))

    def _after(self) -> None:
        assert self.clock is not None
        state = self.clock.lock.state.name.lower()
        if not self.states or self.states[-1][1] != state:
            self.states.append((self.now, state))
        for message in self.clock.outgoing():
            self._transmit(message.data, message.event, message.token)

    def _transmit(self, data: bytes, event: bool, token: tuple[int, int]) -> None:
        departure = self.now + 15_000
        if event:
            stamp = self.local.at(departure) if self.transmit_stamps else None
            self.at(departure + 30_000, lambda: self._sent(token, stamp))
        for master in self.masters:
            if data[0] & 0x0F == h.DELAY_REQ:
                self.at(departure, lambda m=master: m.asked(data, departure))  # type: ignore[misc]

    def _sent(self, token: tuple[int, int], stamp: int | None) -> None:
        assert self.clock is not None
        self.clock.sent(token, stamp, self.local.at(self.now))
        self._after()


def _interval(log: int) -> int:
    return round(NS * 2.0**log)
