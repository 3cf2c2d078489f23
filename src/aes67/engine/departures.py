"""Event messages on their way out of one PTP port: which transmit stamp is whose, and is it coming.

The kernel and the network card stamp a message each in its own time, or not at all. The listener
gets one stamp of each message, that of the rung the port stands on, or is told that there is none;
the ladder gets to know of both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aes67.clock.timebase import MS
from aes67.net.timestamping import Departed, Sent, StampedSocket, raw_now
from aes67.ptp.ladder import Ladder, Rung

STAMP_TIMEOUT_NS = 20 * MS
STAMPED_RUNGS = (Rung.HARDWARE, Rung.KERNEL)
"""On which a transmit stamp has to be waited for."""

Tell = Callable[[tuple[int, int], int | None, int], None]
"""Takes a message's token, its stamp (CLOCK_MONOTONIC_RAW, None: none came), and the time now."""


@dataclass(slots=True)
class _Waiting:
    """An event message that has been sent: which of its stamps have come."""

    token: tuple[int, int]
    until_ns: int
    kernel: bool = False
    card: bool = False
    told: bool = False
    """The listener has what it gets."""


class Departures:
    """Messages whose transmit stamps are waited for.

    Args:
        socket: that sends the event messages and gives their stamps.
        ladder: of the port.
        card_stamp: the card's stamp and the time now to CLOCK_MONOTONIC_RAW; None if it is no use.
        tell: the listener.
    """

    def __init__(
        self,
        socket: StampedSocket,
        ladder: Ladder,
        card_stamp: Callable[[int, int], int | None],
        tell: Tell,
    ) -> None:
        self._socket = socket
        self._ladder = ladder
        self._card_stamp = card_stamp
        self._tell = tell
        self._waiting: dict[int, _Waiting] = {}

    @property
    def waiting(self) -> bool:
        """Whether a stamp is waited for."""
        return bool(self._waiting)

    def add(self, sent: Sent, token: tuple[int, int]) -> None:
        """A message has just been sent; without anybody else's stamp it is stamped here."""
        waiting = _Waiting(token, sent.after_ns + STAMP_TIMEOUT_NS)
        self._waiting[sent.id] = waiting
        if self._ladder.rung not in STAMPED_RUNGS:
            waiting.told = True
            self._tell(token, (sent.before_ns + sent.after_ns) // 2, sent.after_ns)

    def take(self, *, every: bool = False, steady: bool | None = None) -> None:
        """Read stamps until no message waits for one; with `every`, until there are no more.

        `steady` is what `CrossClock.renew` has just said; None: it is asked for each stamp.
        """
        while every or self._waiting:
            departed = self._socket.transmit_stamps(1, steady=steady)
            if not departed:
                break
            self._departed(departed[0])

    def handle_timer(self, now_ns: int) -> None:
        """Give up the stamps that have not come in time."""
        for number, waiting in list(self._waiting.items()):
            if now_ns >= waiting.until_ns:
                del self._waiting[number]
                self._settle(waiting, now_ns)

    def deadlines(self) -> list[int]:
        """When each is given up."""
        return [waiting.until_ns for waiting in self._waiting.values()]

    def forget(self) -> None:
        """Nobody waits any more for the stamps of what was sent."""
        self._waiting.clear()

    def _departed(self, departed: Departed) -> None:
        waiting = self._waiting.get(departed.id)
        if waiting is None:
            return  # given up already, or of a message whose stamp is of no interest
        now_ns = raw_now()
        if departed.hardware_ns is not None:
            stamp_ns = self._card_stamp(departed.hardware_ns, now_ns)
            waiting.card = stamp_ns is not None
            mine = self._ladder.rung is Rung.HARDWARE
        else:
            stamp_ns = departed.stamp_ns
            waiting.kernel = True
            mine = self._ladder.rung is Rung.KERNEL
        if mine and not waiting.told:
            waiting.told = True
            self._tell(waiting.token, stamp_ns, now_ns)
        if waiting.kernel and (waiting.card or not self._ladder.card):
            del self._waiting[departed.id]
            self._settle(waiting, now_ns)

    def _settle(self, waiting: _Waiting, now_ns: int) -> None:
        """All stamps of a message have come, or their time is over."""
        card = waiting.card if self._ladder.card else None
        self._ladder.transmitted(waiting.kernel, now_ns, card)
        if not waiting.told and self._ladder.rung in STAMPED_RUNGS:
            waiting.told = True
            self._tell(waiting.token, None, now_ns)
