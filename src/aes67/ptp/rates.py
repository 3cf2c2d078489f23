"""Messages per second over the last ten seconds or so, from counters that only grow."""

from __future__ import annotations

from collections import deque

from aes67.clock.timebase import NS

SAMPLE_NS = NS
SAMPLES = 11


class Rates:
    """Keeps a reading of the counters for each of the last ten seconds."""

    def __init__(self) -> None:
        self._readings: deque[tuple[int, dict[int, int]]] = deque(maxlen=SAMPLES)

    def sample(self, now_ns: int, counts: dict[int, int]) -> None:
        """Take a reading if the last one is a second old."""
        if not self._readings or now_ns - self._readings[-1][0] >= SAMPLE_NS:
            self._readings.append((now_ns, dict(counts)))

    def per_second(self, kind: int) -> float:
        """Mean rate of a counter since the oldest reading; 0 before there are two."""
        if len(self._readings) < 2:
            return 0.0
        (start_ns, first), (end_ns, last) = self._readings[0], self._readings[-1]
        return (last.get(kind, 0) - first.get(kind, 0)) * NS / (end_ns - start_ns)
