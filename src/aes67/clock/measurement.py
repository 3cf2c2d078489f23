"""One measurement of a master's clock: an instant here and the time it had there."""

from __future__ import annotations

from typing import NamedTuple

SYNC = -1
"""Master to us: the path delay makes the master's time look early."""
DELAY = 1
"""Us to master: the path delay makes it look late. Also the sign of the delay in the equation."""

DIRECT = 0
"""The path is known and taken out: a Sync of a peer delay profile, or a clock read directly."""

SCALED_BITS = 16
"""Fractional bits of a correctionField."""

LIMIT_NS = 2**62
"""Times of 146 years and more from the epoch are refused: int64 arithmetic stays safe."""


class Measurement(NamedTuple):
    """`master_ns` (+ `fraction` of a ns) in the master's timescale, `raw_ns` in ours.

    `direction` is SYNC, DELAY or DIRECT. Corrections are already applied: added to a Sync's time,
    subtracted from a Delay_Resp's.
    """

    direction: int
    raw_ns: int
    master_ns: int
    fraction: float = 0.0


def sync(raw_ns: int, origin_ns: int, correction: int) -> Measurement | None:
    """A Sync received at `raw_ns` and sent at `origin_ns`; None if the times are absurd.

    `correction` is the sum of the correctionFields of Sync and Follow_Up (11.2).
    """
    return _checked(SYNC, raw_ns, origin_ns, correction)


def delay(raw_ns: int, receipt_ns: int, correction: int) -> Measurement | None:
    """A Delay_Req sent at `raw_ns` that the master received at `receipt_ns` (11.3)."""
    return _checked(DELAY, raw_ns, receipt_ns, -correction)


def direct(raw_ns: int, time_ns: int, correction: int = 0) -> Measurement | None:
    """A clock that showed `time_ns` at `raw_ns`; `correction` (2^-16 ns) holds the path delay."""
    return _checked(DIRECT, raw_ns, time_ns, correction)


def _checked(direction: int, raw_ns: int, master_ns: int, correction: int) -> Measurement | None:
    whole, rest = divmod(correction, 1 << SCALED_BITS)
    time_ns = master_ns + whole
    if not 0 <= time_ns < LIMIT_NS:
        return None
    return Measurement(direction, raw_ns, time_ns, rest / (1 << SCALED_BITS))
