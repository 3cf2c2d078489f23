"""The command line of `aes67-daemon`, and what it says of the children to run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

from aes67.daemon.child import Child
from aes67.daemon.parent import Daemon

CONTRACT_VERSION = "bondagit-4.0.0"
"""What clients of the daemon this one stands in for expect to read."""
DEFAULT_CONFIG = "/etc/daemon.conf"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code: 0, or 1 when it cannot start."""
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    directory = options.runtime_dir or default_runtime_directory()
    code = Daemon(_children(options, directory), options.stall_seconds).run()
    print(f"daemon exiting with code: {code}", flush=True)
    return code


def default_runtime_directory() -> Path:
    """Where the sockets are unless --runtime-dir says so (docs/design.md, Processes)."""
    if given := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(given.split(":")[0])
    if os.geteuid() == 0:
        return Path("/run/aes67")
    if session := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(session) / "aes67"
    return Path(f"/tmp/aes67-{os.geteuid()}")


def _children(options: argparse.Namespace, directory: Path) -> list[Child]:
    python = [sys.executable, "-P", "-m"]  # -P: never import from the current directory
    directory = directory.absolute()
    engine = [*python, "aes67.engine.main", "--runtime-dir", str(directory)]
    engine += ["--priority", str(options.priority), "--log-level", options.log_level]
    if options.alsa_group is not None:
        engine += ["--alsa-group", options.alsa_group]
    control = [*python, "aes67_api.main", "-c", options.config, "--runtime-dir", str(directory)]
    if options.http_addr:
        control += ["-a", options.http_addr]
    if options.http_port is not None:
        control += ["-p", str(options.http_port)]
    # Paths in the configuration may be relative to where the daemon was started; the engine has
    # none, and a directory that is removed under it would disturb its compiler.
    return [
        Child("engine", engine, "/"),
        Child("control", control, reloads=True, has_rights=False),
    ]


def _version() -> str:
    from importlib import metadata

    return f"{CONTRACT_VERSION}\naes67 {metadata.version('aes67')}"


class _Parser(argparse.ArgumentParser):
    """Help and errors as the contract has them: USAGE in capitals, exit code 1 for bad options."""

    def format_help(self) -> str:
        return super().format_help().replace("usage:", "USAGE:", 1)

    def error(self, message: str) -> NoReturn:
        print(message, file=sys.stderr)
        self.print_help(sys.stderr)
        self.exit(1)


class _Version(argparse.Action):
    def __call__(self, *_: object, **__: object) -> None:
        print(_version())
        sys.exit(0)


def _address(text: str) -> str:
    try:
        return str(ip_address(text)) if text else ""
    except ValueError as problem:
        words = f"{text!r} is no address of this machine, such as 127.0.0.1"
        raise argparse.ArgumentTypeError(words) from problem


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535:
        raise ValueError(text)
    return number


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="aes67-daemon", allow_abbrev=False)
    add = parser.add_argument
    add("-c", "--config", default=DEFAULT_CONFIG, metavar="FILE",
        help="configuration file (%(default)s)")
    add("-a", "--http_addr", type=_address, default="", metavar="ADDR",
        help="address the HTTP server listens at (all)")
    add("-p", "--http_port", type=_port, metavar="N", help="overrides http_port of the file")
    add("--runtime-dir", type=Path, metavar="DIR", help="where the sockets are")
    add("--priority", type=int, choices=range(1, 100), default=70, metavar="1..99",
        help="real-time priority of the engine (%(default)s)")
    add("--alsa-group", metavar="GROUP",
        help="group that may open the ALSA device (audio, if the daemon is root)")
    add("--stall-seconds", type=float, default=20.0, metavar="S",
        help="restart a process that has not moved for so long, 0: never (%(default)g)")
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info",
        help="of the engine (%(default)s)")
    add("-v", "--version", action=_Version, nargs=0, help="print the version and exit")
    return parser.parse_args(arguments)
