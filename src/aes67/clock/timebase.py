"""Lines that map CLOCK_MONOTONIC_RAW to another timescale, exact in integers.

`rate_q40` is a difference from 1 in units of 2^-40 (0.9e-12), so 64-bit products hold for spans of
more than 10 s at 500 ppm, as the readers of the clock page need; Python integers have no bound.
"""

from __future__ import annotations

from dataclasses import dataclass

NS = 1_000_000_000
MS = 1_000_000
US = 1_000
RATE_BITS = 40
TAI_MINUS_UTC_S = 37
"""Since 2017-01-01; only the free-running grandmaster and a clock before its first lock use it."""

UNKNOWN_NS = 2**63 - 1
"""An uncertainty nobody knows."""


@dataclass(frozen=True, slots=True)
class Line:
    """`time_ns` at `raw_ns`, and the rate of time against CLOCK_MONOTONIC_RAW."""

    raw_ns: int
    time_ns: int
    rate_q40: int = 0

    def at(self, raw_ns: int) -> int:
        """Time in ns at `raw_ns`, before or after the reference; rounded down."""
        span = raw_ns - self.raw_ns
        return self.time_ns + span + (span * self.rate_q40 >> RATE_BITS)

    def raw_at(self, time_ns: int) -> int:
        """CLOCK_MONOTONIC_RAW at which `at` reaches `time_ns`, within 1 ns."""
        span = time_ns - self.time_ns
        return self.raw_ns + (span << RATE_BITS) // ((1 << RATE_BITS) + self.rate_q40)

    def moved_to(self, raw_ns: int) -> Line:
        """The same line with another reference instant."""
        return Line(raw_ns, self.at(raw_ns), self.rate_q40)


def rate_to_q40(ppb: float) -> int:
    """A rate difference in 10^-9 as `rate_q40`, to the nearest."""
    return round(ppb * 1e-9 * (1 << RATE_BITS))


def rate_to_ppm(rate_q40: int) -> float:
    """`rate_q40` in 10^-6."""
    return rate_q40 * 1e6 / (1 << RATE_BITS)
