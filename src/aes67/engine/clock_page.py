"""The clock page from the engine's side: the timekeeper publishes media time, readers take it.

This file writes the first record only; the second one (the heartbeat) is the tick's own, but for
the values that make the page valid before the first tick.
"""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from aes67.engine.atomics import begin_write, copy_locked, end_write
from aes67.engine.wiring import MEDIA_WORDS
from aes67.jit import kernel
from aes67.shm.layout import CLOCK, CLOCK_MAGIC, CLOCK_UNLOCKED, VERSION_MAJOR, VERSION_MINOR
from aes67.shm.region import Region

MEDIA_SEQ = CLOCK.offset("media_seq") // 8
UNKNOWN_NS = 2**63 - 1
TAI_MINUS_UTC_NS = 37_000_000_000
"""Since 2017; what media time is guessed from before any PTP."""
_TRIES = 1000


@dataclass(frozen=True)
class MediaRecord:
    """One line of CLOCK_MONOTONIC_RAW to media time.

    Attributes:
        raw_ns, media_ns: one instant on both clocks.
        rate_q40: d media / d raw - 1 in 2^-40.
        epoch: bumped at every discontinuity.
        state: CLOCK_UNLOCKED, _LOCKING, _LOCKED or _HOLDOVER.
        uncertainty_ns: 3 sigma of the line, UNKNOWN_NS while nobody knows.
        session_epoch: discontinuities since the first lock.
    """

    raw_ns: int
    media_ns: int
    rate_q40: int
    epoch: int
    state: int
    uncertainty_ns: int = UNKNOWN_NS
    session_epoch: int = 0


@kernel
def _publish(words: Any, record: Any) -> None:
    odd = begin_write(words, MEDIA_SEQ)
    for i in range(record.shape[0]):
        words[MEDIA_SEQ + 1 + i] = record[i]
    end_write(words, MEDIA_SEQ, odd)


@kernel
def _read(copy: Any, words: Any) -> bool:
    return bool(copy_locked(copy, words, MEDIA_SEQ, _TRIES))


class ClockPage:
    """The page behind `region`, which this process may write."""

    def __init__(self, region: Region, generation: int) -> None:
        """Make the page valid at once, on the local clock (TAI taken as CLOCK_REALTIME + 37 s)."""
        header = region.view(CLOCK)[0]
        header["magic"] = CLOCK_MAGIC
        header["major"] = VERSION_MAJOR
        header["minor"] = VERSION_MINOR
        header["generation"] = generation
        self.words: np.ndarray[Any, Any] = np.frombuffer(region.map, dtype="<i8")
        raw_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        header["mono_ns"] = time.monotonic_ns()
        header["mono_raw_ns"] = raw_ns
        header["tick_ns"] = 250_000
        self.publish_media(
            MediaRecord(raw_ns, time.time_ns() + TAI_MINUS_UTC_NS, 0, 1, CLOCK_UNLOCKED)
        )

    def publish_media(self, record: MediaRecord) -> None:
        """Publish a new line; readers see the old one or this one, never a mixture."""
        _publish(self.words, np.array(astuple(record), dtype="<i8"))

    def media(self) -> MediaRecord:
        """The line in force."""
        copy = np.zeros(MEDIA_WORDS, "<i8")
        while not _read(copy, self.words):  # its writer, of this process, has lost its processor
            time.sleep(0.0001)
        return MediaRecord(*(int(value) for value in copy))
