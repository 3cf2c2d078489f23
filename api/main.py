"""The control process: `python -m aes67_api.main -c FILE`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from aes67.config.model import Config
from aes67.control import logs
from aes67.control.control import Control
from aes67.control.files import ConfigError, load_config, lock_directory
from aes67.session.events import ConfigChanged, Event
from aes67_api.app import create
from aes67_api.listener import Listener, PortBusy

log = logging.getLogger("aes67.main")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code: 0, or 1 when it cannot start."""
    options = _parse(arguments)
    logs.early()
    try:
        config = load_config(options.config, options.http_port)
        lock = lock_directory(options.runtime_dir)
        try:
            asyncio.run(_run(options, config))
        finally:
            os.close(lock)
    except (ConfigError, PortBusy) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _run(options: argparse.Namespace, config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.create_task(control.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    control = Control(config, options.config, options.runtime_dir, options.http_port)
    listener = Listener(create(control), options.http_addr)
    moves: set[asyncio.Task[None]] = set()
    one_by_one = asyncio.Lock()

    def happened(event: Event) -> None:
        if isinstance(event, ConfigChanged) and event.keys & {"http_port", "control_interfaces"}:
            move()

    def move() -> None:
        task = asyncio.create_task(_move(listener, control, one_by_one))
        moves.add(task)
        task.add_done_callback(moves.discard)

    await control.start()
    try:
        await listener.open(config.http_port, config.controlled_on)
        _say_missing(listener, control)
        control.node.subscribe(happened)
        control.discovery.also_at_network_changes = move
        move()  # what changed in between
        await control.discovery.start()
        control.ready()
        log.info("serving on port %d", listener.port)
        await stop.wait()
    finally:
        # else the listener waits for who listens, and for who has something fetched
        await control.streaming.close()
        control.fetches.end()
        await listener.close()
        await control.close()


async def _move(listener: Listener, control: Control, one_by_one: asyncio.Lock) -> None:
    """Serve on the port and the interfaces the configuration names now; where that fails, go on
    where we are."""
    async with one_by_one:
        try:
            config = control.node.config
            await listener.open(config.http_port, config.controlled_on)
            control.node.warn("http_port", "")
            _say_missing(listener, control)
        except PortBusy as error:
            log.error("%s; still serving on port %d", error, listener.port)
            control.node.warn("http_port", f"{error}; still serving on port {listener.port}")


def _say_missing(listener: Listener, control: Control) -> None:
    missing = listener.missing(control.node.config.controlled_on)
    if control.node.warn("control_interfaces", missing):
        log.warning("%s", missing)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}\n")


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError(text)
    return number


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="aes67_api.main", description="The control process of aes67-daemon.")
    parser.add_argument(
        "-c", "--config", type=Path, default=Path("/etc/daemon.conf"), help="configuration file"
    )
    parser.add_argument("-a", "--http_addr", default="", help="address of the HTTP interface")
    parser.add_argument("-p", "--http_port", type=_port, help="its port, instead of the file's")
    parser.add_argument("--runtime-dir", type=Path, required=True, help="where the engine is")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
