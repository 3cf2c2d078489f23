"""One process the daemon looks after: how it is started, heard and ended."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

HEARTBEAT_ENVIRONMENT = "AES67_HEARTBEAT_FD"
PR_SET_PDEATHSIG, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 1, 47, 4
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SIGNALS = (*STOP_SIGNALS, signal.SIGHUP, signal.SIGCHLD)
RELOADED = b"reloaded"
"""What a child writes beside its heartbeat when it has read its configuration again."""
STOP_SECONDS = {"control": 6.0, "engine": 3.0}
"""How long a child may take to end before it is killed."""


@dataclass
class Child:
    """One of the two processes: what it runs, and how it has been doing."""

    name: str
    command: list[str]
    directory: str | None = None
    """Working directory; None: that of the daemon."""
    reloads: bool = False
    """Has a configuration, so SIGHUP is for it."""
    has_rights: bool = True
    """Gets the capabilities and real-time limits this process was given by systemd."""
    process: subprocess.Popen[bytes] | None = None
    pipe: int = -1
    started: float = 0.0
    ready: bool = False
    was_ever_ready: bool = False
    last_beat: float = 0.0
    failures: int = 0
    restart_at: float = 0.0

    def start(self) -> None:
        """Run the command.

        Raises:
            OSError: it cannot be run.
        """
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        parent = os.getpid()
        environment = {**os.environ, HEARTBEAT_ENVIRONMENT: str(write_end)}
        environment.pop("NOTIFY_SOCKET", None)  # only this process speaks to systemd
        try:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                pass_fds=(write_end,),
                env=environment,
                cwd=self.directory,
                process_group=0,  # Ctrl-C in a terminal reaches this process only
                preexec_fn=lambda: _become_child(parent, self.has_rights),
            )
        except OSError:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        self.pipe = read_end
        self.started = self.last_beat = time.monotonic()
        self.ready = False

    def read_heartbeat(self, now: float) -> bool:
        """Take note of heartbeats; True when it said that it has read its configuration again."""
        try:
            data = os.read(self.pipe, 4096)
        except BlockingIOError:
            return False
        if data:
            self.last_beat = now
            self.ready = self.was_ever_ready = True
        return RELOADED in data

    def end(self) -> None:
        """SIGTERM, then SIGKILL when that takes too long or a second signal asks for haste."""
        process = self.process
        if process is None:
            return
        process.terminate()
        deadline = time.monotonic() + STOP_SECONDS[self.name]
        while process.poll() is None:
            left = deadline - time.monotonic()
            received = signal.sigtimedwait(SIGNALS, max(0.0, min(left, 0.5)))
            if left <= 0 or (received is not None and received.si_signo in STOP_SIGNALS):
                say(f"{self.name} does not end: killing it")
                process.kill()
                process.wait()
        self.process = None
        os.close(self.pipe)


def _become_child(parent: int, has_rights: bool) -> None:
    """Between fork and exec: die with the parent, and take signals again, but SIGHUP only when
    the child has said what it does then. Without root, a child without rights loses the service's
    capabilities (at exec, as none is ambient any more) and its leave to run in real time."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before the line above
    if not has_rights and os.geteuid() != 0:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def say(text: str) -> None:
    """One line for the journal or the terminal."""
    print(f"aes67-daemon: {text}", file=sys.stderr, flush=True)
