"""Peer delay (802.1AS 11.2.19, 11.2.20): how far the neighbour is, how fast its clock runs, and
whether it speaks 802.1AS at all (asCapable). Our local clock here is CLOCK_MONOTONIC_RAW.

Without a valid answer nothing else is sent or believed: that is what keeps gPTP from being spoken
through a switch that knows nothing of it.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field

from aes67.clock.timebase import MS, NS
from aes67.ptp.foreign import interval_ns
from aes67.wire.ptp_header import PortIdentity, dashed
from aes67.wire.ptp_messages import Answer

PENDING = 4
LOST_LIMIT = 9
"""allowedLostResponses (11.2.13.4)."""
REPEATED_LIMIT = 3
SUSPENDED_NS = 300 * NS
"""Requests answered by more than one neighbour, so many in a row, end the asking (11.2.17.2.2)."""
WINDOW = 16
RATE_LIMIT_PPM = 250.0
"""Two clocks of 802.1AS differ by 200 ppm at most; the rest is noise of stamps."""
BREAK_PPM = 1_000.0
"""An exchange that says more than this: the neighbour's clock, or ours, was set."""
BREAK_FLOOR_NS = 20_000
LIMIT_HARDWARE_NS = 800
"""meanLinkDelayThresh for copper (table 11-1): for stamps taken at the wire."""
LIMIT_SOFTWARE_NS = MS
"""For stamps that the kernel or we take: they hold queues and interrupts as well."""
SCALED = 65_536


@dataclass(slots=True)
class _Exchange:
    """One request; times in ns, t1 and t4 of ours, t2 and t3 of the neighbour."""

    sent_ns: int
    t1: int | None = None
    t2: int = 0
    t3: int = 0
    t4: int | None = None
    correction: int = 0
    responder: PortIdentity | None = None
    followed: bool = False
    repeated: bool = False
    done: bool = False
    t3_correction: int = 0


@dataclass(slots=True)
class _History:
    """What exchanges with one neighbour said."""

    delays: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    points: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def add(self, t4: int, ahead: int, ratio_ppm: float) -> None:
        """`ahead`: the neighbour's t3 minus our t4, which is its clock but for the delay."""
        if self.points:
            last, before = self.points[-1]
            moved = ahead - before - ratio_ppm * 1e-6 * (t4 - last)
            if abs(moved) > max(BREAK_FLOOR_NS, BREAK_PPM * 1e-6 * (t4 - last)):
                self.points.clear()
        self.points.append((t4, ahead))

    @property
    def slope_ppm(self) -> float | None:
        """Median slope of all pairs (Theil and Sen): a late exchange here and there is nothing."""
        points = list(self.points)
        slopes = [
            (b[1] - a[1]) / (b[0] - a[0]) * 1e6
            for i, a in enumerate(points)
            for b in points[i + 1 :]
            if b[0] > a[0]
        ]
        return statistics.median(slopes) if slopes else None


