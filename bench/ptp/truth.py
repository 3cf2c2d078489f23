"""What time it really was: laws of virtual oscillators, and how far a clock was from one.

All errors are true ones. Nobody's own opinion of itself is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
Errors = npt.NDArray[np.float64]
NS = 1_000_000_000
GRID_NS = 20_000_000
PPM = 30.0
"""Rate of the masters' oscillator."""
HOLD_S = 5.0
"""A limit counts as reached when it is kept for so long."""
SETTLED_NS = 1_000_000
PASSAGE_NS = 3_000_000
"""A packet takes less than this from stamp to stamp."""
ENOUGH_S = 10


@dataclass(frozen=True)
class Law:
    """An oscillator against the machine's CLOCK_REALTIME, as `virtual_clock.c` has it."""

    zero_ns: int
    offset_ns: int = 0
    ppm: float = 0.0
    sine_ns: float = 0.0
    sine_s: float = 0.0
    step_ns: int = 0
    step_after_s: float = 0.0

    def environment(self) -> dict[str, str]:
        """For `virtual_clock.c`."""
        return {
            "VCLOCK_ZERO_NS": str(self.zero_ns), "VCLOCK_OFFSET_NS": str(self.offset_ns),
            "VCLOCK_PPM": repr(self.ppm), "VCLOCK_SINE_NS": repr(self.sine_ns),
            "VCLOCK_SINE_S": repr(self.sine_s), "VCLOCK_STEP_NS": str(self.step_ns),
            "VCLOCK_STEP_AFTER_S": repr(self.step_after_s),
        }  # fmt: skip

    def at(self, real_ns: Times) -> Times:
        """Its time at instants of CLOCK_REALTIME."""
        since = (real_ns - self.zero_ns).astype(np.float64)
        drift = self.ppm * 1e-6 * since
        if self.sine_s:
            drift += self.sine_ns * np.sin(2 * np.pi * since * 1e-9 / self.sine_s)
        stepped = real_ns >= self.zero_ns + int(self.step_after_s * NS)
        found: Times = real_ns + self.offset_ns + np.rint(drift).astype(np.int64)
        found += stepped * self.step_ns
        return found


def drifting(zero_ns: int, step_ns: int = 0, step_after_s: float = 0.0) -> Law:
    """The master's oscillator of the benchmarks."""
    return Law(zero_ns, 123 * NS, PPM, 500.0, 50.0, step_ns, step_after_s)


def disciplined(law: Law, log: Path, real_ns: Times) -> Times:
    """Time of a clock on `law` that its program disciplined, by the segments in its log."""
    rows = [line.split() for line in log.read_text(encoding="ascii").splitlines()]
    start = np.array([int(row[0]) for row in rows], dtype=np.int64)
    value = np.array([int(row[1]) for row in rows], dtype=np.int64)
    rate = np.array([float(row[2]) for row in rows])
    which = np.maximum(np.searchsorted(start, real_ns, side="right") - 1, 0)
    gained = law.at(real_ns) - law.at(start)[which]
    found: Times = value[which] + gained + np.rint(rate[which] * gained).astype(np.int64)
    return found


def passages(sender: Path, receiver: Path) -> Times:
    """(departure, how long it took) of each packet, by the stamps two programs wrote down."""
    left, came = _stamps(sender, "tx"), _stamps(receiver, "rx")
    took = came - left[np.maximum(np.searchsorted(left, came) - 1, 0)]
    which = (took > 0) & (took < PASSAGE_NS)
    return np.column_stack((came - took, took))[which]


def _stamps(path: Path, kind: str) -> Times:
    rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    return np.sort(np.array([int(row[2]) for row in rows if row[0] == kind], dtype=np.int64))


