"""The estimated time of one master: measurements in, a line with its uncertainty out."""

from __future__ import annotations

import numpy as np

from aes67.clock import kalman as k
from aes67.clock.measurement import DELAY, SYNC, Measurement
from aes67.clock.noise import ring_sigma
from aes67.clock.timebase import UNKNOWN_NS, Line, rate_to_q40

FLOOR_3_SIGMA_NS = 50
FREQUENCY_WALK = 10.0
"""ns^2/s^3 (1e-17 s^2/s^3): near the best for software timestamps."""


class Estimator:
    """One per foreign master, fed from its first Sync, whether it is selected or not."""

    def __init__(self) -> None:
        self._ints = np.zeros(k.INTS, np.int64)
        self._floats = np.zeros(k.FLOATS, np.float64)
        self._floats[k.WALK] = FREQUENCY_WALK

    def add(self, measurement: Measurement) -> bool:
        """Take one measurement in; True when it made out a step of the master or of the path."""
        result = k.update(
            self._ints,
            self._floats,
            measurement.direction,
            measurement.raw_ns,
            measurement.master_ns,
            measurement.fraction,
        )
        return bool(result == k.STEPPED)

    @property
    def syncs(self) -> int:
        """Sync measurements used."""
        return int(self._ints[k.SYNCS])

    @property
    def delays(self) -> int:
        """Delay measurements used."""
        return int(self._ints[k.DELAYS])

    @property
    def first_raw_ns(self) -> int:
        """Instant of the first measurement; 0 before it."""
        return int(self._ints[k.FIRST_RAW])

    @property
    def last_raw_ns(self) -> int:
        """Instant of the newest measurement; 0 before the first."""
        return int(self._ints[k.LAST_RAW])

    @property
    def usable(self) -> bool:
        """Both directions were measured, so that the offset is known."""
        return self.syncs > 0 and self.delays > 0

    @property
    def line(self) -> Line:
        """The master's time against CLOCK_MONOTONIC_RAW."""
        return Line(
            int(self._ints[k.RAW]),
            int(self._ints[k.TIME]) + round(float(self._floats[k.OFFSET])),
            rate_to_q40(float(self._floats[k.FREQUENCY])),
        )

    def three_sigma_ns(self, raw_ns: int) -> int:
        """Predicted 3 sigma of `line` at `raw_ns`; UNKNOWN_NS before both directions are known."""
        if not self.usable:
            return UNKNOWN_NS
        sigma = k.sigma_at(self._ints, self._floats, raw_ns)
        return min(max(round(3.0 * sigma), FLOOR_3_SIGMA_NS), UNKNOWN_NS)

    @property
    def rate_ppm(self) -> float:
        """Rate of the master against ours, 10^-6."""
        return float(self._floats[k.FREQUENCY]) / 1000.0

    @property
    def path_delay_ns(self) -> float:
        """Mean path delay; 0 before the first Delay_Resp."""
        return float(self._floats[k.PATH_DELAY])

    @property
    def residual_ns(self) -> float:
        """What the newest measurement said against the prediction: raw, unfiltered."""
        return float(self._floats[k.RESIDUAL])

    def jitter_ns(self, direction: int) -> float:
        """Standard deviation of the measurements of SYNC or DELAY; 0 before there are two."""
        assert direction in (SYNC, DELAY)
        start = k.SYNC_RING if direction == SYNC else k.DELAY_RING
        end = k.DELAY_RING if direction == SYNC else k.INTS
        return float(ring_sigma(self._ints[start:end], float(self._floats[k.FREQUENCY]), 0.0))

    @property
    def inflated(self) -> int:
        """Measurements that were far enough off to be weighed down."""
        return int(self._ints[k.INFLATED])

    @property
    def steps(self) -> int:
        """Steps made out."""
        return int(self._ints[k.STEPS])

    @property
    def last_step_ns(self) -> float:
        """Size of the newest step of the master's time; 0 if none."""
        return float(self._floats[k.LAST_STEP])

    @property
    def suspects_step(self) -> bool:
        """A few huge residuals in a row: a Delay_Req now would tell a step from a detour."""
        return bool(self._ints[k.RUN_SYNC] >= k.STEP_RUN // 2) or bool(self._ints[k.VERIFY])


def warm() -> None:
    """Compile (or load from the cache) every kernel of the filter."""
    estimator = Estimator()
    for i in range(3):
        estimator.add(Measurement(SYNC, 1_000 + i, 5_000 + i))
        estimator.add(Measurement(DELAY, 1_100 + i, 5_100 + i))
    estimator.three_sigma_ns(2_000)
    estimator.jitter_ns(SYNC)
