"""Network namespaces for end-to-end tests: this thread moves in, and moves back at the end.

A namespace lives as long as somebody is in it, so there is nothing to clean up, whatever a test
does. Threads that exist already stay where they are.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from contextlib import AbstractContextManager
from types import TracebackType

from aes67.selftest import child
from aes67.selftest.place import prepare_loopback

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(value: int, call: str) -> None:
    if value != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


class Namespace(AbstractContextManager["Namespace"]):
    """`with Namespace():` puts this thread, and all it starts, into a network of its own."""

    def __enter__(self) -> Namespace:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        _checked(_libc.unshare(CLONE_NEWNET), "unshare")
        prepare_loopback()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _checked(_libc.setns(self._home, CLONE_NEWNET), "setns")
        os.close(self._home)


class Link(AbstractContextManager["Link"]):
    """Two ends of a wire: `far` in a namespace of its own, `near` in the one we are in.

    A process that only sleeps keeps the far namespace alive; `far_prefix` runs a program there.
    """

    def __init__(self, near: str = "near", far: str = "far") -> None:
        self.near, self.far = near, far
        self.near_address, self.far_address = "10.67.0.1", "10.67.0.2"

    def __enter__(self) -> Link:
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL
        )
        try:
            self._await_namespace()
            self.plug()
        except BaseException:
            child.kill(self._keeper)
            raise
        return self

    def plug(self) -> None:
        """Make both ends; again after one was deleted, which takes the other with it."""
        peer = ["peer", "name", self.far, "netns", str(self._keeper.pid)]
        ip("link", "add", self.near, "type", "veth", *peer)
        for prefix, name, address in (
            ([], self.near, self.near_address),
            (self.far_prefix, self.far, self.far_address),
        ):
            ip("address", "add", f"{address}/24", "dev", name, prefix=prefix)
            ip("link", "set", name, "up", prefix=prefix)
            ip("route", "replace", "224.0.0.0/4", "dev", name, prefix=prefix)

    def _await_namespace(self) -> None:
        own = os.readlink("/proc/thread-self/ns/net")
        deadline = time.monotonic() + 60
        while os.readlink(f"/proc/{self._keeper.pid}/ns/net") == own:
            if time.monotonic() > deadline:
                raise TimeoutError("the far namespace did not come up")
            time.sleep(0.002)

    @property
    def far_prefix(self) -> list[str]:
        """Command prefix that runs a program at the far end."""
        return ["nsenter", "--net", f"--target={self._keeper.pid}", "--"]

    def set(self, state: str) -> None:
        """Take the near end `up` or `down`; its multicast route comes back with it."""
        ip("link", "set", self.near, state)
        if state == "up":
            ip("route", "replace", "224.0.0.0/4", "dev", self.near)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        child.kill(self._keeper)


def ip(*arguments: str, prefix: list[str] | None = None) -> None:
    """Run the `ip` program; CalledProcessError with its words when it fails."""
    subprocess.run([*(prefix or []), "ip", *arguments], check=True, capture_output=True, text=True)
