"""Counters of sinks at earlier times, which their flags are compared with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

WINDOW_S = 1.0
STALE_S = 5.0
"""Who looks more seldom is told of this moment: what was a minute ago is no news."""


class FlagWindows:
    """For the contract's reader, counters at its last read; for all others, of a moment ago.

    `now_s` tells monotonic time.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
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
        """Counters of a sink one to two windows ago, so that every reader sees the same flags.

        When nobody has looked for longer than `STALE_S`, those of now.
        """
        now = counters.get(number)
        if now is None:
            self._windows.pop(number, None)
            return None
        now_s = self._now_s()
        at, older, newer = self._windows.get(number, (now_s, now, now))
        if now_s - at > STALE_S:
            at, older, newer = now_s, now, now
        elif now_s - at > WINDOW_S:
            at, older, newer = now_s, newer, now
        self._windows[number] = (at, older, newer)
        return older
