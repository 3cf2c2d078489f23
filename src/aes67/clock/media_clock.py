"""The media clock: what streams and applications run on. The estimate may step, this may not.

Differences below 1 ms are slewed at 50 ppm at most, larger ones are a declared discontinuity: a new
epoch, which every stream and PCM sees. Before the first lock it runs on the local clock.
"""

from __future__ import annotations

from aes67.clock.timebase import MS, RATE_BITS, Line, rate_to_q40

STEP_NS = MS
SLEW_PPB = 50_000.0
SETTLE_NS = 300 * MS
"""Time constant of small corrections; three times the distance of updates of who is not patient."""
RATE_LIMIT_Q40 = (600 << RATE_BITS) // 1_000_000
"""Readers multiply rate and span in 64 bits: 600 ppm leave room for 12 s."""


class MediaClock:
    """A line that is continuous within an `epoch`.

    `session_epoch` counts the discontinuities that came after the first lock.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        self.epoch = 0
        self.session_epoch = 0
        self.residual_ns = 0
        self.locked_once = False
        self._fraction = 0
        self._rate_q40 = line.rate_q40

    def error_ns(self, now_ns: int, target: Line) -> int:
        """How far `target` is ahead of the media clock."""
        return target.at(now_ns) - self.line.at(now_ns)

    def follow(
        self, now_ns: int, target: Line, *, step_ns: int = STEP_NS, settle_ns: int = SETTLE_NS
    ) -> bool:
        """Steer towards `target` from `now_ns` on; True when that was a discontinuity.

        Args:
            now_ns: CLOCK_MONOTONIC_RAW, not before the call before.
            target: where media time should be.
            step_ns: from this difference on it jumps.
            settle_ns: time constant of small corrections.
        """
        error = self.error_ns(now_ns, target)
        self._rate_q40 = _limited(target.rate_q40)
        if abs(error) >= step_ns:
            self.line = Line(now_ns, target.at(now_ns), self._rate_q40)
            self._fraction = 0
            self.residual_ns = 0
            self.epoch += 1
            if self.locked_once:
                self.session_epoch += 1
            return True
        ppb = max(-SLEW_PPB, min(SLEW_PPB, error * (1e9 / settle_ns)))
        rate = _limited(target.rate_q40 + rate_to_q40(ppb))
        self.line = Line(now_ns, self._advance(now_ns), rate)
        self.residual_ns = error
        return False

    def coast(self, now_ns: int) -> None:
        """Go on at the rate of what was followed last, and stop slewing."""
        self.line = Line(now_ns, self._advance(now_ns), self._rate_q40)
        self.residual_ns = 0

    def _advance(self, now_ns: int) -> int:
        """Time at `now_ns`; what is less than 1 ns is kept for the next time, so nothing drifts."""
        span = now_ns - self.line.raw_ns
        gained = span * self.line.rate_q40 + self._fraction
        self._fraction = gained & ((1 << RATE_BITS) - 1)
        return self.line.time_ns + span + (gained >> RATE_BITS)

    def locked(self) -> None:
        """From now on a discontinuity is one to streams that were heard."""
        self.locked_once = True


def _limited(rate_q40: int) -> int:
    return max(-RATE_LIMIT_Q40, min(RATE_LIMIT_Q40, rate_q40))
