"""Daemons in namespaces for end-to-end tests, started once a module and always ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from aes67.selftest.node import Node, Settings
from e2e.places import Namespace


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    """A network of its own for the whole module, with a loopback that carries multicast."""
    with Namespace() as place:
        yield place


@pytest.fixture(scope="module")
def node_at(namespace: Namespace) -> Iterator[Callable[[int], Node]]:
    """A grandmaster daemon at a rate; kept for the next test that asks for the same rate."""
    running: list[Node] = []

    def at(rate: int) -> Node:
        if running and running[0].settings.rate == rate:
            clear(running[0])
            return running[0]
        if running:
            running.pop().__exit__(None, None, None)
        node = Node(Settings(rate=rate, device_channels=64))
        node.__enter__()
        running.append(node)
        return node

    yield at
    for node in running:
        node.__exit__(None, None, None)


@pytest.fixture
def node(node_at: Callable[[int], Node]) -> Node:
    """A grandmaster daemon at 48 kHz without any source or sink."""
    found = node_at(48000)
    found.wait_locked()
    return found


def clear(node: Node) -> None:
    """Remove all sources and sinks of a node."""
    status = node.status()
    for kind in ("sources", "sinks"):
        for row in status[kind]:
            node.client.delete(f"/api/v1/{kind}/{row['id']}")
