"""A clock of this machine that somebody else disciplines: the system clock or a PHC.

It is read some times a second; each reading is a measurement without a path. What is followed is
never set. Unlike a master it does not fall silent but fails to be read, and says itself whether
anybody disciplines it.
"""

from __future__ import annotations

from aes67.clock.estimator import Estimator
from aes67.clock.lock import Sight, in_words
from aes67.clock.measurement import direct
from aes67.clock.media_clock import STEP_NS
from aes67.clock.timebase import MS, NS

READ_NS = 125 * MS
SILENT_NS = NS
WIDE_NS = 100_000
"""A reading that took longer than this was interrupted and is left out."""


class Reference:
    """What is known of the clock called `name` (for reasons)."""

    def __init__(self, name: str, now_ns: int) -> None:
        self.name = name
        self.estimator = Estimator()
        self.readings = 0
        self.wide = 0
        self.steps = 0
        self.width_ns = 0
        self.trouble = ""
        """Why it could not be read the last time; empty: it was."""
        self.remark = ""
        """What it says of itself, as "nobody disciplines it"."""
        self.next_ns = now_ns
        self._read_ns = now_ns
        self._jumped = False

    def take(self, raw_ns: int, time_ns: int, width_ns: int) -> None:
        """It showed `time_ns` (TAI) at `raw_ns`, in the middle of a bracket of `width_ns`."""
        if width_ns > WIDE_NS:
            self.wide += 1
            return
        self.trouble = ""
        self.readings += 1
        self.width_ns = width_ns
        self._read_ns = raw_ns
        made = direct(raw_ns, time_ns)
        if made is None:
            self.trouble = f"the time of {self.name} is out of range"
            return
        if self.estimator.usable and abs(time_ns - self.estimator.line.at(raw_ns)) >= STEP_NS:
            # readings have no queues to wait in: a second one that says so is proof
            if self._jumped:
                self.steps += 1
                self.estimator = Estimator()
                self._jumped = False
            else:
                self._jumped = True
                return
        else:
            self._jumped = False
        self.estimator.add(made)

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
            doubt=f"the readings of {self.name} disagree",
        )