class Recording:
    """What `bench.ptp.ours` wrote: every published line, every estimate, and readings of clocks."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as found:
            self.published: Times = found["published"]
            self.estimated: Times = found["estimated"]
            self.measured: Times = found["measured"]
            self.readings: Times = found["readings"]
            names, values = found["names"].tolist(), found["values"].tolist()
            self.facts: dict[str, float] = dict(zip(names, values, strict=True))

    def raw_at(self, real_ns: Times) -> Times:
        """CLOCK_MONOTONIC_RAW at instants of CLOCK_REALTIME: straight lines between readings."""
        raw, real = self.readings[:, 0], self.readings[:, 1]
        ahead = (real - raw) - (real[0] - raw[0])
        since = np.interp((real_ns - real[0]).astype(np.float64), real - real[0], ahead)
        found: Times = real_ns - (real[0] - raw[0]) - np.rint(since).astype(np.int64)
        return found

    def real_at(self, raw_ns: int) -> int:
        """CLOCK_REALTIME at an instant of CLOCK_MONOTONIC_RAW."""
        return int(self.real_of(np.array([raw_ns], dtype=np.int64))[0])

    def real_of(self, raw_ns: Times) -> Times:
        """CLOCK_REALTIME at instants of CLOCK_MONOTONIC_RAW."""
        guess = raw_ns + (self.readings[0, 1] - self.readings[0, 0])
        found: Times = guess - (self.raw_at(guess) - raw_ns)
        return found

    def passages(self, law: Law) -> tuple[Times, Times]:
        """(instant, how long it truly took) of each packet from the master, and to it."""
        direction, raw, master = self.measured[:, 0], self.measured[:, 1], self.measured[:, 2]
        real = self.real_of(raw)
        took = direction * (master - law.at(real))
        both = np.column_stack((real, took))
        return both[direction < 0], both[direction > 0]

    def media(self, real_ns: Times) -> Times:
        """Published media time at instants: always the newest line published before."""
        return _along(self.published, self.raw_at(real_ns))

    def estimate(self, real_ns: Times) -> Times:
        """The estimator's time at instants, not slewed."""
        return _along(self.estimated, self.raw_at(real_ns))

    def states(self, after_real_ns: int = 0) -> list[int]:
        """States published since then, changes only."""
        raw = self.published[:, 0]
        since = self.raw_at(np.array([after_real_ns]))[0] if after_real_ns else raw[0]
        seen = self.published[raw >= since, 3]
        return [int(s) for i, s in enumerate(seen) if i == 0 or s != seen[i - 1]]

    def entered(self, state: int) -> int:
        """CLOCK_REALTIME at which a state was published first; 0: never."""
        rows = self.published[self.published[:, 3] == state]
        return self.real_at(int(rows[0, 0])) if len(rows) else 0


def _along(lines: Times, raw_ns: Times) -> Times:
    """Lines of (raw, time, rate in 2^-40), each valid from its raw on."""
    which = np.maximum(np.searchsorted(lines[:, 0], raw_ns, side="right") - 1, 0)
    span = raw_ns - lines[which, 0]
    rate = lines[which, 2] / float(1 << 40)
    found: Times = lines[which, 1] + span + np.rint(span * rate).astype(np.int64)
    return found


def grid(start_ns: int, end_ns: int) -> Times:
    """Instants 20 ms apart."""
    return np.arange(start_ns, end_ns, GRID_NS, dtype=np.int64)


def settled(errors: Errors | Times) -> int:
    """Index from which on a slave has long converged: all the rest is below 1 ms, and 5 s more.

    Raises:
        RuntimeError: less than 10 s of it is left.
    """
    bad = np.flatnonzero(np.abs(errors) >= SETTLED_NS)
    start = (int(bad[-1]) + 1 if len(bad) else 0) + round(HOLD_S * NS / GRID_NS)
    if len(errors) - start < ENOUGH_S * NS / GRID_NS:
        raise RuntimeError(f"did not converge in time; at the end {errors[-1:]} ns off")
    return start


def rms(errors: Errors | Times) -> float:
    """Root of the mean square, ns."""
    return float(np.sqrt(np.mean(np.square(errors.astype(np.float64)))))


def percentile(errors: Errors | Times, share: float) -> float:
    """Of the absolute errors, ns."""
    return float(np.percentile(np.abs(errors), share))


def reached(errors: Errors | Times, limit_ns: float, hold_s: float = HOLD_S) -> float:
    """Seconds from the grid's start until |error| is below the limit for `hold_s`; inf: never."""
    hold = round(hold_s * NS / GRID_NS)
    bad = np.flatnonzero(np.abs(errors) >= limit_ns)
    start = 0
    for index in [*bad.tolist(), len(errors)]:
        if index - start >= hold:
            return start * GRID_NS / NS
        start = index + 1
    return float("inf")