class PeerDelay:
    """The asking side of one port.

    Args:
        identity: of our port.
        log_interval: base-2 logarithm of seconds between requests.
        limit_ns: mean link delay from which on the neighbour is none of ours.
    """

    def __init__(self, identity: PortIdentity, log_interval: int, limit_ns: int) -> None:
        self.identity = identity
        self.log_interval = log_interval
        self.limit_ns = limit_ns
        self.next_ns: int | None = None
        self.neighbor: PortIdentity | None = None
        self.sent = 0
        self.answered = 0
        self.unstamped = 0
        self.lost = 0
        """Requests in a row without a complete answer."""
        self.suspended_ns: int | None = None
        self.delay_ns: float | None = None
        """Median of the last exchanges; None before the first."""
        self.delay_sigma_ns = 0.0
        """Standard deviation of `delay_ns`."""
        self.rate_ppm: float | None = None
        """Neighbour's rate against ours (neighborRateRatio - 1); None before the second."""
        self._exchanges: dict[int, _Exchange] = {}
        self._history = _History()
        self._sequence = 0
        self._repeated = 0

    # -- messages

    def start(self, now_ns: int) -> None:
        """Ask from now on."""
        if self.next_ns is None:
            self.next_ns = now_ns

    def due(self, now_ns: int) -> int | None:
        """The sequenceId of the request whose time has come; None before."""
        if self.next_ns is None or now_ns < self.next_ns:
            return None
        if self.suspended_ns is not None:
            self.suspended_ns = None
            self._repeated = 0
        self._judge_last()
        if self.suspended_ns is not None:
            self.next_ns = now_ns + SUSPENDED_NS
            return None
        interval = interval_ns(self.log_interval)
        self.next_ns += interval * ((now_ns - self.next_ns) // interval + 1)
        sequence = self._sequence
        self._sequence = (sequence + 1) & 0xFFFF
        self._exchanges[sequence] = _Exchange(now_ns)
        while len(self._exchanges) > PENDING:
            del self._exchanges[next(iter(self._exchanges))]
        self.sent += 1
        return sequence

    def stamped(self, sequence: int, stamp_ns: int | None) -> None:
        """The transmit stamp of a request; None: it never came."""
        exchange = self._exchanges.get(sequence)
        if exchange is None:
            return
        if stamp_ns is None:
            self.unstamped += 1
            return
        exchange.t1 = stamp_ns
        self._complete(exchange)

    def response(self, answer: Answer, stamp_ns: int | None) -> None:
        """A Pdelay_Resp to us, with its receive stamp."""
        exchange = self._exchanges.get(answer.header.sequence_id)
        if exchange is None:
            return
        source = answer.header.source
        if exchange.responder is not None:
            exchange.repeated = True
            return
        exchange.responder = source
        if stamp_ns is None:
            self.unstamped += 1
            return
        exchange.t2 = answer.time_ns
        exchange.t4 = stamp_ns
        exchange.correction += answer.header.correction
        if not answer.header.two_step:
            # one-step: correctionField holds t3 - t2, and no time of the neighbour is known
            exchange.t3 = exchange.t2
            exchange.followed = True
        self._complete(exchange)

    def follow_up(self, answer: Answer) -> None:
        """A Pdelay_Resp_Follow_Up to us."""
        exchange = self._exchanges.get(answer.header.sequence_id)
        if exchange is None or exchange.followed:
            return
        if exchange.responder not in (None, answer.header.source):
            return
        exchange.t3 = answer.time_ns
        exchange.t3_correction = answer.header.correction
        exchange.correction += answer.header.correction
        exchange.followed = True
        self._complete(exchange)

    # -- results

    @property
    def as_capable(self) -> bool:
        """asCapableAcrossDomains (11.2.2)."""
        return not self.objection

    @property
    def objection(self) -> str:
        """Why the neighbour is not asCapable, in words; empty: it is."""
        if self.suspended_ns is not None:
            return "several devices answer Pdelay_Req: there is a switch without 802.1AS between"
        if self.neighbor is None or self.delay_ns is None:
            return self._no_exchange()
        name = dashed(self.neighbor.clock)
        if self.lost > LOST_LIMIT:
            return f"{name} has not answered the last {self.lost} Pdelay_Req"
        if self.rate_ppm is None:
            return f"measuring the rate of {name}"
        if abs(self.rate_ppm) > RATE_LIMIT_PPM:
            return f"the clock of {name} is {self.rate_ppm:+.0f} ppm off ours"
        if abs(self.delay_ns) > self.limit_ns:
            delay = f"{self.delay_ns / 1000:.1f} us"
            return f"the link delay to {name} is {delay}, more than {self.limit_ns / 1000:g} us"
        return ""

    def _no_exchange(self) -> str:
        if self.unstamped and not self.answered:
            return "no timestamps for the peer delay messages"
        if self.sent > 1:
            return f"no neighbour answers Pdelay_Req ({self.sent} sent)"
        return "asking the neighbour for its delay"

    # -- inside

    def _judge_last(self) -> None:
        """When the next request is due the last one is answered, or lost."""
        last = self._exchanges.get((self._sequence - 1) & 0xFFFF)
        if last is None:
            return
        if last.repeated:
            self._repeated += 1
            if self._repeated >= REPEATED_LIMIT:
                self.suspended_ns = last.sent_ns
                self._forget()
                self._exchanges.clear()
            return
        self._repeated = 0
        if last.responder is None or not last.followed:
            self.lost += 1
            if self.lost > LOST_LIMIT and self._history.delays:
                self._history = _History()  # what comes back later is measured anew

    def _complete(self, exchange: _Exchange) -> None:
        if exchange.done or exchange.t1 is None or exchange.t4 is None or not exchange.followed:
            return
        exchange.done = True
        responder = exchange.responder
        assert responder is not None
        if responder != self.neighbor:
            self._forget()
            self.neighbor = responder
        self.answered += 1
        self.lost = 0
        turnaround = exchange.t3 - exchange.t2 + exchange.correction / SCALED
        if exchange.t3 != exchange.t2:
            ahead = exchange.t3 - exchange.t4 + exchange.t3_correction // SCALED
            self._history.add(exchange.t4, ahead, self.rate_ppm or 0.0)
            self.rate_ppm = self._history.slope_ppm
        ratio = 1.0 + (self.rate_ppm or 0.0) * 1e-6
        delay = ((exchange.t4 - exchange.t1) * ratio - turnaround) / 2.0
        if abs(delay) > NS:
            return  # the clock was set in the middle of it
        self._history.delays.append(delay)
        self._settle()

    def _settle(self) -> None:
        delays = self._history.delays
        self.delay_ns = statistics.median(delays)
        spread = statistics.median(abs(each - self.delay_ns) for each in delays)
        # the deviation of a median of n is 1.25 sigma / sqrt(n); one exchange alone may be late
        prior = abs(self.delay_ns) if len(delays) < 3 else 0.0
        self.delay_sigma_ns = 1.25 * (1.4826 * spread + prior) / len(delays) ** 0.5

    def _forget(self) -> None:
        self.neighbor = None
        self.delay_ns = None
        self.rate_ppm = None
        self._history = _History()
