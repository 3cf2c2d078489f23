"""The engine process: puts the tick, the clock, the ALSA socket and the link together.

`python -m aes67.engine.main --runtime-dir DIR`. It holds all real-time and network rights and
knows neither HTTP nor configuration: what it does, control tells it over the link.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import signal
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from aes67 import jit
from aes67.engine import warmup
from aes67.engine.alsa import AlsaServer, Hooks
from aes67.engine.engine import Engine
from aes67.engine.footprint import trim
from aes67.engine.link import LinkServer
from aes67.engine.network import NetworkKeeper
from aes67.engine.reference_reader import Ptp4lPlace
from aes67.engine.second_clock import Hooks as ClockHooks
from aes67.engine.second_clock import SecondClock
from aes67.engine.timekeeper import Timekeeper
from aes67.net import runtime_directory
from aes67.net.heartbeat import Heartbeat
from aes67.shm.layout import CLOCK

log = logging.getLogger("aes67.engine")

HOUSEKEEPING_SECONDS = 0.5
"""Memory of applications that have gone is given back so often."""
TICK_HANGS_NS = 2_000_000_000
TICK_HANGS_CHECKS = 4
"""A heartbeat this old, so many times in a row, is a tick that will not come back."""
AUDIO_GROUP = "audio"
COMPILED_MARK = "AES67_ENGINE_COMPILED"
"""Environment variable of an engine that has started anew: it does so once."""


class StartError(Exception):
    """Why the engine cannot start, in words for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the engine until SIGTERM or SIGINT; the exit code: 0, or 1 when it cannot start."""
    options = _parse(arguments)
    logging.basicConfig(level=options.log_level.upper(), format="engine: %(levelname)s %(message)s")
    try:
        lock = lock_directory(options.runtime_dir)
        try:
            _compile()
            asyncio.run(_run(options))
        finally:
            os.close(lock)
    except StartError as error:
        print(f"aes67 engine: {error}", file=sys.stderr)
        return 1
    return 0


def lock_directory(directory: Path) -> int:
    """Make the runtime directory if need be and lock it for this process.

    Returns:
        A descriptor; the lock goes with it.

    Raises:
        StartError: the directory is not ours to use, or another engine runs in it.
    """
    try:
        runtime_directory.make(directory)
        status = directory.stat()
        if status.st_uid != os.geteuid() or status.st_mode & stat.S_IWOTH:
            raise StartError(f"{directory} must belong to uid {os.geteuid()} and to nobody else")
        return runtime_directory.lock(directory / "engine.lock")
    except OSError as error:
        raise StartError(f"cannot use {error.filename or directory}: {error.strerror}") from error
    except runtime_directory.Held as held:
        raise StartError(
            f"another engine (pid {held.holder}) runs in {directory}; "
            "stop it or choose another --runtime-dir"
        ) from None


def _compile() -> None:
    """Have everything compiled; where that took more than loading, start anew without its litter.

    Compiling leaves 150 MB in the process. The program that replaces this one finds all of it in
    the cache; it keeps its pid, so the parent notices nothing.
    """
    if jit.CACHE is None:
        log.warning("no folder can be written that would keep the compiled engine: every start "
                    "takes a minute or two (AES67_CACHE_DIR names a folder)")  # fmt: skip
    elif jit.is_empty():
        log.info("compiling the engine: the first start takes a minute or two")
    compiled = sum(step.compiled for step in warmup.run(lambda step: None))
    for reason in jit.UNKEPT:
        log.warning("the compiled engine cannot be kept, the next start compiles anew: %s", reason)
    kept = jit.CACHE is not None and not jit.UNKEPT
    if compiled and kept and COMPILED_MARK not in os.environ:
        assert jit.CACHE is not None
        jit.prune(jit.CACHE)
        os.environ[COMPILED_MARK] = "1"
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


async def _run(options: argparse.Namespace) -> None:
    heartbeat = Heartbeat()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    _raise_descriptor_limit()
    engine = Engine(priority=options.priority, lock_memory=not options.no_lock_memory)
    engine.start()
    trim()
    for warning in engine.warnings:
        log.warning("%s", warning)
    try:
        parts = _Parts(engine, options.runtime_dir)
        try:
            parts.listen(options.runtime_dir, options.alsa_group)
            heartbeat.ready()
            log.info("running in %s", options.runtime_dir)
            await _until(stopped, engine)
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}" if error.filename else error
            raise StartError(f"cannot listen in {options.runtime_dir}: {reason}") from error
        finally:
            heartbeat.close()
            await parts.close()
    finally:
        engine.stop()


async def _until(stopped: asyncio.Event, engine: Engine) -> None:
    """Housekeeping until the process is asked to end, or the tick has ended or stands still.

    A thread that hangs cannot be joined, so the process then ends at once; its parent starts it
    again.
    """
    page = engine.clock.view(CLOCK)[0]
    stale = 0
    while not stopped.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HOUSEKEEPING_SECONDS):
                await stopped.wait()
        engine.collect()
        if not engine.ticking and not stopped.is_set():
            log.critical("the tick has ended by itself, see above: ending the process")
            os._exit(os.EX_SOFTWARE)
        # A process that was stopped finds an old heartbeat once; a tick that hangs, every time.
        stale = stale + 1 if time.monotonic_ns() - int(page["mono_ns"]) > TICK_HANGS_NS else 0
        if stale >= TICK_HANGS_CHECKS:
            log.critical("the tick does not move any more: ending the process")
            os._exit(os.EX_SOFTWARE)


class _Parts:
    """Everything around the engine that lives on the loop, wired together."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self._timekeeper = Timekeeper(
            engine.clock_page.publish_media,
            self._snapshot_changed,
            ptp4l=Ptp4lPlace(directory=str(directory)),
        )
        hooks = Hooks(
            request_rate=lambda rate: self._link.request_rate(rate),
            pcms_changed=lambda: self._link.pcms_changed(),
            controls_changed=lambda: self._link.controls_changed(),
        )
        self._alsa = AlsaServer(engine, hooks)
        self._second = SecondClock(
            engine.clock_page.media,
            engine.generation,
            ClockHooks(
                page=lambda: self._link.second_page_changed(),
                told=lambda snapshot: self._link.second_clock_changed(snapshot),
            ),
        )
        self._link = LinkServer(engine, self._timekeeper, self._alsa, self._second)
        self._keeper = NetworkKeeper(
            engine, self._link.reapply, self._link_back, self._network_changed
        )

    def listen(self, directory: Path, group: str) -> None:
        """Open both sockets; OSError when one cannot be."""
        self._link.start(directory / "engine.sock")
        self._alsa.start(directory / "alsa.sock", mode=0o660 if group else 0o600, group=group)
        self._keeper.start()

    async def close(self) -> None:
        """Control first, so that it sees an engine that leaves and not PCMs that go one by one."""
        self._keeper.close()
        await self._link.close()
        await self._alsa.close()
        await self._second.close()
        await self._timekeeper.close()

    def _link_back(self, name: str) -> None:
        self._timekeeper.link_back(name)
        self._second.link_back(name)

    def _network_changed(self) -> None:
        self._link.network_changed(self._keeper.snapshot())

    def _snapshot_changed(self, snapshot: dict[str, Any]) -> None:
        self._link.snapshot_changed(snapshot)
        self._network_changed()
        self._alsa.clock_changed()


def _raise_descriptor_limit() -> None:
    """Each application costs two descriptors, so the soft limit is raised to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}\n")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="aes67.engine.main", description="The engine of aes67-daemon.")
    parser.add_argument("--runtime-dir", type=Path, required=True, help="where its sockets are")
    parser.add_argument(
        "--priority", type=int, default=70, choices=range(1, 100), metavar="1..99",
        help="SCHED_FIFO priority of the tick",
    )
    parser.add_argument(
        "--alsa-group", default=AUDIO_GROUP if os.geteuid() == 0 else "",
        help="group that may open the ALSA device, besides the user the engine runs as",
    )
    parser.add_argument("--no-lock-memory", action="store_true", help="do not lock memory")
    parser.add_argument(
        "--log-level", default="info", choices=("debug", "info", "warning", "error")
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
