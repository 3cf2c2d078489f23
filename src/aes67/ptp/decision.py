"""The state decision of a clock over all its ports (1588 9.3): one best master, one slave port.

A clock with one port is an ordinary clock, with several a boundary clock: the port that hears the
best master of all follows it, the others pass its time on (M3), or stay silent where another way
to the same grandmaster meets ours (P2). Each port asks for a new decision when something it heard
may change it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from aes67.clock.timebase import TAI_MINUS_UTC_S
from aes67.ptp.bmca import Candidate, PortState, Role, better, candidate, decide, own
from aes67.ptp.foreign import ForeignMaster
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import PortIdentity
from aes67.wire.ptp_messages import TIME_SOURCE_INTERNAL, Announce, Quality, path_trace

TIME_FLAGS = (
    h.LEAP_61 | h.LEAP_59 | h.UTC_OFFSET_VALID | h.PTP_TIMESCALE
    | h.TIME_TRACEABLE | h.FREQUENCY_TRACEABLE
)  # fmt: skip
KEPT_FLAGS = h.PTP_TIMESCALE
"""What stays true of a grandmaster's time when we go on with it ourselves."""


@dataclass(frozen=True, slots=True)
class Parent:
    """What a master port announces: parentDS, timePropertiesDS, stepsRemoved and the path trace."""

    priority1: int
    quality: Quality
    priority2: int
    grandmaster: bytes
    steps_removed: int = 0
    utc_offset: int = TAI_MINUS_UTC_S
    time_source: int = TIME_SOURCE_INTERNAL
    flags: int = h.PTP_TIMESCALE
    path: tuple[bytes, ...] = ()


def passed_on(announce: Announce) -> Parent:
    """What a boundary clock announces of a grandmaster it follows (table 33)."""
    return Parent(
        announce.priority1,
        announce.quality,
        announce.priority2,
        announce.grandmaster,
        announce.steps_removed + 1,
        announce.utc_offset,
        announce.time_source,
        announce.header.flags & TIME_FLAGS,
        path_trace(announce),
    )


class DecidingPort(Protocol):
    """What a decision needs of a port and does to it."""

    @property
    def identity(self) -> PortIdentity: ...
    @property
    def role(self) -> Role: ...
    @property
    def listening(self) -> bool:
        """No announce timeout has passed yet."""
        ...

    def best(self, now_ns: int) -> ForeignMaster | None:
        """Erbest: the best qualified master this port hears."""
        ...

    def enter(
        self, state: PortState, master: ForeignMaster | None, parent: Parent, now_ns: int
    ) -> None:
        """Take the recommended state; `master` is to be followed, `parent` to be announced."""
        ...


class StateDecision:
    """The decision of one clock; `own` is its data set D0."""

    def __init__(self, own: Parent) -> None:
        self.own = own
        self.ports: list[DecidingPort] = []

    def run(self, now_ns: int) -> None:
        """The state decision event (9.2.6.9), on all ports at once."""
        masters = [port.best(now_ns) for port in self.ports]
        offers = [
            candidate(master.announce, port.identity) if master and master.announce else None
            for port, master in zip(self.ports, masters, strict=True)
        ]
        first = _first(offers)
        states = [
            decide(
                port.role,
                self._ours(port),
                offers[number],
                listening=port.listening,
                overall=None if first is None or number == first else offers[first],
            )
            for number, port in enumerate(self.ports)
        ]
        parent = self.own
        for state, master in zip(states, masters, strict=True):
            if state is PortState.UNCALIBRATED and master and master.announce:
                parent = passed_on(master.announce)
        for port, state, master in zip(self.ports, states, masters, strict=True):
            follow = master if state is PortState.UNCALIBRATED else None
            port.enter(state, follow, parent, now_ns)

    def keep_time_of(self, announce: Announce) -> None:
        """We go on with this grandmaster's time: its timescale stays, its traceability does not."""
        flags = announce.header.flags & KEPT_FLAGS
        self.own = replace(self.own, utc_offset=announce.utc_offset, flags=flags)

    def _ours(self, port: DecidingPort) -> Candidate:
        return own(self.own.priority1, self.own.quality, self.own.priority2, port.identity)


def _first(offers: list[Candidate | None]) -> int | None:
    """Index of the best offer (Ebest); None without any."""
    found: int | None = None
    for number, offer in enumerate(offers):
        best = None if found is None else offers[found]
        if offer is not None and (best is None or better(offer, best)):
            found = number
    return found
