"""A link of its own for a benchmark: two network namespaces joined by a veth pair."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """Namespaces and interface names of the two ends; `a` sends, `b` listens."""

    a: str
    b: str
    interface_a: str
    interface_b: str


def run(*words: str) -> None:
    """Run a command; CalledProcessError with its output when it fails."""
    subprocess.run(words, check=True, capture_output=True, text=True)


def inside(namespace: str, *words: str) -> list[str]:
    """The command line that runs `words` in a namespace."""
    return ["ip", "netns", "exec", namespace, *words]


@contextmanager
def link() -> Iterator[Link]:
    """Two namespaces, addresses 10.77.0.1 and .2, multicast routed to the link. Needs root."""
    pid = os.getpid()
    ends = Link(f"bench-a-{pid}", f"bench-b-{pid}", "va", "vb")
    try:
        run("ip", "netns", "add", ends.a)
        run("ip", "netns", "add", ends.b)
        run(
            "ip", "link", "add", ends.interface_a, "netns", ends.a,
            "type", "veth", "peer", "name", ends.interface_b, "netns", ends.b,
        )  # fmt: skip
        for name, interface, address in (
            (ends.a, ends.interface_a, "10.77.0.1/24"),
            (ends.b, ends.interface_b, "10.77.0.2/24"),
        ):
            run("ip", "-n", name, "addr", "add", address, "dev", interface)
            run("ip", "-n", name, "link", "set", interface, "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "route", "add", "224.0.0.0/4", "dev", interface)
        yield ends
    finally:
        for name in (ends.a, ends.b):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
