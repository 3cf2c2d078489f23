"""Unlocked, locking, locked, holdover: decided by the estimated 3 sigma, always with a reason.

Limits: locked below 5 us (a quarter of a sample at 48 kHz), unlocked only above 20 us (one sample).
Between them a clock keeps the state it has, so noise does not make it flap. A lock needs 2 s of
measurements, counted from the first one of the master (the estimator is fed before the master
qualifies), the last of them below the limit. When messages stop, a locked clock runs on as
`holdover` on its last rate until the *predicted* 3 sigma passes 20 us, some minutes later.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from aes67.clock.timebase import MS, NS, US


class State(IntEnum):
    """The numbers of the clock page."""

    UNLOCKED = 0
    LOCKING = 1
    LOCKED = 2
    HOLDOVER = 3


LOCK_BELOW_NS = 5 * US
UNLOCK_ABOVE_NS = 20 * US
OBSERVE_NS = 1_800 * MS
"""Shortest time from the first measurement to the lock: 2 s less the timers' grain."""
STEADY_NS = 10 * MS
"""How long 3 sigma must have been below the limit without a break: with one Sync a second the third
one, 2 s after the first, is to lock."""
RATE_LIMIT_PPM = 500.0
"""A master further off than this is not believed (1588 allows 100)."""


class Sight(NamedTuple):
    """What is seen of the selected master at one instant.

    `missing` says why there is nothing to lock to, `silent` why a master we had is no longer
    heard (both empty: all is well); `jump_ns` is by how much the master's time differs from the
    media clock when that is too much to slew, else 0, and `jumped` how that comes; `doubt` is why 3
    sigma may have grown.
    """

    now_ns: int
    three_sigma_ns: int
    first_data_ns: int = 0
    missing: str = ""
    silent: str = ""
    rate_ppm: float = 0.0
    jump_ns: int = 0
    jumped: str = "the time jumped by"
    doubt: str = "measurements disagree"


class Lock:
    """State and reason of one clock domain."""

    def __init__(self, now_ns: int) -> None:
        self.state = State.UNLOCKED
        self.reason = "the clock has just been started"
        self.since_ns = now_ns
        self.ever_locked = False
        self.changes = 0
        self._spent = dict.fromkeys(State, 0)
        self._begin_ns = 0
        self._below_ns: int | None = None

    def update(self, sight: Sight) -> bool:
        """Look again; True when the state changed."""
        if self.state in (State.LOCKED, State.HOLDOVER):
            state, reason = self._keep(sight)
        else:
            state, reason = self._acquire(sight)
        return self.become(state, reason, sight.now_ns)

    def become(self, state: State, reason: str, now_ns: int) -> bool:
        """Enter `state`; True when it is another one. The reason may change without that."""
        self.reason = reason
        if state == self.state:
            return False
        self._spent[self.state] += now_ns - self.since_ns
        if state == State.UNLOCKED:
            self._begin_ns = now_ns
            self._below_ns = None
        if state == State.LOCKED:
            self.ever_locked = True
        self.state = state
        self.since_ns = now_ns
        self.changes += 1
        return True

    def start_over(self, now_ns: int, reason: str) -> bool:
        """Give up what was known, as after a step of the master."""
        changed = self.become(State.UNLOCKED, reason, now_ns)
        self._begin_ns = now_ns
        self._below_ns = None
        return changed

    def seconds_in(self, now_ns: int) -> dict[str, float]:
        """Time spent in each state so far, by name."""
        spent = dict(self._spent)
        spent[self.state] += now_ns - self.since_ns
        return {state.name.lower(): ns / NS for state, ns in spent.items()}

    def _keep(self, sight: Sight) -> tuple[State, str]:
        if sight.jump_ns:
            return State.UNLOCKED, f"{sight.jumped} {in_words(sight.jump_ns)}"
        if sight.three_sigma_ns > UNLOCK_ABOVE_NS:
            why = sight.silent or sight.missing or sight.doubt
            return State.UNLOCKED, f"{why}; 3 sigma is {in_words(sight.three_sigma_ns)}"
        if sight.silent or sight.missing:
            return State.HOLDOVER, f"{sight.silent or sight.missing}; running on the last rate"
        return State.LOCKED, f"3 sigma {in_words(sight.three_sigma_ns)}"

    def _acquire(self, sight: Sight) -> tuple[State, str]:
        if sight.missing or sight.silent:
            self._below_ns = None
            self._begin_ns = sight.now_ns if sight.silent else self._begin_ns
            return State.UNLOCKED, sight.missing or sight.silent
        if abs(sight.rate_ppm) > RATE_LIMIT_PPM:
            self._below_ns = None
            return State.LOCKING, f"the master's rate is {sight.rate_ppm:+.0f} ppm off ours"
        if sight.three_sigma_ns >= LOCK_BELOW_NS:
            self._below_ns = None
            words = in_words(sight.three_sigma_ns)
            return State.LOCKING, f"3 sigma {words}, to lock it must be below 5 us"
        if self._below_ns is None:
            self._below_ns = sight.now_ns
        observed = sight.now_ns - max(sight.first_data_ns, self._begin_ns)
        if observed < OBSERVE_NS or sight.now_ns - self._below_ns < STEADY_NS:
            return State.LOCKING, f"3 sigma {in_words(sight.three_sigma_ns)}, watching it for 2 s"
        return State.LOCKED, f"3 sigma {in_words(sight.three_sigma_ns)}"

    def next_deadline(self, now_ns: int) -> int | None:
        """When looking again may lock although nothing arrives; None: no such instant."""
        if self.state != State.LOCKING or self._below_ns is None:
            return None
        return max(now_ns + 10 * MS, self._below_ns + STEADY_NS)


def in_words(ns: int) -> str:
    """A duration with a unit a reader takes in at once."""
    size = abs(ns)
    if size >= 2**62:
        return "unknown"
    for unit, scale in (("s", NS), ("ms", MS), ("us", US)):
        if size >= scale - scale // 2000:  # 999.7 ms is 1 s in three digits, and not 1e+03 ms
            return f"{ns / scale:.3g} {unit}" if size < 1000 * scale else f"{ns // scale} {unit}"
    return f"{ns} ns"
