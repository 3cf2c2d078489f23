"""The matrix of formats, rates, channels, codecs, packet times and ways to the device.

`full` is every combination that can exist; `pairwise` a small set in which every pair of values of
two parameters that can stand together does so once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aes67.errors import Refused
from aes67.selftest.carry import Clients
from aes67.selftest.plan import Case, case

DIMENSIONS: dict[str, Sequence[str]] = {
    "rate": ("44100", "48000", "96000", "192000"),
    "format": ("S16_LE", "S24_3LE", "S24_LE", "S32_LE", "FLOAT_LE"),
    "channels": ("1", "2", "8", "64"),
    "codec": ("L16", "L24", "AM824"),
    "packet": ("125us", "250us", "333us", "1ms", "2ms", "4ms"),
    "way": ("aes67", "aes67hw", "RAVENNA", "aes67 mmap"),
}

Row = tuple[str, ...]

MOST_SAMPLES = 64 * 96_000


@dataclass(frozen=True)
class Combination:
    """One line of the matrix."""

    case: Case
    device: str
    mmap: bool

    @property
    def id(self) -> str:
        """Name for reports."""
        return f"{self.case.name()} {self.device}{' mmap' if self.mmap else ''}"

    def clients(self, period_ms: float, periods: int = 4) -> Clients:
        """aplay and arecord with a buffer of `periods` periods."""
        period = max(6, round(self.case.rate * period_ms / 1000))
        return Clients(self.device, period, periods * period, self.mmap)


def combination(row: Row) -> Combination | None:
    """The combination of a row of values; None when no packet can hold it, or when it is more
    than 64 channels at 96 kHz, which is what two cores are promised to carry."""
    rate, form, channels, codec, packet, way = row
    if int(rate) * int(channels) > MOST_SAMPLES:
        return None
    try:
        found = case(form, int(rate), int(channels), codec, packet)
    except Refused:
        return None
    return Combination(found, way.split()[0], way.endswith("mmap"))


def rows() -> Iterator[Row]:
    """Every row that can exist."""
    for row in itertools.product(*DIMENSIONS.values()):
        if combination(row) is not None:
            yield row


def pairs(row: Row) -> set[tuple[int, str, int, str]]:
    """The pairs of values a row covers."""
    indexed = list(enumerate(row))
    return {(i, a, j, b) for (i, a), (j, b) in itertools.combinations(indexed, 2)}


def pairwise() -> list[Row]:
    """Rows that cover every possible pair, chosen greedily, in the order of rates."""
    candidates = list(rows())
    covers = [pairs(row) for row in candidates]
    uncovered = set().union(*covers)
    chosen = []
    while uncovered:
        best = max(range(len(candidates)), key=lambda i: len(covers[i] & uncovered))
        chosen.append(candidates[best])
        uncovered -= covers[best]
    order = DIMENSIONS["rate"]
    return sorted(chosen, key=lambda row: order.index(row[0]))
