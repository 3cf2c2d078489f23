"""The network card's clock (PHC), so that its stamps can be told in CLOCK_MONOTONIC_RAW.

The clock is read eight times a second and never set: it may be anybody's, and have any epoch.
"""

from __future__ import annotations

import logging

from aes67.clock.timebase import MS, NS, US
from aes67.clock.track import Track
from aes67.errors import Refused
from aes67.net import phc
from aes67.net.reference_clock import HardwareClock, ReferenceClock

READ_NS = 125 * MS
WIDE_NS = 100 * US
"""A reading that took longer than this was interrupted and is left out."""
LEARNING_NS = NS
"""Readings of one second make a rate good enough to tell stamps between readings."""
FRESH_NS = NS
"""A clock that was not read for so long is not known any more."""
KNOWN_NS = 2 * US
"""3 sigma below which the line is used."""
STAMP_AGE_NS = 5 * NS

log = logging.getLogger(__name__)


class CardClock:
    """Reads one clock and converts its stamps."""

    def __init__(self, reader: ReferenceClock, now_ns: int) -> None:
        self.next_ns = now_ns
        """When `read` is due."""
        self._reader = reader
        self._track = Track()
        self._trouble = ""

    @property
    def words(self) -> str:
        """Which clock it is and how it is read, or why not."""
        return self._trouble or f"{self._reader.name}, {self._reader.method}"

    @property
    def rate_ppm(self) -> float:
        """Of the clock against CLOCK_MONOTONIC_RAW."""
        return self._track.rate_ppm

    def read(self, now_ns: int) -> None:
        """Read the clock if it is time to."""
        if now_ns < self.next_ns:
            return
        self.next_ns = now_ns + READ_NS
        try:
            reading = self._reader.read()
        except OSError as error:
            self._trouble = f"{self._reader.name}: {error.strerror}"
            return
        self._trouble = ""
        if reading is not None and reading.width_ns <= WIDE_NS:
            self._track.add(reading.raw_ns, reading.time_ns, reading.width_ns)

    def usable(self, now_ns: int) -> bool:
        """Whether stamps can be converted."""
        track = self._track
        return (
            track.last_raw_ns - track.first_raw_ns >= LEARNING_NS
            and now_ns - track.last_raw_ns <= FRESH_NS
            and track.three_sigma_ns(now_ns) <= KNOWN_NS
        )

    def to_raw(self, stamp_ns: int, now_ns: int) -> int | None:
        """CLOCK_MONOTONIC_RAW of a stamp of the card; None: it is not from the last seconds."""
        raw_ns = self._track.line.raw_at(stamp_ns)
        return raw_ns if -FRESH_NS <= now_ns - raw_ns <= STAMP_AGE_NS else None

    def close(self) -> None:
        """Give the clock back."""
        self._reader.close()


def open_card(
    interface: str, wanted: str, ethernet: bool, now_ns: int
) -> tuple[CardClock | None, str]:
    """The card's clock if its stamps are to be used, and in words why they are not.

    Args:
        interface: its name.
        wanted: "off"; "auto": if the card is set up to stamp; "on": set it up.
        ethernet: of messages on Ethernet, not over UDP.
        now_ns: CLOCK_MONOTONIC_RAW.
    """
    if wanted == "off":
        return None, "off by configuration"
    card = phc.support(interface)
    if not card.stamps:
        return None, "the card has none"
    if not phc.enabled(interface, ethernet):
        if wanted != "on":
            return None, "the card's are not turned on"
        refusal = phc.enable(interface, ethernet, card.filters)
        if refusal:
            return None, refusal
        log.info("timestamps of the card of %s turned on", interface)
    try:
        return CardClock(HardwareClock(card.path), now_ns), ""
    except Refused as error:
        return None, error.rule
