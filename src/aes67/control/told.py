"""What the engine told, newest: its clock with a history, interfaces, applications, volumes."""

from __future__ import annotations

from typing import Any

from aes67.control.second_clock import SecondClockView
from aes67.ptp.history import History

NO_ENGINE = "the engine is not running"


class Told:
    """Kept as it came; what it means is for others to say."""

    def __init__(self) -> None:
        self.ptp: dict[str, Any] | None = None
        """The newest clock snapshot; None without an engine."""
        self.ptp_ns = 0
        """When it came, CLOCK_MONOTONIC."""
        self.history = History()
        self.second = SecondClockView()
        self.network: dict[str, Any] | None = None
        """What the engine knows of the interfaces."""
        self.pcms: list[dict[str, Any]] = []
        self.controls: dict[str, Any] | None = None

    def clock(self, snapshot: dict[str, Any] | None, now_ns: int) -> None:
        """Another clock snapshot, or None when the engine has gone."""
        self.ptp, self.ptp_ns = snapshot, now_ns
        if snapshot is not None:
            self.history.add(snapshot, now_ns)
        else:
            self.history.engine_gone(NO_ENGINE, now_ns)
            self.second.engine_gone(NO_ENGINE, now_ns)
