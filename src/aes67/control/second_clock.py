"""What control knows of the second clock domain: its newest snapshot, its page, its history.

Nothing of it costs anything while there is no second clock.
"""

from __future__ import annotations

import time
from typing import Any

from aes67.ptp.history import History
from aes67.services.engine_memory import SecondPage
from aes67.session.reference_clock import OtherClock


class SecondClockView:
    """The second clock as the engine tells of it. All methods belong to the loop's thread."""

    def __init__(self) -> None:
        self._snapshot: dict[str, Any] | None = None
        self._told_ns = 0
        self._page: SecondPage | None = None
        self._history: History | None = None
        self._lost = ""

    @property
    def name(self) -> str:
        """What the configuration calls it; empty: there is none."""
        return str(self._snapshot["name"]) if self._snapshot is not None else ""

    def told(self, snapshot: dict[str, Any] | None) -> None:
        """Take the engine's newest snapshot, None: there is no second clock any more."""
        if snapshot is None or snapshot["name"] != self.name:
            self._history = None
        self._snapshot, self._told_ns, self._lost = snapshot, time.monotonic_ns(), ""
        if snapshot is None:
            self.drop_page()
            return
        if self._history is None:
            self._history = History()
        self._history.add(snapshot, self._told_ns)

    def take_page(self, descriptor: int) -> None:
        """Take its page; WireError if it is none."""
        page = SecondPage(descriptor)
        self.drop_page()
        self._page = page

    def drop_page(self) -> None:
        """Its page is not kept up to date any more."""
        if self._page is not None:
            self._page.close()
        self._page = None

    def engine_gone(self, reason: str, now_ns: int) -> None:
        """Its past is kept, until the next engine tells more."""
        self.drop_page()
        self._lost = reason
        if self._history is not None:
            self._history.engine_gone(reason, now_ns)

    def view(self) -> dict[str, Any] | None:
        """The snapshot with its age and its page; None without a second clock."""
        if self._snapshot is None:
            return None
        if self._lost:
            unknown = {"ahead_of_media_ns": None, "ahead_of_media_ppm": None}
            return {"name": self.name, "state": "unlocked", "reason": self._lost} | unknown
        age_seconds = (time.monotonic_ns() - self._told_ns) / 1e9
        page = self._page.read() if self._page is not None else {}
        return self._snapshot | {"age_seconds": round(age_seconds, 3), "page": page}

    def history(self) -> History | None:
        """Its past, None without a second clock."""
        return self._history

    def for_sessions(self) -> OtherClock | None:
        """As much as streams have to know of it."""
        snapshot = self._snapshot
        if snapshot is None or self._lost or not snapshot["gmid"]:
            return None
        ahead_ns, ahead_ppm = snapshot["ahead_of_media_ns"], snapshot["ahead_of_media_ppm"]
        domain = int(snapshot["domain"])
        return OtherClock(self.name, snapshot["gmid"], domain, ahead_ns, ahead_ppm)
