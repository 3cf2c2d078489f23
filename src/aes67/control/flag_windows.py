"""Counters of sinks at earlier times, which their flags are compared with."""

from __future__ import annotations

import time
from collections.abc import Mapping

WINDOW_S = 1.0


class FlagWindows:
    """For the contract's reader, counters at its last read; for all others, of a moment ago."""

    def __init__(self) -> None:
        self._read_at: dict[int, dict[str, int]] = {}
        self._windows: dict[int, tuple[float, dict[str, int], dict[str, int]]] = {}

    def forget(self, number: int) -> None:
        """The sink is another one now."""
        self._read_at.pop(number, None)

    def last_read(self, number: int, counters: dict[str, int] | None) -> dict[str, int] | None:
        """Counters of a sink at the last call; these ones are for the next."""
        before = self._read_at.get(number)
        if counters:
            self._read_at[number] = counters
        return before

    def recent(self, number: int, counters: Mapping[int, dict[str, int]]) -> dict[str, int] | None:
        """Counters of a sink one to two windows ago, so that every reader sees the same flags."""
        now = counters.get(number)
        if now is None:
            self._windows.pop(number, None)
            return None
        at, older, newer = self._windows.get(number, (0.0, now, now))
        if time.monotonic() - at > WINDOW_S:
            older, newer, at = newer, now, time.monotonic()
        self._windows[number] = (at, older, newer)
        return older
