"""A clock of this machine that somebody else disciplines: the system clock or a PHC.

It is read some times a second; each reading is a measurement without a path. What is followed is
never set. Unlike a master it does not fall silent but fails to be read, and says itself whether
anybody disciplines it.
"""

from __future__ import annotations

from aes67.clock.lock import Sight, in_words
from aes67.clock.measurement import LIMIT_NS
from aes67.clock.media_clock import STEP_NS
from aes67.clock.timebase import MS, NS
from aes67.clock.track import Track

READ_NS = 62 * MS + MS // 2
SILENT_NS = NS
WIDE_NS = 100_000
"""A reading that took longer than this was interrupted and is left out."""


class Reference:
    """What is known of the clock called `name` (for reasons)."""

    def __init__(self, name: str, now_ns: int) -> None:
        self.name = name
        self.estimator = Track()
        self.readings = 0
        self.wide = 0
        self.width_ns = 0
        self.trouble = ""
        """Why it could not be read the last time; empty: it was."""
        self.remark = ""
        """What it says of itself, as "nobody disciplines it"."""
        self.grandmaster: bytes | None = None
        """Whose time it shows, if whoever disciplines it was asked and said so."""
        self.next_ns = now_ns
        self._read_ns = now_ns

    @property
    def steps(self) -> int:
        """How often the clock was stepped, or its rate set anew."""
        return self.estimator.steps

    def take(self, raw_ns: int, time_ns: int, width_ns: int) -> None:
        """It showed `time_ns` (TAI) at `raw_ns`, in the middle of a bracket of `width_ns`."""
        if width_ns > WIDE_NS:
            self.wide += 1
            return
        if not 0 <= time_ns < LIMIT_NS:
            self.trouble = f"the time of {self.name} is out of range"
            return
        self.trouble = ""
        self.readings += 1
        self.width_ns = width_ns
        self._read_ns = raw_ns
        self.estimator.add(raw_ns, time_ns, width_ns)

    def failed(self, why: str) -> None:
        """It could not be read."""
        self.trouble = why

    def read_again(self, now_ns: int) -> None:
        """Sets when it is to be read next."""
        self.next_ns = now_ns + READ_NS

    def sight(self, now_ns: int, error_ns: int) -> Sight:
        """For the lock; `error_ns` is how far it is ahead of a locked media clock."""
        silent, missing = "", ""
        if self.trouble:
            missing = self.trouble
        elif not self.estimator.usable:
            missing = f"reading {self.name}"
        if self.readings and now_ns - self._read_ns > SILENT_NS:
            silent = missing or f"no reading of {self.name} for {in_words(now_ns - self._read_ns)}"
        return Sight(
            now_ns=now_ns,
            three_sigma_ns=self.estimator.three_sigma_ns(now_ns),
            first_data_ns=self.estimator.first_raw_ns,
            missing=missing,
            silent=silent,
            rate_ppm=self.estimator.rate_ppm,
            jump_ns=error_ns if abs(error_ns) >= STEP_NS else 0,
            jumped=f"{self.name} was set: its time jumped by",
            doubt=f"the readings of {self.name} disagree",
        )
