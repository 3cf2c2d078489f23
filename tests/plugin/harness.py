"""Parts that the plugin's tests share: the mock engine as a process, ALSA programs beside it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import numpy as np

from aes67.alsa import config
from aes67.selftest import child

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SOURCE = ROOT / "alsa_plugin"


class Nursery:
    """The process that forks mock engines."""

    def __init__(self) -> None:
        self.orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen([sys.executable, HERE / "mock_engine.py"], stdin=theirs)
        theirs.close()

    def fork(self, arguments: Sequence[str]) -> tuple[int, socket.socket]:
        """A new engine: a descriptor of its process and its control socket."""
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(self.orders, [json.dumps(arguments).encode()], [theirs.fileno()])
        theirs.close()
        return os.pidfd_open(int(self.orders.recv(64))), control

    def close(self) -> None:
        self.orders.close()
        self.process.wait()


class Mock:
    """A mock engine in a process of its own, and an environment in which ALSA programs find it."""

    nursery: ClassVar[Nursery]  # set for the session by conftest.py

    def __init__(self, folder: Path, *arguments: str, lib_dir: Path | None = None) -> None:
        self.socket = folder / "alsa.sock"
        self.folder = folder
        self.arguments = arguments
        self.lib_dir = lib_dir
        self.environment = config.private_environment(folder, server=self.socket, lib_dir=lib_dir)
        self.pidfd = -1
        self.control: socket.socket | None = None
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self) -> Mock:
        """Start the engine (again)."""
        words = ["--socket", str(self.socket), *self.arguments]
        self.pidfd, self.control = self.nursery.fork(words)
        self.control.settimeout(60)
        assert self.control.recv(64) == b'"ready"'
        return self

    def __enter__(self) -> Mock:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """The end of the test: no process is left, whatever happened."""
        self.kill()
        for each in self.children:
            child.kill(each)

    def kill(self) -> None:
        """As a crash: SIGKILL, the socket's name stays behind."""
        if self.control:
            self.signal(signal.SIGKILL)
            with contextlib.suppress(ConnectionResetError):
                while self.control.recv(65536):
                    pass  # the end comes when the process is gone
            self.control.close()
            os.close(self.pidfd)
            self.control = None

    def signal(self, number: signal.Signals) -> None:
        """Nothing when it is dead already."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def do(self, order: str, **arguments: Any) -> Any:
        """One command to the mock and its answer."""
        assert self.control
        self.control.send(json.dumps({"do": order} | arguments).encode())
        return json.loads(self.control.recv(1 << 20))

    def wait_for(self, condition: Callable[[Any], bool], seconds: float = 60) -> Any:
        """The first statistics that fulfil the condition."""
        deadline = time.monotonic() + seconds
        while not condition(stats := self.do("stats")):
            assert time.monotonic() < deadline, stats
            time.sleep(0.01)
        return stats

    def popen(
        self, command: Sequence[str], extra: dict[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[bytes]:
        """An ALSA program with its output caught, C locale."""
        environment = self.environment | {"LC_ALL": "C"} | (extra or {})
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        started = subprocess.Popen(command, env=environment, **options)
        self.children.append(started)
        return started

    def run(
        self, *command: str, timeout: float = 60, extra: dict[str, str] | None = None
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


def build_plugins(folder: Path, *flags: str, compiler: str = "gcc") -> Path:
    """Both libraries and the configuration as setup.py builds them; the folder they lie in."""
    command = [sys.executable, "setup.py", "-q", "build_ext"]
    command += ["--build-lib", str(folder), "--build-temp", str(folder / "temp")]
    environment = os.environ | {"CC": compiler, "CFLAGS": " ".join(flags)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "aes67" / "alsa"


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A temporary folder whose name leaves room for a socket's (107 bytes)."""
    with tempfile.TemporaryDirectory(prefix=f"aes67-{os.getpid()}-") as name:
        yield Path(name)


class Stalls:
    """How late this machine lets a thread run meanwhile; what a limit in ms has to allow for."""

    def __enter__(self) -> Stalls:
        self.worst_ms = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._is_over.wait(0.002):
            now = time.monotonic()
            self.worst_ms = max(self.worst_ms, (now - before - 0.002) * 1e3)
            before = now

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()


def random_frames(frames: int, frame_bytes: int, seed: int = 1) -> bytes:
    """Bytes no recording has by chance."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, frames * frame_bytes, dtype=np.uint8).tobytes()
