"""`aes67-daemon`: the parent of the engine and the control process.

It starts both, starts either again when it dies, hands SIGTERM on, has the configuration read again
on SIGHUP and says nothing of audio. It imports next to nothing, so that nothing can go wrong in it.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

CONTRACT_VERSION = "bondagit-4.0.0"
"""What clients of the daemon this one stands in for expect to read."""
DEFAULT_CONFIG = "/etc/daemon.conf"
HEARTBEAT_ENVIRONMENT = "AES67_HEARTBEAT_FD"
PR_SET_PDEATHSIG, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 1, 47, 4
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SIGNALS = (*STOP_SIGNALS, signal.SIGHUP, signal.SIGCHLD)
RELOADED = b"reloaded"
"""What a child writes beside its heartbeat when it has read its configuration again."""
RELOAD_SECONDS = 10.0
"""systemd is told that a reload is over after this time, whatever the child says."""

BACK_OFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Before the first, second, ... restart in a row; the last one from then on."""
HEALTHY_SECONDS = 20.0
"""A child that ran so long counts as a first failure again."""
STOP_SECONDS = {"control": 6.0, "engine": 3.0}
"""How long a child may take to end before it is killed."""
WATCHDOG_SECONDS = 1.0


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
    unread: bytes = field(default=b"", repr=False)


class Fatal(Exception):
    """A child cannot start at all: no point in trying again."""


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


