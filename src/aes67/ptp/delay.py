"""Delay_Req and Delay_Resp (1588 clause 11.3) from the asking side: when to ask, what answers what.

The spacing is random between 0 and twice the interval the master allows (9.5.11.2), so that slaves
do not ask in step; until the clock is locked it is an even 1 to 1.2 times that interval, since each
answer is waited for. Asking begins with the first Sync, before the master has qualified: the path
is then known by the time it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aes67.clock import measurement
from aes67.clock.measurement import Measurement
from aes67.clock.timebase import MS, NS
from aes67.ptp.foreign import interval_ns
from aes67.wire.ptp_header import PortIdentity

PENDING = 8
ANSWERS = 4
"""Masters whose answers to one request are taken: around a handover there may be two."""
FIRST_WITHIN_NS = 50 * MS
EARLY_SPREAD = 0.2
LOG_LIMITS = (-4, 5)
"""Rates beyond these are not followed: 16 a second, one in 32 s."""


@dataclass(slots=True)
class _Request:
    sent_ns: int
    stamp_ns: int | None = None
    answers: dict[PortIdentity, tuple[int, int]] = field(default_factory=dict)


Made = list[tuple[PortIdentity, Measurement]]


class DelayRequests:
    """The requests of one port; `random` returns a number from 0 to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._requests: dict[int, _Request] = {}
        self._sequence = 0
        self._last_ns: int | None = None
        self.log_interval = 0
        self.settled = False
        """The clock is locked."""
        self.next_ns: int | None = None
        self.sent = 0
        self.answered = 0
        self.unanswered = 0
        """Requests since the last answer."""
        self.unstamped = 0
        self.lost = 0
        """Requests that nobody answered while they were remembered."""

    def start(self, now_ns: int) -> None:
        """Begin to ask, soon; nothing if already begun."""
        if self.next_ns is None:
            self.next_ns = now_ns + round(self._random() * FIRST_WITHIN_NS)

    def stop(self) -> None:
        """Ask no more."""
        self.next_ns = None

    def hurry(self) -> None:
        """Ask at the earliest instant the master's interval allows."""
        if self.next_ns is not None and self._last_ns is not None:
            self.next_ns = min(self.next_ns, self._last_ns + interval_ns(self.log_interval))

    def ask(self, now_ns: int) -> int:
        """The sequenceId of a request sent now; sets when the next one is due."""
        sequence = self._sequence
        self._sequence = (sequence + 1) & 0xFFFF
        self._requests[sequence] = _Request(now_ns)
        while len(self._requests) > PENDING:
            self.lost += not self._requests.pop(next(iter(self._requests))).answers
        self._last_ns = now_ns
        self.next_ns = self._spread(now_ns)
        self.sent += 1
        self.unanswered += 1
        return sequence

    def stamped(self, sequence: int, stamp_ns: int | None) -> Made:
        """The transmit stamp of a request (None: it never came); measurements if answered."""
        request = self._requests.get(sequence)
        if request is None:
            return []
        if stamp_ns is None:
            self.unstamped += 1
            del self._requests[sequence]
            return []
        request.stamp_ns = stamp_ns
        made = [
            (master, measurement.delay(stamp_ns, *answer))
            for master, answer in request.answers.items()
        ]
        return [(master, one) for master, one in made if one is not None]

    def answer(
        self,
        master: PortIdentity,
        sequence: int,
        receipt: tuple[int, int],
        log_interval: int,
        now_ns: int,
    ) -> Made:
        """A Delay_Resp to us, `receipt` its time and correction; a measurement once stamped too."""
        request = self._requests.get(sequence)
        if request is None or now_ns - request.sent_ns > NS:
            return []
        if master in request.answers or len(request.answers) >= ANSWERS:
            return []
        self.answered += 1
        self.unanswered = 0
        self._allow(log_interval)
        request.answers[master] = receipt
        if request.stamp_ns is None:
            return []
        made = measurement.delay(request.stamp_ns, *receipt)
        return [] if made is None else [(master, made)]

    def _allow(self, log_interval: int) -> None:
        """Take over the interval a master allows; 0x7F and other nonsense say nothing."""
        if not -16 <= log_interval <= 16:
            return
        low, high = LOG_LIMITS
        log_interval = max(low, min(high, log_interval))
        faster = log_interval < self.log_interval
        self.log_interval = log_interval
        if faster and self.next_ns is not None and self._last_ns is not None:
            self.next_ns = min(self.next_ns, self._spread(self._last_ns))

    def _spread(self, last_ns: int) -> int:
        interval = interval_ns(self.log_interval)
        if not self.settled:
            return last_ns + MS + round((1.0 + EARLY_SPREAD * self._random()) * interval)
        return last_ns + MS + round(2 * self._random() * interval)
