"""Changes beside an engine that takes its time: their order, and what does not wait for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from aes67.config.model import Config
from aes67.errors import Refused
from aes67.session.describe import Clock
from aes67.session.node import Node
from sim.session_samples import NETWORK, sink, source


class SlowEngine:
    """Answers a plan when told to, or is found silent."""

    connected = True

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.answers: asyncio.Queue[Exception | None] = asyncio.Queue()

    async def apply(self, plan: Mapping[str, Any], tables: bytes) -> None:
        self.sent.append(tables)
        answer = await self.answers.get()
        if answer is not None:
            raise answer


class Store:
    """Keeps what was saved last."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = {}

    async def save_config(self, text: str) -> None:
        await asyncio.sleep(0)

    async def save_status(self, path: str, text: str) -> None:
        await asyncio.sleep(0)
        self.status = json.loads(text)


class World:
    def __init__(self) -> None:
        self.engine, self.store = SlowEngine(), Store()
        self.node = Node(Config(), NETWORK, self.engine, self.store, asyncio.Lock(), 1_700_000_000)
        self.changes: list[asyncio.Task[Any]] = []

    async def begin(self, *changes: Any) -> None:
        """Ask for changes and let the loop run until nothing more happens by itself."""
        self.changes += [asyncio.ensure_future(each) for each in changes]
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def answer(self, answer: Exception | None = None) -> None:
        self.engine.answers.put_nowait(answer)
        await self.settle()

    @property
    def done(self) -> list[bool]:
        return [each.done() for each in self.changes]


async def test_changes_have_their_turns_and_each_plan_holds_those_before() -> None:
    world = World()
    await world.begin(world.node.put_source(source(0)), world.node.put_sink(sink(0)))
    assert (len(world.engine.sent), world.done) == (1, [False, False])
    assert not world.node.sources, "in force only when the engine says so"
    await world.answer()
    assert (len(world.engine.sent), world.done) == (2, [True, False])
    await world.answer()
    assert world.done == [True, True]
    assert world.engine.sent[-1] == world.node.plan.tables
    assert (list(world.node.sources), list(world.node.sinks)) == ([0], [0])


async def test_a_refused_change_takes_none_of_those_behind_with_it() -> None:
    world = World()
    changes = [world.node.put_source(source(0)), world.node.put_source(source(1, name="Other"))]
    await world.begin(*changes)
    await world.answer(Refused("sockets", "eth0:5004", "permission denied"))
    await world.answer()
    with pytest.raises(Refused, match="permission denied"):
        world.changes[0].result()
    assert world.changes[1].exception() is None
    assert list(world.node.sources) == [1]


async def test_an_engine_is_found_silent_once_for_all_who_wait() -> None:
    world = World()
    node = world.node
    await world.begin(
        node.put_source(source(0)), node.put_sink(sink(0)), node.change_rate(96000),
        node.change_config({"ptp_domain": 3}), node.delete_sink(0),
    )  # fmt: skip
    await world.answer(TimeoutError())
    assert all(world.done)
    for change in world.changes:
        with pytest.raises(Refused, match="does not answer"):
            change.result()
    assert len(world.engine.sent) == 1, "to a silent engine nothing more was sent"
    assert (dict(node.sources), dict(node.sinks), node.state.rate) == ({}, {}, 48000)
    await world.begin(node.put_source(source(0)))
    assert len(world.engine.sent) == 2, "who comes later asks it again"
    await world.answer()
    assert list(node.sources) == [0]


async def test_a_new_engine_that_takes_its_time_fails_nobody_who_waits() -> None:
    world = World()
    await world.begin(world.node.engine_connected(), world.node.put_source(source(0)))
    await world.answer(TimeoutError())
    assert world.node.in_force.refusal is not None
    await world.answer()
    assert world.done == [True, True]
    assert (world.node.in_force.refusal, list(world.node.sources)) == (None, [0])


async def test_an_engine_asked_again_that_is_silent_still_is_waited_for_once() -> None:
    world = World()
    await world.begin(world.node.engine_connected())
    await world.answer(TimeoutError())
    await world.begin(world.node.ask_engine_again(), world.node.put_source(source(0)))
    await world.answer(TimeoutError())
    assert world.done == [True, True, True]
    with pytest.raises(Refused, match="does not answer"):
        world.changes[-1].result()
    assert world.node.in_force.refusal is not None
    await world.begin(world.node.ask_engine_again(), world.node.put_source(source(0)))
    await world.answer(Refused("sockets", "eth0:5004", "no such device"))
    assert world.node.in_force.refusal is not None, "refused, not silent: who waits may do better"
    await world.answer()
    assert (world.node.in_force.refusal, list(world.node.sources)) == (None, [0])


async def test_clock_volumes_and_status_file_do_not_wait_for_the_engine() -> None:
    world = World()
    await world.begin(world.node.put_source(source(0)))
    await world.answer()
    before = world.node.description(0)
    await world.begin(world.node.delete_source(0))
    await world.node.change_clock(Clock("locked", "00-11-22-FF-FE-33-44-55"))
    assert world.node.clock.status == "locked"
    assert world.node.description(0) != before
    last = world.node.description(0)
    await world.node.change_controls({"master": 3})
    assert world.store.status["controls"] == {"master": 3}
    assert [each["id"] for each in world.store.status["sources"]] == [0]
    await world.node.save_status()
    assert world.done == [True, False]
    told: list[Any] = []
    world.node.subscribe(told.append)
    await world.answer()
    assert [each.description for each in told] == [last], "as it was announced last"
    assert (world.store.status["sources"], world.store.status["controls"]) == ([], {"master": 3})
