"""Volume and mute of the whole device as values, and the gains they mean; no effects here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from aes67.errors import Refused
from aes67.shm.layout import (
    CTL_CAPTURE_SWITCH,
    CTL_CAPTURE_VOLUME,
    CTL_PLAYBACK_SWITCH,
    CTL_PLAYBACK_VOLUME,
    CTL_VOLUME_MAX_DB,
    CTL_VOLUME_MIN_DB,
    GAIN_FRACTION_BITS,
)

ELEMENTS = {
    CTL_PLAYBACK_VOLUME: "playback_db",
    CTL_PLAYBACK_SWITCH: "playback_on",
    CTL_CAPTURE_VOLUME: "capture_db",
    CTL_CAPTURE_SWITCH: "capture_on",
}
"""Writable elements of the control device and the field each one sets."""


def gain_q30(volume_db: int, on: bool) -> int:
    """Gain in units of 2^-30: exactly 2^30 at 0 dB, 0 when muted or at the lowest volume."""
    if not on or volume_db <= CTL_VOLUME_MIN_DB:
        return 0
    if volume_db == 0:
        return 1 << GAIN_FRACTION_BITS
    return round((1 << GAIN_FRACTION_BITS) * math.pow(10.0, volume_db / 20))


@dataclass(frozen=True)
class Controls:
    """Volumes in whole dB, -99 (mute) to 0, and switches."""

    playback_db: int = 0
    playback_on: bool = True
    capture_db: int = 0
    capture_on: bool = True

    @property
    def playback_q30(self) -> int:
        """Gain of playback in units of 2^-30."""
        return gain_q30(self.playback_db, self.playback_on)

    @property
    def capture_q30(self) -> int:
        """Gain of capture in units of 2^-30."""
        return gain_q30(self.capture_db, self.capture_on)

    def value(self, element: int) -> int:
        """The value of a CTL_ element; KeyError when it is none of ELEMENTS."""
        return int(getattr(self, ELEMENTS[element]))

    def with_value(self, element: int, value: int) -> Controls:
        """With one element set; switches take 0 and 1.

        Raises:
            Refused: the value is out of range.
            KeyError: `element` is none of ELEMENTS.
        """
        name = ELEMENTS[element]
        return self.changed({name: bool(value) if value in (0, 1) and _is_switch(name) else value})

    def changed(self, values: Mapping[str, object]) -> Controls:
        """With some fields set from a JSON object; other keys are passed over.

        Raises:
            Refused: a value of the wrong type or out of range.
        """
        known = {name: values[name] for name in asdict(self) if name in values}
        for name, value in known.items():
            if _is_switch(name):
                if not isinstance(value, bool):
                    raise Refused(name, value, "must be true or false")
            elif (
                isinstance(value, bool)
                or not isinstance(value, int)
                or not CTL_VOLUME_MIN_DB <= value <= CTL_VOLUME_MAX_DB
            ):
                raise Refused(
                    name, value, f"must be {CTL_VOLUME_MIN_DB} to {CTL_VOLUME_MAX_DB} dB"
                )
        return replace(self, **known)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, object]:
        """The fields of the link's `controls` message."""
        return asdict(self)


def _is_switch(name: str) -> bool:
    return name.endswith("_on")
