"""Foreign masters (1588 clause 9.3.2.4): who is heard, who qualifies, and what each one measured.

The table is bounded, and a flood of made-up identities cannot keep a real master out of it: once it
is full, only who is heard a second time comes in, for one that was not, or for the worst of all if
the newcomer is better (9.3.4). A master in use always stays.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from aes67.clock import measurement
from aes67.clock.estimator import Estimator
from aes67.clock.measurement import Measurement
from aes67.clock.timebase import NS
from aes67.ptp.bmca import Candidate, better, candidate
from aes67.wire.ptp_header import PortIdentity
from aes67.wire.ptp_messages import Announce

CAPACITY = 16
WAITING = 1024
"""Identities remembered, by name only, while the table is full."""
THRESHOLD = 2
"""FOREIGN_MASTER_THRESHOLD: Announces that qualify."""
WINDOW_INTERVALS = 4
"""FOREIGN_MASTER_TIME_WINDOW."""
PENDING = 64
"""Syncs waiting for a Follow_Up, and the reverse, kept at a time: a slave that lets packets wait
(`ptp.patience`) reads all Syncs before the first Follow_Up, at most 128 a second for 0.4 s."""
LOG_LIMITS = (-7, 7)
WAITING_NS = 10 * NS
"""Four Announce intervals of the default profile, and some to spare."""
NOWHERE = PortIdentity(bytes(8), 0)
"""Stands for our own port where only what masters offer is compared."""


def interval_ns(log_interval: int, default: int = 0) -> int:
    """2^log seconds; a value no profile knows (also 0x7F, "none") counts as `default`."""
    low, high = LOG_LIMITS
    log = log_interval if low <= log_interval <= high else default
    return (NS << log) if log >= 0 else NS >> -log


@dataclass(slots=True)
class Tally:
    """Messages of one kind from one master: how many, gaps of the sequence, repetitions."""

    count: int = 0
    lost: int = 0
    repeated: int = 0
    last_sequence: int | None = None
    last_ns: int = 0

    def take(self, sequence: int, now_ns: int) -> None:
        """Count one message; a jump of more than 1000 is a restart, no loss."""
        if self.last_sequence is not None:
            ahead = (sequence - self.last_sequence) & 0xFFFF
            if ahead == 0:
                self.repeated += 1
            elif ahead <= 1000:
                self.lost += ahead - 1
        self.count += 1
        self.last_sequence = sequence
        self.last_ns = now_ns


@dataclass(slots=True)
class ForeignMaster:
    """One sender of Announce or Sync in our domain."""

    identity: PortIdentity
    first_ns: int
    returning: bool = False
    """It had been heard before it got this record."""
    announce: Announce | None = None
    source: str = ""
    announce_times: deque[int] = field(default_factory=lambda: deque(maxlen=THRESHOLD))
    announces: Tally = field(default_factory=Tally)
    syncs: Tally = field(default_factory=Tally)
    follow_ups: Tally = field(default_factory=Tally)
    delay_responses: int = 0
    unstamped: int = 0
    absurd: int = 0
    two_step: bool = False
    unfollowed: int = 0
    """Two-step Syncs in a row that no Follow_Up completed."""
    sync_log: int = 0
    measured_ns: int = 0
    """When a Sync of it was measured last."""
    estimator: Estimator = field(default_factory=Estimator)
    _syncs: dict[int, tuple[int, int]] = field(default_factory=dict)
    _follow_ups: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def announce_interval_ns(self) -> int:
        """As the master's own header says."""
        log = self.announce.header.log_interval if self.announce else 1
        return interval_ns(log, 1)

    @property
    def sync_interval_ns(self) -> int:
        """As the master's own header says."""
        return interval_ns(self.sync_log)

    @property
    def proven(self) -> bool:
        """It was heard more than once: no name made up for a single packet."""
        heard = self.announces.count + self.syncs.count + self.follow_ups.count
        return self.returning or heard > 1

    @property
    def last_ns(self) -> int:
        """When it was heard last."""
        return max(self.announces.last_ns, self.syncs.last_ns, self.first_ns)

    def announced(self, announce: Announce, now_ns: int) -> None:
        """Note an Announce."""
        sequence = announce.header.sequence_id
        if self.announce is not None and sequence == self.announces.last_sequence:
            self.announces.repeated += 1
            self.announces.last_ns = now_ns
            return  # the same one twice does not qualify anybody
        self.announces.take(sequence, now_ns)
        self.announce = announce
        self.announce_times.append(now_ns)

    def qualified(self, now_ns: int) -> bool:
        """Two Announces within four intervals."""
        window = WINDOW_INTERVALS * self.announce_interval_ns
        return (
            len(self.announce_times) == THRESHOLD and now_ns - self.announce_times[0] <= window
        )

    def timed_out(self, now_ns: int, receipt_timeout: int) -> bool:
        """No Announce for `receipt_timeout` of its intervals."""
        if not self.announce_times:
            return True
        return now_ns - self.announce_times[-1] > receipt_timeout * self.announce_interval_ns

    def synced(
        self, sequence: int, stamp_ns: int, origin_ns: int, correction: int, *, two_step: bool
    ) -> Measurement | None:
        """A Sync with its receive stamp; the measurement if that completes one."""
        self.two_step = two_step
        if not two_step:
            self.unfollowed = 0
            return self._measured(stamp_ns, origin_ns, correction)
        _forget_others(self._follow_ups, sequence)
        follow_up = self._follow_ups.pop(sequence, None)
        if follow_up is None:
            self.unfollowed += 1
            _bounded_put(self._syncs, sequence, (stamp_ns, correction))
            return None
        self.unfollowed = 0
        origin_ns, added = follow_up
        return self._measured(stamp_ns, origin_ns, correction + added)

    def followed_up(self, sequence: int, origin_ns: int, correction: int) -> Measurement | None:
        """A Follow_Up; the measurement if its Sync is there already."""
        _forget_others(self._syncs, sequence)
        sync = self._syncs.pop(sequence, None)
        if sync is None:
            _bounded_put(self._follow_ups, sequence, (origin_ns, correction))
            return None
        self.unfollowed = 0
        stamp_ns, added = sync
        return self._measured(stamp_ns, origin_ns, correction + added)

    def _measured(self, stamp_ns: int, origin_ns: int, correction: int) -> Measurement | None:
        made = measurement.sync(stamp_ns, origin_ns, correction)
        if made is None:
            self.absurd += 1
        return made


