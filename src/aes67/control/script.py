"""The user's script on every change of the clock: a confined child, no shell, never two at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
from collections import deque

log = logging.getLogger("aes67.control.script")

TIMEOUT_S = 30.0
BACKLOG = 16
"""Changes that wait for a slow script; beyond that the oldest is left out, never the newest."""
LIMITS = (
    (resource.RLIMIT_CPU, 10),
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_NOFILE, 256),
)
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


class StatusScript:
    """Runs `path status` for each change in order, one after the other."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, str]] = deque()
        self._task: asyncio.Task[None] | None = None

    def run(self, path: str, status: str) -> None:
        """Run `path` with the argument `status`, now or after those that wait; "": no script."""
        if not path:
            self._waiting.clear()
            return
        if len(self._waiting) == BACKLOG:
            _, skipped = self._waiting.popleft()
            log.warning("status script %s is too slow: left out for %s", path, skipped)
        self._waiting.append((path, status))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run_all())

    async def close(self) -> None:
        """Stop what runs."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run_all(self) -> None:
        while self._waiting:
            path, status = self._waiting.popleft()
            try:
                await _run(path, status)
            except OSError as error:
                log.warning("status script %s cannot be run: %s", path, error.strerror)


async def _run(path: str, status: str) -> None:
    environment = {key: os.environ[key] for key in ENVIRONMENT if key in os.environ}
    child = await asyncio.create_subprocess_exec(
        path,
        status,
        stdin=asyncio.subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    try:
        for kind, most in LIMITS:
            with contextlib.suppress(OSError, ValueError):
                resource.prlimit(child.pid, kind, (most, most))
        async with asyncio.timeout(TIMEOUT_S):
            code = await child.wait()
        if code:
            log.warning("status script %s %s ended with code %d", path, status, code)
    except TimeoutError:
        log.warning("status script %s %s did not end within %g s", path, status, TIMEOUT_S)
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
