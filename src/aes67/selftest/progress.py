"""A progress bar on standard error: only on a terminal, one line, gone when it ends."""

from __future__ import annotations

import sys
import time

WIDTH = 30
PERIOD_S = 0.1


class Progress:
    """Shows how much of `total` is done; silent where standard error is no terminal."""

    def __init__(self, label: str, total: float, shown: bool = True) -> None:
        self._label = label
        self._total = max(total, 1e-9)
        self._shown = shown and sys.stderr.isatty()
        self._next = 0.0

    def show(self, done: float) -> None:
        """Draw the bar, at most ten times a second."""
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + PERIOD_S
        print(f"\r{bar(self._label, done, self._total)}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Remove the line."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def bar(label: str, done: float, total: float) -> str:
    """`label [#####.....]  50 %`."""
    share = min(1.0, max(0.0, done / total))
    full = int(share * WIDTH)
    return f"{label} [{'#' * full}{'.' * (WIDTH - full)}] {share * 100:3.0f} %"
