"""Where a self-test runs: a network namespace of its own when it may make one, else plain loopback.

`enter` replaces this process by itself inside `unshare`, so that everything started afterwards
lives in the namespace and the namespace ends with the last of it: nothing to clean up.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from types import FrameType

MARK = "AES67_SELFTEST_PLACE"
"""Environment variable that says, after the replacement, which kind of namespace we are in."""

KINDS = {
    "root": ("a network namespace of its own", ["unshare", "--net"]),
    "user": (
        "a network namespace of its own, made without root",
        ["unshare", "--user", "--map-root-user", "--net"],
    ),
}
HERE = "this host's loopback (no right to make a network namespace)"


def enter(module: str, arguments: Sequence[str]) -> str:
    """Move into a namespace if possible; returns where we are, in words.

    Does not return when it moves: `python -m module arguments` is run anew inside. Refrains when
    `AES67_SELFTEST_PLACE=host`.
    """
    kind = os.environ.get(MARK, "")
    if kind in KINDS:
        prepare_loopback()
        return KINDS[kind][0]
    wanted = "root" if os.geteuid() == 0 else "user"
    command = KINDS[wanted][1]
    if kind != "host" and shutil.which("ip") and _works(command):
        os.environ[MARK] = wanted
        sys.stdout.flush()
        program = [sys.executable, "-m", "aes67.cli.program", module]
        os.execvp(command[0], [*command, *program, *arguments])
    return HERE


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def cleaning_up() -> Iterator[None]:
    """Within the block a signal that ends us lets every `with` clean up first; exit code 128 + it.

    A second signal does not interrupt that.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {each: signal.signal(each, leave) for each in ENDING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def ptp_permitted() -> bool:
    """Whether this user may bind the PTP event port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 319))
        except OSError:
            return False
    return True


def isolated() -> bool:
    """Whether we are inside a namespace of our own."""
    return os.environ.get(MARK, "") in KINDS


def _works(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run([*command, "true"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def prepare_loopback() -> None:
    """Bring up `lo` of a fresh namespace, with multicast routed to it."""
    subprocess.run(["ip", "link", "set", "lo", "up", "multicast", "on"], check=True)
    subprocess.run(["ip", "route", "replace", "224.0.0.0/4", "dev", "lo"], check=True)


def real_time_prefix(priority: int = 50) -> list[str]:
    """Command prefix that gives a program SCHED_FIFO, empty where that is not permitted."""
    chrt = shutil.which("chrt")
    if chrt is None:
        return []
    prefix = [chrt, "-f", str(priority)]
    return prefix if _works(prefix) else []


def tied_prefix(sent: str = "KILL") -> list[str]:
    """Command prefix that sends a program a signal when this process dies, whatever kills it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", sent] if setpriv else []
