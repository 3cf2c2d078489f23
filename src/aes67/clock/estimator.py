"""The estimated time of one master: measurements in, a line with its uncertainty out."""

from __future__ import annotations

import math

import numpy as np

from aes67.clock import bank
from aes67.clock import filter_state as fs
from aes67.clock import kalman as k
from aes67.clock.measurement import DELAY, SYNC, Measurement
from aes67.clock.noise import RING_INTS, ring_sigma
from aes67.clock.timebase import UNKNOWN_NS, Line, rate_to_q40

FLOOR_3_SIGMA_NS = 50


class Estimator:
    """One per foreign master, fed from its first Sync, whether it is selected or not.

    `path_ns` is what is not estimated here but known otherwise (DIRECT measurements): the path
    delay and its standard deviation, for display and for 3 sigma.
    """

    def __init__(self) -> None:
        self.path_ns = (0.0, 0.0)
        self.usable = False
        """The path is known or both directions were measured, so that the offset is known."""
        self.suspects_step = False
        """A few huge residuals in a row: a Delay_Req now would tell a step from a detour."""
        self._ints = np.zeros((bank.FILTERS, fs.INTS), np.int64)
        self._floats = np.zeros((bank.FILTERS, fs.FLOATS), np.float64)
        self._floats[:, fs.WALK] = bank.FREQUENCY_WALKS
        self._evidence = np.zeros(bank.FILTERS, np.float64)
        self._mixture = np.zeros(bank.MIXED, np.float64)
        self._stale = False
        self._predicted = np.zeros(bank.MIXED, np.float64)
        # both are asked for several times between two measurements
        self._line: Line | None = None
        self._sigma: tuple[int, float, int] | None = None

    def add(self, measurement: Measurement) -> bool:
        """Take one measurement in; True when it made out a step of the master or of the path."""
        said = bank.update(
            self._ints,
            self._floats,
            self._evidence,
            measurement.direction,
            measurement.raw_ns,
            measurement.master_ns,
            measurement.fraction,
        )
        self._stale = True
        self._line = None
        self._sigma = None
        self.suspects_step = said & bank.SUSPECTS != 0
        self.usable = said & bank.USABLE != 0
        return said & bank.DID == k.STEPPED

    @property
    def syncs(self) -> int:
        """Sync measurements used."""
        return self._int(fs.SYNCS)

    @property
    def delays(self) -> int:
        """Delay measurements used."""
        return self._int(fs.DELAYS)

    @property
    def first_raw_ns(self) -> int:
        """Instant of the first measurement; 0 before it."""
        return self._int(fs.FIRST_RAW)

    @property
    def last_raw_ns(self) -> int:
        """Instant of the newest measurement; 0 before the first."""
        return self._int(fs.LAST_RAW)

    @property
    def line(self) -> Line:
        """The master's time against CLOCK_MONOTONIC_RAW."""
        if self._line is None:
            offset = round(float(self._mixed[bank.MIXED_OFFSET]))
            rate = rate_to_q40(float(self._mixed[bank.MIXED_FREQUENCY]))
            raw_ns, time_ns = int(self._ints[0, fs.RAW]), int(self._ints[0, fs.TIME])
            self._line = Line(raw_ns, time_ns + offset, rate)
        return self._line

    def three_sigma_ns(self, raw_ns: int) -> int:
        """Predicted 3 sigma of `line` at `raw_ns`; UNKNOWN_NS before both directions are known."""
        if not self.usable:
            return UNKNOWN_NS
        path_sigma = self.path_ns[1]
        if self._sigma is None or self._sigma[:2] != (raw_ns, path_sigma):
            bank.mix(self._ints, self._floats, self._evidence, raw_ns, self._predicted)
            sigma = math.sqrt(self._predicted[bank.MIXED_VARIANCE] + path_sigma**2)
            limited = min(max(round(3.0 * sigma), FLOOR_3_SIGMA_NS), UNKNOWN_NS)
            self._sigma = (raw_ns, path_sigma, limited)
        return self._sigma[2]

    @property
    def rate_ppm(self) -> float:
        """Rate of the master against ours, 10^-6."""
        return float(self._mixed[bank.MIXED_FREQUENCY]) / 1000.0

    @property
    def path_delay_ns(self) -> float:
        """Mean path delay; 0 before the first Delay_Resp, or what is known of it otherwise."""
        return float(self._mixed[bank.MIXED_DELAY]) if self.delays else self.path_ns[0]

    @property
    def residual_ns(self) -> float:
        """What the newest measurement said against the prediction: raw, unfiltered."""
        return self._float(fs.RESIDUAL)

    def jitter_ns(self, direction: int) -> float:
        """Standard deviation of the measurements of SYNC or DELAY; 0 before there are two."""
        assert direction in (SYNC, DELAY)
        start = fs.SYNC_RING if direction == SYNC else fs.DELAY_RING
        ring = self._ints[bank.MIDDLE][start : start + RING_INTS]
        return float(ring_sigma(ring, self._float(fs.FREQUENCY), 0.0, 0))

    @property
    def inflated(self) -> int:
        """Measurements that were far enough off to be weighed down."""
        return self._int(fs.INFLATED)

    @property
    def steps(self) -> int:
        """Steps made out."""
        return self._int(fs.STEPS)

    @property
    def last_step_ns(self) -> float:
        """Size of the newest step of the master's time; 0 if none."""
        return self._float(fs.LAST_STEP)

    @property
    def restlessness(self) -> int:
        """Which filter of the bank the measurements speak for: 0 calm, 3 restless."""
        return int(bank.likeliest(self._evidence))

    @property
    def _mixed(self) -> fs.FloatArray:
        """The weighted estimate at the reference instant, made when it is asked for."""
        if self._stale:
            raw_ns = int(self._ints[0, fs.RAW])
            bank.mix(self._ints, self._floats, self._evidence, raw_ns, self._mixture)
            self._stale = False
        return self._mixture

    def _int(self, index: int) -> int:
        return int(self._ints[bank.MIDDLE, index])

    def _float(self, index: int) -> float:
        return float(self._floats[bank.MIDDLE, index])


def warm() -> None:
    """Compile (or load from the cache) every kernel of the filter."""
    estimator = Estimator()
    for i in range(3):
        estimator.add(Measurement(SYNC, 1_000 + i, 5_000 + i))
        estimator.add(Measurement(DELAY, 1_100 + i, 5_100 + i))
    estimator.three_sigma_ns(2_000)
    _ = estimator.line  # which mixes
    estimator.jitter_ns(SYNC)
