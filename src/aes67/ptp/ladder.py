"""The timestamp ladder: the best kind of stamp that really comes, one kind at a time.

Kinds must not be mixed: a stamp taken in userspace is tens of microseconds off one of the kernel's,
the same way each time. So a missing stamp costs its measurement, five of them within 10 s a rung;
after a minute without a miss the better rung is tried again.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum

from aes67.clock.timebase import NS

MISSES = 5
MISS_WINDOW_NS = 10 * NS
RETRY_NS = 60 * NS
RETRY_STAMPS = 5


class Rung(IntEnum):
    """From best to worst; `words` is what a user reads."""

    KERNEL = 0
    KERNEL_RECEIVE = 1
    USERSPACE = 2

    @property
    def words(self) -> str:
        """For status."""
        return ("kernel", "kernel, receive only", "userspace")[self]


class _Side:
    """One direction: whether its kernel stamps come."""

    def __init__(self) -> None:
        self.good = True
        self.missed = 0
        self._misses: deque[int] = deque(maxlen=MISSES)
        self._since_ns = 0
        self._stamps = 0

    def note(self, present: bool, now_ns: int) -> bool:
        """Note one packet; True when `good` changed."""
        if not present:
            self.missed += 1
            self._misses.append(now_ns)
            self._since_ns = now_ns
            self._stamps = 0
            full = len(self._misses) == MISSES
            if self.good and full and now_ns - self._misses[0] <= MISS_WINDOW_NS:
                self.good = False
                return True
            return False
        self._stamps += 1
        waited = now_ns - self._since_ns >= RETRY_NS
        if not self.good and waited and self._stamps >= RETRY_STAMPS:
            self.good = True
            self._misses.clear()
            return True
        return False


class Ladder:
    """Which stamps to use, decided by which ones come."""

    def __init__(self) -> None:
        self.changes = 0
        self._receive = _Side()
        self._transmit = _Side()

    @property
    def rung(self) -> Rung:
        """The rung in force."""
        if not self._receive.good:
            return Rung.USERSPACE
        return Rung.KERNEL if self._transmit.good else Rung.KERNEL_RECEIVE

    @property
    def receive_missed(self) -> int:
        """Event messages that came without a stamp, ever."""
        return self._receive.missed

    @property
    def transmit_missed(self) -> int:
        """Event messages whose transmit stamp never came, ever."""
        return self._transmit.missed

    def received(self, present: bool, now_ns: int) -> None:
        """An event message came, with or without a kernel stamp."""
        self.changes += self._receive.note(present, now_ns)

    def transmitted(self, present: bool, now_ns: int) -> None:
        """The kernel's stamp of an event message came, or its time passed."""
        self.changes += self._transmit.note(present, now_ns)
