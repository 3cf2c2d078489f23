"""Parts that the plugin's tests share: the mock engine as a process, ALSA programs beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from aes67.alsa import config

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SOURCE = ROOT / "alsa_plugin"
FLAGS = ["-std=c11", "-fPIC", "-DPIC", "-Wall", "-Wextra", "-Wshadow", "-Werror"]


class Mock:
    """A mock engine in a process of its own, and an environment in which ALSA programs find it."""

    def __init__(self, folder: Path, *arguments: str, lib_dir: Path | None = None) -> None:
        self.socket = folder / "alsa.sock"
        self.folder = folder
        self.arguments = arguments
        self.environment = config.private_environment(
            folder, server=self.socket, lib_dir=lib_dir
        )
        self.process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str) -> Mock:
        command = [sys.executable, str(HERE / "mock_engine.py"), "--socket", str(self.socket)]
        self.process = subprocess.Popen(
            [*command, *self.arguments, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __enter__(self) -> Mock:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """As a crash: SIGKILL, the socket's name stays behind."""
        if self.process:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe:
                    pipe.close()
            self.process = None

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def do(self, order: str, **arguments: Any) -> Any:
        """One command to the mock and its answer."""
        assert self.process
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"do": order} | arguments) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def popen(
        self, command: Sequence[str], extra: dict[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[bytes]:
        """An ALSA program with its output caught, C locale."""
        environment = self.environment | {"LC_ALL": "C"} | (extra or {})
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen(command, env=environment, **options)

    def run(
        self, *command: str, timeout: float = 30, extra: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """An ALSA program to its end; a hang is an error."""
        return subprocess.run(
            command,
            env=self.environment | {"LC_ALL": "C"} | (extra or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def build_library(
    target: Path, sources: Sequence[str], *flags: str, compiler: str = "gcc"
) -> Path:
    """Compile a shared library from files of alsa_plugin/ (or absolute paths), -Werror."""
    files = [name if os.path.isabs(name) else str(SOURCE / name) for name in sources]
    command = [compiler, *FLAGS, "-shared", f"-I{SOURCE}", *flags, *files, "-o", str(target)]
    subprocess.run([*command, "-lasound", "-lpthread"], check=True)
    return target
