"""The clock page as the engine's ordinary threads write it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MediaRecord:
    """Record 1 of `shm.layout.CLOCK`: CLOCK_MONOTONIC_RAW to media time; fields as named there."""

    raw_ns: int
    media_ns: int
    rate_q40: int
    epoch: int
    state: int
    uncertainty_ns: int
    session_epoch: int
