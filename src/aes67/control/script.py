"""The user's script on a change of the clock: a confined child, no shell, never two at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal

log = logging.getLogger("aes67.control.script")

TIMEOUT_S = 30.0
LIMITS = (
    (resource.RLIMIT_CPU, 10),
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_NOFILE, 256),
)
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


class StatusScript:
    """Runs `path status` at each change; while one runs, only the newest change waits."""

    def __init__(self) -> None:
        self._next: tuple[str, str] | None = None
        self._task: asyncio.Task[None] | None = None

    def run(self, path: str, status: str) -> None:
        """Run `path` with the argument `status`, now or after the one that runs."""
        self._next = (path, status) if path else None
        if self._next and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run_all())

    async def close(self) -> None:
        """Stop what runs."""
        self._next = None
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run_all(self) -> None:
        while self._next is not None:
            (path, status), self._next = self._next, None
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
