"""Where a clock's time comes from, and what it publishes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aes67.clock.lock import State
from aes67.clock.timebase import Line


class Mode(Enum):
    """Where the time comes from."""

    PTP = "ptp"
    """Slave of the best master, master when there is none better than us."""
    PTP_SLAVE = "ptp-slave"
    GPTP = "gptp"
    """As PTP, by the profile of 802.1AS."""
    GRANDMASTER = "gm"
    FREE = "free"
    SYSTEM = "system"
    """The system clock, which somebody else disciplines."""
    PHC = "phc"
    """A clock /dev/ptpN, which somebody else disciplines."""


REFERENCED = (Mode.SYSTEM, Mode.PHC)
"""Modes that follow a clock of this machine."""
LOCAL = (Mode.GRANDMASTER, Mode.FREE)
"""Modes that run on the local clock from the start."""
USABLE = (State.LOCKED, State.HOLDOVER)


@dataclass(frozen=True, slots=True)
class Mapping:
    """What the clock page says; `uncertainty_ns` is 3 sigma, UNKNOWN_NS if nobody knows."""

    line: Line
    epoch: int
    session_epoch: int
    state: State
    uncertainty_ns: int
