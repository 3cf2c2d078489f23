"""The loop of the daemon: what it does when a child dies, stalls or reloads, and on signals."""

from __future__ import annotations

import os
import signal
import sys
import time

from aes67.daemon.child import SIGNALS, STOP_SIGNALS, Child, say
from aes67.daemon.systemd import notify

RELOAD_SECONDS = 10.0
"""systemd is told that a reload is over after this time, whatever the child says."""

BACK_OFF_SECONDS = (0.0, 0.0, 0.5, 1.0, 2.0, 5.0)
"""Before the first, second, ... restart in a row; the last one from then on. The first ones are at
once: applications wait for the engine."""
HEALTHY_SECONDS = 20.0
"""A child that ran so long counts as a first failure again."""
WATCHDOG_SECONDS = 1.0


class Fatal(Exception):
    """A child cannot start at all: no point in trying again."""


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
            child.end()
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
        try:
            child.start()
        except OSError as error:  # no processes or memory left, or a Python that is gone
            what = f"{child.name} cannot be run ({child.command[0]}: {error.strerror})"
            if not child.was_ever_ready:
                raise Fatal(what) from None
            self._start_later(child, what)

    def _look_after(self, child: Child, now: float) -> None:
        if child.process is None:
            if now >= child.restart_at:
                self._start(child)
            return
        self._hear(child, now)
        code = child.process.poll()
        if code is not None:
            self._died(child, code, now)
        elif child.ready and 0 < self._stall_seconds < now - child.last_beat:
            say(f"{child.name} has not moved for {now - child.last_beat:.0f} s: killing it")
            child.process.kill()

    def _hear(self, child: Child, now: float) -> None:
        if child.read_heartbeat(now):
            self._reload_ends = 0.0

    def _died(self, child: Child, code: int, now: float) -> None:
        self._hear(child, now)
        child.process = None
        os.close(child.pipe)
        if child.reloads:
            self._reload_ends = 0.0  # the next one reads the configuration anyway
        ended = f"exit code {code}" if code >= 0 else f"signal {-code}"
        if code > 0 and not child.was_ever_ready:
            raise Fatal(f"{child.name} cannot start ({ended})")
        child.failures = 0 if now - child.started > HEALTHY_SECONDS else child.failures
        self._start_later(child, f"{child.name} ended ({ended})")

    def _start_later(self, child: Child, why: str) -> None:
        pause = BACK_OFF_SECONDS[min(child.failures, len(BACK_OFF_SECONDS) - 1)]
        child.failures += 1
        child.restart_at = time.monotonic() + pause
        say(f"{why}; starting it again in {pause:g} s")

    def _notify(self) -> None:
        ready = not self._reload_ends and all(child.ready for child in self._children)
        if ready and not self._notified_ready:
            self._notified_ready = True
            notify("READY=1\nSTATUS=Working")
        notify("WATCHDOG=1")


def _terminal_there() -> bool:
    """Whether this process has a terminal that is still open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
