"""Daemons in namespaces for end-to-end tests, started once a module and always ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import pytest

from aes67.selftest.audio import Outcome
from aes67.selftest.node import Node, Settings
from e2e.places import Namespace

Result = TypeVar("Result")

STALL_TICKS = 20
"""5 ms in which the kernel did not run the engine: the machine's doing, not the program's."""
TRIES = 4


def undisturbed(attempt: Callable[[], Outcome]) -> Outcome:
    """The outcome of a run during which the machine did not stand still.

    A virtual machine whose host takes the processor away for 20 ms loses sound, whatever runs on
    it. Such a run is repeated, but one that failed without a stall counts at once.
    """
    for _ in range(TRIES):
        outcome = attempt()
        if outcome.ok or outcome.skipped_ticks < STALL_TICKS:
            return outcome
    return outcome


def without_stall(
    nodes: Sequence[Node], attempt: Callable[[], Result], fine: Callable[[Result], bool]
) -> Result:
    """As `undisturbed`, for anything that runs on some nodes and may be judged by `fine`."""

    def skipped() -> int:
        return sum(node.status()["engine"]["counters"]["skipped_ticks"] for node in nodes)

    for _ in range(TRIES):
        before = skipped()
        result = attempt()
        if fine(result) or skipped() - before < STALL_TICKS:
            return result
    return result


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
