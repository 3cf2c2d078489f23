"""The node: the one place that changes control state.

Every change goes the same way: new state, plan of it (which may refuse), engine (which may refuse),
and only then is the state ours, saved and told. A refused change has changed nothing. Without an
engine a change is kept and applied when one comes.

Pure in that it opens nothing: engine, store and lock are given, and time is a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from aes67.config.model import CONTRACT_KEYS, KEYS, Config
from aes67.config.reading import Computed, file_text, merged
from aes67.config.tree import to_text
from aes67.errors import Refused
from aes67.session import identity
from aes67.session.checks import check_reference_clock, check_sink_name, check_source_name
from aes67.session.contract import automatic_address, status_object
from aes67.session.describe import Circumstances, describe
from aes67.session.events import (
    ClockChanged,
    ConfigChanged,
    Event,
    SinkChanged,
    SinkRemoved,
    SourceChanged,
    SourceRemoved,
)
from aes67.session.model import Sink, Source
from aes67.session.network import Network
from aes67.session.plan import Plan, State, plan
from aes67.session.stream import interpret

NOT_IN_USE = "stream not in use"


class Engine(Protocol):
    """The control side of the engine link."""

    @property
    def connected(self) -> bool:
        """Whether an engine is there."""

    async def apply(self, plan: Mapping[str, Any], tables: bytes) -> None:
        """Put a plan in force.

        Raises Refused; ConnectionError when the engine goes away, TimeoutError when it is silent.
        """


class Store(Protocol):
    """Where configuration and status are kept; both raise OSError."""

    async def save_config(self, text: str) -> None:
        """Replace the configuration file."""

    async def save_status(self, path: str, text: str) -> None:
        """Replace the status file."""


@dataclass(frozen=True)
class Clock:
    """State of the clock as far as sessions care: status, grandmaster (`AA-..`, "" unknown)."""

    status: str = ""
    gmid: str = ""


class Node:
    """Configuration, sources and sinks in force, and the ways to change them."""

    def __init__(
        self,
        config: Config,
        network: Network,
        engine: Engine,
        store: Store,
        lock: AbstractAsyncContextManager[Any],
        start_s: int,
    ) -> None:
        """`start_s`: Unix time, where the session versions begin. `lock` serialises changes."""
        self.state = State(config, config.sample_rate, network)
        self.clock = Clock()
        self.warnings: dict[str, str] = {}
        self.refusal: Refused | None = None
        self.controls: Mapping[str, Any] | None = None
        self._engine, self._store, self._lock = engine, store, lock
        self._plan = plan(self.state)
        self._applied: Plan | None = None
        self._counter = start_s
        self._versions: dict[int, int] = {}
        self._listeners: list[Callable[[Event], None]] = []

    # what is

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.state.config

    @property
    def sources(self) -> Mapping[int, Source]:
        """Sources by id, ascending."""
        return self.state.sources

    @property
    def sinks(self) -> Mapping[int, Sink]:
        """Sinks by id, ascending."""
        return self.state.sinks

    @property
    def plan(self) -> Plan:
        """The plan of the state in force."""
        return self._plan

    @property
    def computed(self) -> Computed:
        """The read-only values of the configuration."""
        return self.state.network.computed(self.config)

    def source(self, number: int) -> Source:
        """A source by id.

        Raises:
            Refused: there is none.
        """
        if number not in self.sources:
            raise Refused("id", number, NOT_IN_USE)
        return self.sources[number]

    def sink(self, number: int) -> Sink:
        """A sink by id.

        Raises:
            Refused: there is none.
        """
        if number not in self.sinks:
            raise Refused("id", number, NOT_IN_USE)
        return self.sinks[number]

    def description(self, number: int) -> str:
        """The session description of a source.

        Raises:
            Refused: there is none.
        """
        source = self.source(number)
        session = identity.session_id(self.state.network.address(self.config), number)
        version = (session + self._versions[number]) % 2**32
        return describe(
            source,
            Circumstances(
                self.config, self.state.network, self.state.rate, self.clock.gmid, version
            ),
        )

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` after every change."""
        self._listeners.append(listener)

    # changes of streams

    async def put_source(self, source: Source) -> None:
        """Add or replace a source.

        Raises:
            Refused: nothing has changed.
        """
        async with self._lock:
            source = automatic_address(source, self.config)
            check_source_name(source, self.sources.values())
            sources = dict(sorted({**self.sources, source.id: source}.items()))
            await self._enter(replace(self.state, sources=sources))
            self._bump(source.id)
            await self._save_status()
        self._tell(SourceChanged(source.id))

    async def delete_source(self, number: int) -> None:
        """Remove a source.

        Raises:
            Refused: there is none, or the engine refuses.
        """
        async with self._lock:
            description = self.description(number)
            sources = {key: each for key, each in self.sources.items() if key != number}
            await self._enter(replace(self.state, sources=sources))
            self._versions.pop(number, None)
            await self._save_status()
        self._tell(SourceRemoved(number, description))

    async def put_sink(self, sink: Sink) -> None:
        """Add or replace a sink; its `sdp` is in force, fetched before if need be.

        Raises:
            Refused: nothing has changed.
        """
        async with self._lock:
            check_sink_name(sink, self.sinks.values())
            check_reference_clock(sink, interpret(sink), self.config, self.clock.gmid)
            sinks = dict(sorted({**self.sinks, sink.id: sink}.items()))
            await self._enter(replace(self.state, sinks=sinks))
            await self._save_status()
        self._tell(SinkChanged(sink.id))

    async def delete_sink(self, number: int) -> None:
        """Remove a sink.

        Raises:
            Refused: there is none, or the engine refuses.
        """
        async with self._lock:
            self.sink(number)
            sinks = {key: each for key, each in self.sinks.items() if key != number}
            await self._enter(replace(self.state, sinks=sinks))
            await self._save_status()
        self._tell(SinkRemoved(number))

    async def restore(self, sources: list[Source], sinks: list[Sink]) -> list[str]:
        """Take over what the status file held, each entry by the rules of a request.

        Sinks are not compared with the grandmaster: at start there is none yet. Returns a sentence
        for each entry left out.
        """
        problems = []
        async with self._lock:
            state = self.state
            for source in sources:
                try:
                    check_source_name(source, state.sources.values())
                    changed = {**state.sources, source.id: source}
                    state = _valid(replace(state, sources=dict(sorted(changed.items()))))
                    self._bump(source.id)
                except Refused as refusal:
                    problems.append(f"source {source.id} left out: {refusal}")
            for sink in sinks:
                try:
                    check_sink_name(sink, state.sinks.values())
                    wanted = {**state.sinks, sink.id: sink}
                    state = _valid(replace(state, sinks=dict(sorted(wanted.items()))))
                except Refused as refusal:
                    problems.append(f"sink {sink.id} left out: {refusal}")
            await self._enter(state, keep_if_refused=True)
        return problems

    # changes of circumstances

    async def change_config(self, tree: Mapping[str, Any]) -> None:
        """Merge keys into the configuration and save it.

        Raises:
            TreeError: a value of a wrong type.
            Refused: a value out of range, or what follows from it cannot be done.
            OSError: the file could not be written; nothing has changed.
        """
        async with self._lock:
            before = self.state
            config = merged(before.config, tree)
            _check_interfaces(before, config)
            rate = before.rate
            if config.sample_rate != before.config.sample_rate:
                rate = config.sample_rate
            after = replace(before, config=config, rate=rate)
            await self._enter(after)
            try:
                await self._store.save_config(file_text(config, self.computed))
            except OSError:
                await self._enter(before, keep_if_refused=True)
                raise
            changed = frozenset(k for k in KEYS if getattr(config, k) != getattr(before.config, k))
            touched = self._bump_all() if _describes(before, after) else []
            if changed & {"status_file", "rtp_mcast_base"}:
                await self._save_status()
        if changed:
            self._tell(ConfigChanged(changed))
        for number in touched:
            self._tell(SourceChanged(number))

    async def change_network(self, network: Network) -> None:
        """Take note of other interfaces or addresses; never raises, a refusal is kept and shown."""
        async with self._lock:
            if network == self.state.network:
                return
            before = self.state
            await self._enter(replace(before, network=network), keep_if_refused=True)
            touched = self._bump_all() if _describes(before, self.state) else []
        for number in touched:
            self._tell(SourceChanged(number))

    async def change_rate(self, rate: int) -> None:
        """Run the device at another rate, without changing the configuration.

        Raises:
            Refused: nothing has changed.
        """
        async with self._lock:
            if rate == self.state.rate:
                return
            await self._enter(replace(self.state, rate=rate))
            touched = self._bump_all()
        for number in touched:
            self._tell(SourceChanged(number))

    async def change_clock(self, clock: Clock) -> None:
        """Take note of the clock's state; a new grandmaster is a new version of every source."""
        async with self._lock:
            before, self.clock = self.clock, clock
            touched = self._bump_all() if clock.gmid != before.gmid else []
        if clock != before:
            self._tell(ClockChanged(clock.status, clock.gmid))
        for number in touched:
            self._tell(SourceChanged(number))

    async def change_controls(self, controls: Mapping[str, Any]) -> None:
        """Keep volumes and switches of the device in the status file."""
        async with self._lock:
            if controls != self.controls:
                self.controls = dict(controls)
                await self._save_status()

    async def engine_connected(self) -> None:
        """Give a new engine the state in force; a refusal is kept and shown."""
        async with self._lock:
            self._applied = None
            await self._enter(self.state, keep_if_refused=True)

    async def save_status(self) -> None:
        """Write the status file, as at the end."""
        async with self._lock:
            await self._save_status()

    # how

    async def _enter(self, state: State, *, keep_if_refused: bool = False) -> None:
        """Put a state in force: plan, engine, then ours."""
        try:
            new = plan(state)
            await self._apply(new)
            self.refusal = None
        except Refused as refusal:
            if not keep_if_refused:
                raise
            self.refusal = refusal
            new = _valid_plan(state) or self._plan
        self.state, self._plan = state, new

    async def _apply(self, new: Plan) -> None:
        same = self._applied is not None and (self._applied.message, self._applied.tables) == (
            new.message,
            new.tables,
        )
        if same or not self._engine.connected:
            return
        before, self._applied = self._applied, None
        try:
            await self._engine.apply(new.message, new.tables)
        except ConnectionError:
            return
        except TimeoutError:
            self.refusal = Refused("engine", "", "the engine does not answer")
            raise self.refusal from None
        except Refused:
            self._applied = before
            raise
        self._applied = new

    async def _save_status(self) -> None:
        path = self.config.status_file
        if not path:
            return
        kept = status_object(self.sources.values(), self.sinks.values(), self.config)
        if self.controls is not None:
            kept["controls"] = self.controls
        try:
            await self._store.save_status(path, to_text(kept) + "\n")
            self.warnings.pop("status_file", None)
        except OSError as error:
            reason = error.strerror or str(error)
            self.warnings["status_file"] = f"status file {path} could not be written: {reason}"

    def _bump(self, number: int) -> None:
        self._counter += 1
        self._versions[number] = self._counter

    def _bump_all(self) -> list[int]:
        for number in self.sources:
            self._bump(number)
        return list(self.sources)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


def _check_interfaces(before: State, config: Config) -> None:
    if config.interfaces == before.config.interfaces:
        return
    for name in config.interfaces[:2]:
        if before.network.find(name) is None:
            there = ", ".join(each.name for each in before.network.interfaces)
            raise Refused("interface_name", name, f"no such interface; there are {there}")


def _valid(state: State) -> State:
    plan(state)
    return state


def _valid_plan(state: State) -> Plan | None:
    try:
        return plan(state)
    except Refused:
        return None


def _describes(before: State, after: State) -> bool:
    """Whether descriptions of sources differ between two states."""
    keys = ("rtp_port", "rtp_mcast_base", "ptp_domain", "custom_node_id", "ip_addr")
    assert set(keys) <= set(CONTRACT_KEYS)
    return (
        before.rate != after.rate
        or before.network.address(before.config) != after.network.address(after.config)
        or any(getattr(before.config, key) != getattr(after.config, key) for key in keys)
    )