class Daemon:
    """Looks after the children. Signals are not handled but waited for, so nothing is ever
    interrupted; heartbeats are read between two waits.

    Args:
        children: in the order they are started; they are ended in the reverse order.
        stall_seconds: a child silent for so long after it was ready is killed, 0: never.
    """

    def __init__(self, children: list[Child], stall_seconds: float) -> None:
        self._children = children
        self._stall_seconds = stall_seconds
        self._notified_ready = False
        self._has_terminal = _terminal_there()
        self._reload_wanted = False
        self._reload_ends = 0.0
        """When a reload that was begun counts as done; 0: none is under way."""

    def run(self) -> int:
        """Start, look after and end the children; the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            for child in self._children:
                self._start(child)
            while not self._stop_requested():
                now = time.monotonic()
                for child in self._children:
                    self._look_after(child, now)
                self._reload(now)
                self._notify()
            code = 0
        except Fatal as error:
            print(f"aes67-daemon: {error}", file=sys.stderr, flush=True)
            code = 1
        notify("STOPPING=1\nSTATUS=Stopping")
        for child in reversed(self._children):
            self._end(child)
        return code

    def _stop_requested(self) -> bool:
        """Wait for a signal, a heartbeat interval at most; True when it says to stop."""
        timeout = 0.1 if self._reload_ends else WATCHDOG_SECONDS
        for child in self._children:
            if child.process is None:
                timeout = min(timeout, max(0.0, child.restart_at - time.monotonic()))
            elif not child.ready:
                timeout = min(timeout, 0.1)
        received = signal.sigtimedwait(SIGNALS, timeout)
        if received is None:
            return False
        if received.si_signo == signal.SIGHUP:
            if self._has_terminal and not _terminal_there():
                return True  # not a wish for a reload: the terminal we were started from is closed
            self._reload_wanted = True
        return received.si_signo in STOP_SIGNALS

    def _reload(self, now: float) -> None:
        """Hand a SIGHUP on as soon as the child can take it; see to its end."""
        if now > self._reload_ends:
            self._reload_ends = 0.0
        for child in self._children:
            if self._reload_wanted and child.reloads and child.process and child.ready:
                self._reload_wanted = self._notified_ready = False
                self._reload_ends = now + RELOAD_SECONDS
                usec = time.monotonic_ns() // 1000
                notify(f"RELOADING=1\nMONOTONIC_USEC={usec}\nSTATUS=Reading the configuration")
                child.process.send_signal(signal.SIGHUP)

    def _start(self, child: Child) -> None:
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        parent = os.getpid()
        environment = {**os.environ, HEARTBEAT_ENVIRONMENT: str(write_end)}
        environment.pop("NOTIFY_SOCKET", None)  # only this process speaks to systemd
        try:
            child.process = subprocess.Popen(
                child.command,
                stdin=subprocess.DEVNULL,
                pass_fds=(write_end,),
                env=environment,
                cwd=child.directory,
                process_group=0,  # Ctrl-C in a terminal reaches this process only
                preexec_fn=lambda: _become_child(parent, child.has_rights),
            )
        finally:
            os.close(write_end)
        child.pipe = read_end
        child.started = child.last_beat = time.monotonic()
        child.ready = False

    def _look_after(self, child: Child, now: float) -> None:
        if child.process is None:
            if now >= child.restart_at:
                self._start(child)
            return
        self._read_heartbeat(child, now)
        code = child.process.poll()
        if code is not None:
            self._died(child, code, now)
        elif child.ready and 0 < self._stall_seconds < now - child.last_beat:
            _say(f"{child.name} has not moved for {now - child.last_beat:.0f} s: killing it")
            child.process.kill()

    def _read_heartbeat(self, child: Child, now: float) -> None:
        try:
            data = os.read(child.pipe, 4096)
        except BlockingIOError:
            return
        if data:
            if RELOADED in data:
                self._reload_ends = 0.0
            child.last_beat = now
            child.ready = child.was_ever_ready = True

    def _died(self, child: Child, code: int, now: float) -> None:
        self._read_heartbeat(child, now)
        child.process = None
        os.close(child.pipe)
        if child.reloads:
            self._reload_ends = 0.0  # the next one reads the configuration anyway
        ended = f"exit code {code}" if code >= 0 else f"signal {-code}"
        if code > 0 and not child.was_ever_ready:
            raise Fatal(f"{child.name} cannot start ({ended})")
        child.failures = 0 if now - child.started > HEALTHY_SECONDS else child.failures
        pause = BACK_OFF_SECONDS[min(child.failures, len(BACK_OFF_SECONDS) - 1)]
        child.failures += 1
        child.restart_at = now + pause
        _say(f"{child.name} ended ({ended}); starting it again in {pause:g} s")

    def _end(self, child: Child) -> None:
        """SIGTERM, then SIGKILL when that takes too long or a second signal asks for haste."""
        process = child.process
        if process is None:
            return
        process.terminate()
        deadline = time.monotonic() + STOP_SECONDS[child.name]
        while process.poll() is None:
            left = deadline - time.monotonic()
            received = signal.sigtimedwait(SIGNALS, max(0.0, min(left, 0.5)))
            if left <= 0 or (received is not None and received.si_signo in STOP_SIGNALS):
                _say(f"{child.name} does not end: killing it")
                process.kill()
                process.wait()
        child.process = None
        os.close(child.pipe)

    def _notify(self) -> None:
        ready = not self._reload_ends and all(child.ready for child in self._children)
        if ready and not self._notified_ready:
            self._notified_ready = True
            notify("READY=1\nSTATUS=Working")
        notify("WATCHDOG=1")


def notify(text: str) -> None:
    """Tell systemd, if it listens (sd_notify(3)); what it does not get is not worth an error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address[0] == "@":
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.setblocking(False)
            sock.sendto(text.encode(), address)
        except OSError:
            return


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


def _terminal_there() -> bool:
    """Whether this process has a terminal that is still open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _say(text: str) -> None:
    print(f"aes67-daemon: {text}", file=sys.stderr, flush=True)


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


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535:
        raise ValueError(text)
    return number


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog=Path(sys.argv[0]).name or "aes67-daemon", allow_abbrev=False)
    add = parser.add_argument
    add("-c", "--config", default=DEFAULT_CONFIG, metavar="FILE",
        help="configuration file (%(default)s)")
    add("-a", "--http_addr", default="", metavar="ADDR",
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


if __name__ == "__main__":
    sys.exit(main())
