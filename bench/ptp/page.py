"""`ptp-read`: reading the clock page and making an RTP timestamp, beside a writer at full speed.

The writer publishes records whose every word follows from the first, so a torn read shows itself.
Times are CPU times: of the machine's other work only the shared caches are in them.
"""

from __future__ import annotations

import statistics
import threading
import time
from typing import Any

from aes67.engine.atomics import begin_write, copy_locked, end_write
from aes67.engine.clock_page import MEDIA_SEQ
from aes67.engine.wiring import MEDIA_WORDS
from aes67.media.timeline import frame_at, media_at
from bench.rounds import Effort, verdict

# isort: split
import numba
import numpy as np

WORDS = 64
READS = 5_000_000
TORN_READS = 20_000_000
TRIES = 1_000_000
SPREAD = 1_000_003
RATE = 48_000
PAUSE = 100
"""Rounds of waiting between two writes; a real writer takes a hundredth of a second and more."""


@numba.njit(nogil=True)
def _timestamps(words: Any, copy: Any, count: int, offset: int, raw_ns: int) -> int:
    """So many reads of the page, each turned into an RTP timestamp; their sum."""
    total = 0
    for i in range(count):
        if copy_locked(copy, words, MEDIA_SEQ, TRIES):
            media = media_at(raw_ns + i, copy[0], copy[1], copy[2])
            total += (frame_at(media, RATE) + offset) & 0xFFFFFFFF
    return total


@numba.njit(nogil=True)
def _torn(words: Any, copy: Any, count: int) -> tuple[int, int]:
    """(reads that mixed two records, different records seen) of so many reads."""
    torn, seen, last = 0, 0, -1
    for _ in range(count):
        if not copy_locked(copy, words, MEDIA_SEQ, TRIES):
            continue
        for i in range(1, copy.shape[0]):
            if copy[i] != copy[0] + i * SPREAD:
                torn += 1
                break
        if copy[0] != last:
            last = copy[0]
            seen += 1
    return torn, seen


@numba.njit(nogil=True)
def _write(words: Any, count: int, stop: Any) -> int:
    """Publish records until told to stop; how many."""
    number = 0
    while stop[0] == 0 and number < count:
        number += 1
        odd = begin_write(words, MEDIA_SEQ)
        for i in range(MEDIA_WORDS):
            words[MEDIA_SEQ + 1 + i] = number + i * SPREAD
        end_write(words, MEDIA_SEQ, odd)
        for _ in range(PAUSE):
            if stop[0]:
                break
    return number


def measure(effort: Effort) -> dict[str, Any]:
    """`effort.rounds` timings of READS reads, and TORN_READS beside a writer."""
    words, copy = np.zeros(WORDS, np.int64), np.zeros(MEDIA_WORDS, np.int64)
    words[MEDIA_SEQ + 1 : MEDIA_SEQ + 4] = (10**12, 17 * 10**17, 33_000_000)
    _timestamps(words, copy, 10, 7, 10**12)
    taken = []
    for _ in range(effort.rounds):
        began = time.thread_time_ns()
        _timestamps(words, copy, READS, 7, 10**12)
        taken.append((time.thread_time_ns() - began) / READS)
    torn, seen = _beside_a_writer(words, copy)
    return {
        "ns_each": verdict(statistics.median(taken), 20.0), "least_ns": round(min(taken), 2),
        "reads": TORN_READS, "records_seen": seen, "torn": verdict(torn, 0),
    }  # fmt: skip


def _beside_a_writer(words: Any, copy: Any) -> tuple[int, int]:
    stop = np.zeros(1, np.int64)
    _write(words, 1, stop)
    _torn(words, copy, 1)
    writer = threading.Thread(target=_write, args=(words, 1 << 62, stop))
    writer.start()
    try:
        torn, seen = _torn(words, copy, TORN_READS)
    finally:
        stop[0] = 1
        writer.join()
    return int(torn), int(seen)
