"""Tasks that run from a service's start to its close."""

from __future__ import annotations

import asyncio
from typing import Any


async def end(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task, if there is one, and wait until it has ended, however it does."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