def _forget_others(pending: dict[int, tuple[int, int]], sequence: int) -> None:
    """Drop what waits since long ago: the sequence numbers come again (11.2: the same exchange)."""
    for other in [each for each in pending if (sequence - each + PENDING) & 0xFFFF > 2 * PENDING]:
        del pending[other]


def _bounded_put(
    pending: dict[int, tuple[int, int]], sequence: int, value: tuple[int, int]
) -> None:
    pending[sequence] = value
    while len(pending) > PENDING:
        del pending[next(iter(pending))]


class ForeignTable:
    """At most CAPACITY foreign masters."""

    def __init__(self) -> None:
        self.masters: dict[PortIdentity, ForeignMaster] = {}
        self.pinned: ForeignMaster | None = None
        """The master whose time is followed, which need not be the selected one: it stays."""
        self.evicted = 0
        self._waiting: dict[PortIdentity, int] = {}

    def find(self, identity: PortIdentity) -> ForeignMaster | None:
        """The record of `identity`, if there is one."""
        return self.masters.get(identity)

    def record(
        self,
        identity: PortIdentity,
        now_ns: int,
        keep: ForeignMaster | None,
        announce: Announce | None = None,
    ) -> ForeignMaster | None:
        """The record of `identity`, made if need be; None when all others are worth more.

        `announce` is what it is heard with, None for a Sync or Follow_Up.
        """
        known = self.masters.get(identity)
        if known is not None:
            return known
        returning = False
        if len(self.masters) >= CAPACITY:
            returning = self._heard_again(identity, now_ns)
            victim = self._victim(now_ns, keep, announce, returning)
            if victim is None:
                return None
            del self.masters[victim.identity]
            self.evicted += 1
        made = ForeignMaster(identity, now_ns, returning)
        self.masters[identity] = made
        return made

    def best(
        self, now_ns: int, receiver: PortIdentity, held: ForeignMaster | None
    ) -> ForeignMaster | None:
        """The best qualified one (9.3.3), `held` counting as qualified; None without any."""
        winner: ForeignMaster | None = None
        offer: Candidate | None = None
        for master in self.masters.values():
            if master.announce is None or not (master is held or master.qualified(now_ns)):
                continue
            other = candidate(master.announce, receiver)
            if offer is None or better(other, offer):
                winner, offer = master, other
        return winner

    def forget_older(self, before_ns: int, keep: ForeignMaster | None) -> None:
        """Drop the records of masters that were last heard before `before_ns`."""
        for identity, master in list(self.masters.items()):
            in_use = master is keep or master is self.pinned
            if not in_use and master.last_ns < before_ns:
                del self.masters[identity]

    def _heard_again(self, identity: PortIdentity, now_ns: int) -> bool:
        """Whether an identity without a record was heard a short time ago; from now on it was."""
        before_ns = self._waiting.pop(identity, None)
        self._waiting[identity] = now_ns
        if len(self._waiting) > WAITING:
            del self._waiting[next(iter(self._waiting))]
        return before_ns is not None and now_ns - before_ns <= WAITING_NS

    def _victim(
        self,
        now_ns: int,
        keep: ForeignMaster | None,
        announce: Announce | None,
        returning: bool,
    ) -> ForeignMaster | None:
        """Who makes room: the silent, the unproven, those without Announce, the worst."""
        others = [m for m in self.masters.values() if m is not keep and m is not self.pinned]
        silent = [m for m in others if now_ns - m.last_ns > WAITING_NS]
        if silent or not returning:
            return min(silent, key=_last_ns, default=None)
        unproven = [m for m in others if not m.proven] or [
            m for m in others if m.announce is None and announce is not None
        ]
        if unproven or announce is None:
            return min(unproven, key=_last_ns, default=None)
        worst: tuple[ForeignMaster, Candidate] | None = None
        for master in others:
            assert master.announce is not None
            offer = candidate(master.announce, NOWHERE)
            if worst is None or better(worst[1], offer):
                worst = master, offer
        if worst is None or not better(candidate(announce, NOWHERE), worst[1]):
            return None
        return worst[0]


def _last_ns(master: ForeignMaster) -> int:
    return master.last_ns
