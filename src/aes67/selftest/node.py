"""A daemon of its own for a self-test: own configuration, runtime directory, ALSA configuration.

Nothing of the user's is read or written, and nothing is left when the block ends.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aes67.alsa.config import private_environment
from aes67.client import ApiError, Client, Unreachable
from aes67.errors import Aes67Error
from aes67.selftest import child
from aes67.selftest.folder import Folder
from aes67.selftest.place import tied_prefix

START_TIMEOUT_S = 300.0
"""The first start on a machine compiles, which takes a minute on a busy or small one."""

PATIENCE_S = 5.0
"""After so long somebody at a terminal is told what is being waited for."""

STOP_TIMEOUT_S = 30.0

OTHER_FOLDER = "TMPDIR=... names another folder"


class SetupFailed(Aes67Error):
    """The test could not be run; says what did not come up, with the daemon's last words."""


@dataclass(frozen=True)
class Settings:
    """What differs between daemons of different tests.

    `prefix` is put before the daemon's command (to run it in another namespace), `host` is the
    address its API is reached at from here.
    """

    rate: int = 48000
    clock_mode: str = "gm"
    interface: str = "lo"
    device_channels: int = 64
    host: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()
    extra: tuple[tuple[str, Any], ...] = ()


class Node(AbstractContextManager["Node"]):
    """`with Node(Settings()) as node:` runs an aes67-daemon until the block ends."""

    def __init__(self, settings: Settings, port: int | None = None) -> None:
        self.settings = settings
        self._temporary = Folder("selftest")
        self.directory = self._temporary.path
        self.runtime = self.directory / "run"
        self.log = self.directory / "daemon.log"
        self.port = port or free_port()
        self.client = Client(f"http://{settings.host}:{self.port}")
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = dict(os.environ)

    def __enter__(self) -> Node:
        try:
            self._write_files()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _write_files(self) -> None:
        try:
            self.runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
            server = self.runtime / "alsa.sock"
            self.environment = private_environment(self.directory, server=server)
            self.environment["AES67_URL"] = self.client.url
            config = self.directory / "daemon.conf"
            config.write_text(json.dumps(self._configuration(), indent=2), encoding="utf-8")
        except OSError as problem:
            folder = self.directory.parent
            words = f"cannot write to {folder}: {problem.strerror} ({OTHER_FOLDER})"
            raise SetupFailed(words) from problem

    def _configuration(self) -> dict[str, Any]:
        return {
            "http_port": self.port,
            "rtsp_port": free_port(),  # a daemon that runs here has the usual one
            "interface_name": self.settings.interface,
            "sample_rate": self.settings.rate,
            "status_file": str(self.directory / "status.json"),
            "syslog_proto": "none",
            "mdns_enabled": False,
            "clock_mode": self.settings.clock_mode,
            "device_channels": self.settings.device_channels,
            **dict(self.settings.extra),
        }

    def start(self) -> None:
        """Start the daemon (again, after `stop`) and wait until its engine answers."""
        command = [
            *self.settings.prefix, *tied_prefix("TERM"), sys.executable, "-m", "aes67.daemon",
            "-c", str(self.directory / "daemon.conf"), "--runtime-dir", str(self.runtime),
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
            )
        self.wait("the engine", lambda: bool(self.status()["engine"]["connected"]))

    def status(self) -> dict[str, Any]:
        """The daemon's snapshot."""
        status: dict[str, Any] = self.client.get("/api/v1/status")
        return status

    def wait(self, what: str, done: Callable[[], bool], timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until `done`; raise SetupFailed naming `what` when it takes too long."""
        begun = time.monotonic()
        told = not sys.stderr.isatty()
        while True:
            try:
                if done():
                    return
            except (Unreachable, ApiError):
                pass
            if self.process is not None and self.process.poll() is not None:
                raise self._failed("the daemon ended by itself")
            waited = time.monotonic() - begun
            if not told and waited > PATIENCE_S:
                told = True
                why = "the first start compiles, which takes a minute or more"
                print(f"waiting for {what} ({why}; Ctrl-C ends it)", file=sys.stderr)
            if waited > timeout_s:
                raise self._failed(f"{what} did not come within {timeout_s:.0f} s")
            time.sleep(0.05)

    def _failed(self, what: str) -> SetupFailed:
        """What failed, and why as far as it can be seen."""
        lines = [what, *filter(None, [self.last_words()])]
        if os.statvfs(self.directory).f_bavail == 0:
            lines.append(f"no space is left in {self.directory.parent} ({OTHER_FOLDER})")
        return SetupFailed("\n".join(lines))

    def wait_locked(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until the clock is locked."""

        def locked() -> bool:
            return bool(self.status()["clock"]["state"] == "locked")

        self.wait("the clock's lock", locked, timeout_s)

    def wait_receiving(self, sinks: int) -> None:
        """Wait until that many sinks receive."""

        def receiving() -> bool:
            rows = self.status()["sinks"]
            return sum(bool(row["counters"].get("packets")) for row in rows) >= sinks

        self.wait(f"packets for {sinks} sink(s)", receiving)

    def last_words(self, lines: int = 20) -> str:
        """The end of the daemon's log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def stop(self) -> int | None:
        """End the daemon as systemd would; its exit code, None when it had to be killed."""
        process, self.process = self.process, None
        return None if process is None else child.stop(process, patience_s=STOP_TIMEOUT_S)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._temporary.cleanup()


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
