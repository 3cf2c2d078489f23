"""Waiting in tests for what other tasks or processes do, bounded.

The bounds are long: they cost nothing where the thing comes about, and the processors of a test
machine may be taken away at any moment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 60.0


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """Let the loop run until something is so; TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.001)


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """The same without a loop, for what happens in other processes."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.005)
