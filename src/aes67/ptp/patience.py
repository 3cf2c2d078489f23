"""How long a slave that has locked lets packets wait: stamps say when they came.

What that costs in accuracy, and what it spares, is in docs/decisions/0013.
"""

from __future__ import annotations

from collections.abc import Sequence

from aes67.clock.timebase import MS, US
from aes67.ptp.foreign import ForeignMaster
from aes67.ptp.port import Port

PATIENT_NS = 200 * MS
CALM_NS = 400 * MS
RESTLESS = 3
"""`restlessness` of a master whose rate changes."""
RESIDUAL_NS = 20 * US
"""As long as the media clock has more to catch up with, it looks at every measurement at once."""
CALM_PART = 4
"""What is found to catch up with is little below this part of 3 sigma."""
CALM_ABOVE_NS = 300
"""With less uncertainty stamps are so precise that each look tells something."""
CALM_RESTLESSNESS = 1
"""Of a master whose rate keeps still, or of whom too little is known to say."""


def patience_ns(
    followed: ForeignMaster, residual_ns: int, now_ns: int, ports: Sequence[Port]
) -> int:
    """How long packets may wait from this look on; 0: they may not.

    Args:
        followed: the master that the media clock is locked to.
        residual_ns: what the media clock has to catch up with.
        now_ns: CLOCK_MONOTONIC_RAW.
        ports: of the clock.
    """
    estimator = followed.estimator
    residual_ns, restlessness = abs(residual_ns), estimator.restlessness
    if (
        residual_ns > RESIDUAL_NS
        or estimator.suspects_step
        or restlessness >= RESTLESS
        or not all(port.patient for port in ports)
    ):
        return 0
    sigma_ns = estimator.three_sigma_ns(now_ns)
    intervals = min(port.config.announce_receipt_timeout for port in ports)
    calm = (
        sigma_ns >= CALM_ABOVE_NS
        and residual_ns * CALM_PART <= sigma_ns
        and restlessness <= CALM_RESTLESSNESS
        and intervals * followed.announce_interval_ns > 2 * CALM_NS
    )
    return CALM_NS if calm else PATIENT_NS
