"""The two small arrays that are the state of one filter: which element is what.

`ints` holds the reference instant, counters and the remembered measurements; `floats` the state
(offset, frequency, path delay in ns, ns/s, ns), its covariance, and what was seen last.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes67.clock.noise import RING_INTS

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

STEP_RUN_ANY = 24
"""Huge residuals in a row that are taken for a step even when they do not agree."""

# ints
RAW = 0
TIME = 1
"""Master's time at RAW, integer part."""
SYNCS = 2
DELAYS = 3
INFLATED = 4
STEPS = 5
IGNORED = 6
LAST_RAW = 7
FIRST_RAW = 8
RUN_SYNC = 9
RUN_DELAY = 10
VERIFY = 11
"""A step was seen in Syncs alone: the next Delay_Resp says whether it was the path's."""
REPLAYED = 12
"""1: the start is over, measurements are used once."""
STEP_RAW = 13
"""Instant of the newest step."""
NO_PATH = 14
"""1: Syncs come with the path delay taken out already (direction 0); 0: with it."""
FINE_SYNCS = 15
"""Syncs that were as predicted since the run of huge Delays began."""
SYNC_RING = 16
DELAY_RING = SYNC_RING + RING_INTS
INTS = DELAY_RING + RING_INTS

# floats
OFFSET = 0
FREQUENCY = 1
PATH_DELAY = 2
P00 = 3
P01 = 4
P02 = 5
P11 = 6
P12 = 7
P22 = 8
SIGMA_SYNC = 9
SIGMA_DELAY = 10
RESIDUAL = 11
LAST_STEP = 12
LAST_STEP_DELAY = 13
WALK = 14
"""Random walk of the frequency, ns^2/s^3: set by the owner (1e-17 s^2/s^3 is 10 here)."""
SPREAD = 15
"""Variance that was expected of RESIDUAL."""
SYNC_RUN_RESIDUALS = 16
DELAY_RUN_RESIDUALS = SYNC_RUN_RESIDUALS + STEP_RUN_ANY
FLOATS = DELAY_RUN_RESIDUALS + STEP_RUN_ANY
