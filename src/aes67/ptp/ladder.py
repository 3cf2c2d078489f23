"""The timestamp ladder: the best kind of stamp that really comes, one kind at a time.

Kinds must not be mixed: a stamp taken in userspace is tens of microseconds off one of the kernel's,
and that some off one of the card's, the same way each time. So a missing stamp costs its
measurement, five of them within 10 s a rung; after a minute without a miss the better rung is tried
again.
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

    HARDWARE = 0
    KERNEL = 1
    KERNEL_RECEIVE = 2
    USERSPACE = 3

    @property
    def words(self) -> str:
        """For status."""
        return ("hardware", "kernel", "kernel, receive only", "userspace")[self]


class _Side:
    """One direction: whether its kernel stamps come."""

    def __init__(self) -> None:
        self.good = True
        self.missed = 0
        self._misses: deque[int] = deque(maxlen=MISSES)
        self._since_ns = 0
        self._stamps = 0

    def note(self, present: bool, now_ns: int) -> None:
        """Note one packet."""
        if not present:
            self.missed += 1
            self._misses.append(now_ns)
            self._since_ns = now_ns
            self._stamps = 0
            full = len(self._misses) == MISSES
            if self.good and full and now_ns - self._misses[0] <= MISS_WINDOW_NS:
                self.good = False
            return
        self._stamps += 1
        waited = now_ns - self._since_ns >= RETRY_NS
        if not self.good and waited and self._stamps >= RETRY_STAMPS:
            self.begin_anew()

    def begin_anew(self) -> None:
        """What was missed says nothing any more."""
        self.good = True
        self._misses.clear()


class Ladder:
    """Which stamps to use, decided by which ones come.

    The network card's are counted by themselves, and only while `card`: it stamps, and its clock's
    time is known. They are asked for together with the kernel's, so those are there at once.
    """

    def __init__(self) -> None:
        self.rung = Rung.KERNEL
        """The rung in force."""
        self.changes = 0
        self.card = False
        self._receive = _Side()
        self._transmit = _Side()
        self._card_receive = _Side()
        self._card_transmit = _Side()

    def _choose(self) -> None:
        """Stand on the best rung whose stamps come."""
        rung = self._best()
        if rung is not self.rung:
            self.rung = rung
            self.changes += 1

    def _best(self) -> Rung:
        if self.card and self._card_receive.good and self._card_transmit.good:
            return Rung.HARDWARE
        if not self._receive.good:
            return Rung.USERSPACE
        return Rung.KERNEL if self._transmit.good else Rung.KERNEL_RECEIVE

    @property
    def receive_missed(self) -> int:
        """Event messages that came without a stamp of the kernel, ever."""
        return self._receive.missed

    @property
    def transmit_missed(self) -> int:
        """Event messages whose transmit stamp of the kernel never came, ever."""
        return self._transmit.missed

    @property
    def card_missed(self) -> int:
        """Stamps of the card that did not come, ever."""
        return self._card_receive.missed + self._card_transmit.missed

    def use_card(self, usable: bool) -> None:
        """Whether the card's stamps can be used at all at the moment."""
        if usable is not self.card:
            self.card = usable
            self._choose()

    def link_back(self) -> None:
        """The link is there again: what was sent without one was never stamped, whoever stamps."""
        self._transmit.begin_anew()
        self._card_transmit.begin_anew()
        self._choose()

    def received(self, present: bool, now_ns: int, card: bool | None = None) -> None:
        """An event message came, with or without a stamp of the kernel, and of the card.

        `card` is None where none is expected.
        """
        self._note(self._receive, present, self._card_receive, card, now_ns)

    def transmitted(self, present: bool, now_ns: int, card: bool | None = None) -> None:
        """The kernel's stamp of an event message came, or its time passed; the same of the card."""
        self._note(self._transmit, present, self._card_transmit, card, now_ns)

    def _note(
        self, kernel: _Side, present: bool, side: _Side, card: bool | None, now_ns: int
    ) -> None:
        kernel.note(present, now_ns)
        if card is not None:
            side.note(card, now_ns)
        self._choose()
