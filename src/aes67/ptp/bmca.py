"""IEEE 1588-2019 clause 9.3: which of two clocks is better, and what our port becomes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aes67.wire.ptp_header import PortIdentity
from aes67.wire.ptp_messages import Announce, Quality


class PortState(Enum):
    """Table 20, without the states this clock never enters (DISABLED)."""

    INITIALIZING = "initializing"
    FAULTY = "faulty"
    LISTENING = "listening"
    PRE_MASTER = "pre-master"
    MASTER = "master"
    PASSIVE = "passive"
    UNCALIBRATED = "uncalibrated"
    SLAVE = "slave"


class Role(Enum):
    """What a port may become."""

    ORDINARY = "ordinary"
    SLAVE_ONLY = "slave-only"
    MASTER_ONLY = "master-only"


@dataclass(frozen=True, slots=True)
class Candidate:
    """The data sets compared (9.3.4): a grandmaster, the way to it, and who told whom."""

    priority1: int
    quality: Quality
    priority2: int
    grandmaster: bytes
    steps_removed: int
    sender: PortIdentity
    receiver: PortIdentity


def candidate(announce: Announce, receiver: PortIdentity) -> Candidate:
    """What an Announce received on our port `receiver` offers."""
    return Candidate(
        announce.priority1,
        announce.quality,
        announce.priority2,
        announce.grandmaster,
        announce.steps_removed,
        announce.header.source,
        receiver,
    )


def own(
    priority1: int, quality: Quality, priority2: int, identity: PortIdentity
) -> Candidate:
    """D0: our own clock as a candidate."""
    return Candidate(priority1, quality, priority2, identity.clock, 0, identity, identity)


def _rank(c: Candidate) -> tuple[int, int, int, int, int, bytes]:
    return (
        c.priority1,
        c.quality.clock_class,
        c.quality.accuracy,
        c.quality.variance,
        c.priority2,
        c.grandmaster,
    )


def better(a: Candidate, b: Candidate) -> bool:
    """Whether `a` is better than `b`, by grandmaster or by topology (figures 34 and 35).

    Two views of one grandmaster: fewer steps wins; then the sender's identity, unless one of the
    paths leads through the receiver itself.
    """
    if a.grandmaster != b.grandmaster:
        return _rank(a) < _rank(b)
    if abs(a.steps_removed - b.steps_removed) > 1:
        return a.steps_removed < b.steps_removed
    if a.steps_removed != b.steps_removed:
        longer, shorter_is_a = (b, True) if a.steps_removed < b.steps_removed else (a, False)
        if longer.receiver.clock == longer.sender.clock:
            return False
        return shorter_is_a
    if a.sender != b.sender:
        return a.sender < b.sender
    return a.receiver.port < b.receiver.port


def decide(
    role: Role,
    ours: Candidate,
    best: Candidate | None,
    *,
    listening: bool,
    overall: Candidate | None = None,
) -> PortState:
    """The recommended state of one port (figure 33).

    UNCALIBRATED stands for UNCALIBRATED or SLAVE, PRE_MASTER for PRE_MASTER or MASTER.

    Args:
        role: what the port may become.
        ours: our own clock (D0).
        best: the best this port hears (Erbest), None: nobody.
        listening: no announce timeout has passed yet.
        overall: the best of all ports (Ebest) if that is heard on another one, else None.
    """
    if role is Role.MASTER_ONLY:
        return PortState.PRE_MASTER
    if role is Role.SLAVE_ONLY:
        if best is None:
            return PortState.LISTENING
        return PortState.UNCALIBRATED if overall is None else PortState.PASSIVE
    if best is None and listening:
        return PortState.LISTENING
    # 1..127: a clock that is itself a reference goes passive rather than follow (M1, P1)
    if ours.quality.clock_class <= 127:
        leads = best is None or better(ours, best)
        return PortState.PRE_MASTER if leads else PortState.PASSIVE
    ebest = overall or best
    if ebest is None or better(ours, ebest):
        return PortState.PRE_MASTER  # M2
    if overall is None:
        return PortState.UNCALIBRATED  # S1
    if best is not None and only_by_topology(overall, best):
        return PortState.PASSIVE  # P2: another way to the same grandmaster, which meets ours here
    return PortState.PRE_MASTER  # M3: pass it on


def only_by_topology(a: Candidate, b: Candidate) -> bool:
    """Whether `a`, which is better than `b`, is so "by topology" only (figure 35)."""
    if a.grandmaster != b.grandmaster or abs(a.steps_removed - b.steps_removed) > 1:
        return False
    if a.steps_removed == b.steps_removed:
        return True
    longer = b if a.steps_removed < b.steps_removed else a
    return longer.receiver > longer.sender
