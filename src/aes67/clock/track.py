"""The line through the readings of a clock that shows its time without noise worth the name.

A clock of this machine needs no filter against queues but one that follows at once: whoever
disciplines it changes its rate by hundreds of ppm between two readings, or steps it. So the line is
a plain regression over the last second, and two readings in a row that it did not foresee begin a
new one.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from aes67.clock.timebase import NS, UNKNOWN_NS, US, Line, rate_to_q40

WINDOW = 16
SURPRISE_NS = US
WANDER_PPB = 100.0
"""How fast the line becomes uncertain without readings: two crystals over a minute."""
FLOOR_3_SIGMA_NS = 50


class Track:
    """Follows readings; looks like an `Estimator` to those who show it."""

    def __init__(self) -> None:
        self.line = Line(0, 0)
        self.first_raw_ns = 0
        self.residual_ns = 0.0
        self.steps = 0
        self.last_step_ns = 0.0
        self.inflated = 0
        """Readings that surprised and were not borne out by the next."""
        self.path_delay_ns = 0.0
        self._window: deque[tuple[int, int]] = deque(maxlen=WINDOW)
        self._errors: deque[int] = deque(maxlen=WINDOW)
        self._surprise: tuple[int, int] | None = None

    @property
    def usable(self) -> bool:
        """Time and rate are known."""
        return len(self._window) > 1

    @property
    def last_raw_ns(self) -> int:
        """Instant of the newest reading that was believed; 0 before the first."""
        return self._window[-1][0] if self._window else 0

    @property
    def rate_ppm(self) -> float:
        """Rate against CLOCK_MONOTONIC_RAW, 10^-6."""
        return self.line.rate_q40 * 1e6 / (1 << 40)

    def add(self, raw_ns: int, time_ns: int, width_ns: int) -> bool:
        """Take a reading in; True when it bears out that the clock was stepped or its rate set."""
        if not self._window:
            self.first_raw_ns = raw_ns
        elif raw_ns <= self._window[-1][0]:
            return False
        error = time_ns - self.line.at(raw_ns)
        self.residual_ns = float(error)
        if self.usable and abs(error) > max(SURPRISE_NS, width_ns):
            if self._surprise is None:
                self._surprise = (raw_ns, time_ns)
                return False
            self._window.clear()
            self._window.append(self._surprise)
            self._surprise = None
            self._window.append((raw_ns, time_ns))
            self.steps += 1
            self.last_step_ns = float(error)
            self._fit()
            return True
        if self._surprise is not None:
            self._surprise = None
            self.inflated += 1
        if self.usable:
            self._errors.append(abs(error))
        self._window.append((raw_ns, time_ns))
        self._fit()
        return False

    def three_sigma_ns(self, raw_ns: int) -> int:
        """What the line may be off at `raw_ns`; UNKNOWN_NS before the second reading."""
        if not self.usable:
            return UNKNOWN_NS
        age_s = max(raw_ns - self._window[-1][0], 0) / NS
        typical = median(self._errors) if self._errors else SURPRISE_NS
        return max(round(3.0 * (typical + WANDER_PPB * age_s)), FLOOR_3_SIGMA_NS)

    def jitter_ns(self, direction: int) -> float:
        """Typical error of a prediction, whatever the direction."""
        return float(median(self._errors)) if self._errors else 0.0

    def _fit(self) -> None:
        """Least squares over the window, its times relative to the newest reading."""
        last_raw, last_time = self._window[-1]
        points = [
            (float(raw - last_raw), float((time - last_time) - (raw - last_raw)))
            for raw, time in self._window
        ]
        count = len(points)
        mean_x = sum(x for x, _ in points) / count
        mean_y = sum(y for _, y in points) / count
        spread = sum((x - mean_x) ** 2 for x, _ in points)
        slope = 0.0
        if spread:
            slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
        offset = mean_y - slope * mean_x
        self.line = Line(last_raw, last_time + round(offset), rate_to_q40(slope * 1e9))
