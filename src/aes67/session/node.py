"""The node: the one place that changes control state.

Every change goes the same way: new state, plan of it (which may refuse), engine (which may refuse),
and only then is the state ours, saved and told. A refused change has changed nothing. Without an
engine a change is kept and applied when one comes.

What the engine must agree to goes one by one, so that plans keep their order: each has its turn,
and those that wait when one finds the engine silent are refused with it, not each after its own
time. (A new engine's first plan finds nothing: it may have to be waited for longer.)
Nothing else waits: reading, the clock, volumes and the status file go on beside a silent engine.

Pure in that it opens nothing: engine, store and lock are given, and time is a number.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

from aes67.config.model import KEYS, Config
from aes67.config.reading import file_text, merged
from aes67.session.checks import (
    check_interfaces,
    check_reference_clock,
    check_sink_name,
    check_source_name,
)
from aes67.session.contract import automatic_address
from aes67.session.describe import Clock, describes
from aes67.session.events import (
    ClockChanged,
    ConfigChanged,
    Event,
    SinkChanged,
    SinkRemoved,
    SourceChanged,
    SourceRemoved,
)
from aes67.session.in_force import Engine, InForce, silent
from aes67.session.model import Sink, Source
from aes67.session.network import Network
from aes67.session.state import State
from aes67.session.status import status_text, taken_over
from aes67.session.stream import interpret
from aes67.session.view import View


class Store(Protocol):
    """Where configuration and status are kept, written in the order of the calls; both raise
    OSError."""

    async def save_config(self, text: str) -> None:
        """Replace the configuration file."""

    async def save_status(self, path: str, text: str) -> None:
        """Replace the status file."""


class Node(View):
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
        """`start_s`: Unix time, where the session versions begin. `lock` gives changes their turns,
        first come, first served."""
        super().__init__(InForce(State(config, config.sample_rate, network), engine), start_s)
        self._store, self._lock = store, lock

    # changes of streams

    async def put_source(self, source: Source) -> None:
        """Add or replace a source.

        Raises:
            Refused: nothing has changed.
        """
        async with self._turn():
            source = automatic_address(source, self.config)
            check_source_name(source, self.sources.values())
            sources = dict(sorted({**self.sources, source.id: source}.items()))
            await self.in_force.enter(replace(self.state, sources=sources))
            self._versions.changed([source.id])
            await self.save_status()
        self._tell(SourceChanged(source.id))

    async def delete_source(self, number: int) -> None:
        """Remove a source.

        Raises:
            Refused: there is none, or the engine refuses.
        """
        async with self._turn():
            source = self.source(number)
            sources = {key: each for key, each in self.sources.items() if key != number}
            await self.in_force.enter(replace(self.state, sources=sources))
            description = self._describe(source)
            self._versions.removed(number)
            await self.save_status()
        self._tell(SourceRemoved(number, description))

    async def put_sink(self, sink: Sink) -> None:
        """Add or replace a sink; its `sdp` is in force, fetched before if need be.

        Raises:
            Refused: nothing has changed.
        """
        async with self._turn():
            await self._enter_sink(sink)
        self._tell(SinkChanged(sink.id))

    async def follow_sink(self, number: int, sdp: str) -> bool:
        """Give a sink a newer description of its source; False when it has gone or is as new.

        Raises:
            Refused: nothing has changed.
        """
        async with self._turn():
            sink = self.sinks.get(number)
            if sink is None or sink.sdp == sdp:
                return False
            await self._enter_sink(sink.model_copy(update={"sdp": sdp}))
        self._tell(SinkChanged(number))
        return True

    async def delete_sink(self, number: int) -> None:
        """Remove a sink.

        Raises:
            Refused: there is none, or the engine refuses.
        """
        async with self._turn():
            self.sink(number)
            sinks = {key: each for key, each in self.sinks.items() if key != number}
            await self.in_force.enter(replace(self.state, sinks=sinks))
            await self.save_status()
        self._tell(SinkRemoved(number))

    async def restore(self, sources: list[Source], sinks: list[Sink]) -> list[str]:
        """Take over what the status file held; a sentence for each entry left out."""
        async with self._lock:
            state, problems = taken_over(self.state, sources, sinks)
            self._versions.changed(state.sources)
            await self.in_force.adopt(state)
        return problems

    # changes of circumstances

    async def change_config(self, tree: Mapping[str, Any]) -> None:
        """Merge keys into the configuration and save it.

        Raises:
            TreeError: a value of a wrong type.
            Refused: a value out of range, or what follows from it cannot be done.
            OSError: the file could not be written; nothing has changed.
        """
        async with self._turn():
            before = self.state
            await self._enter_config(merged(before.config, tree))
            try:
                await self._store.save_config(file_text(self.config, self.computed))
            except OSError:
                await self.in_force.adopt(before)
                raise
            events = await self._config_changed(before)
        self._tell(*events)

    async def reload_config(self, config: Config) -> None:
        """Take a configuration that was read anew; the file stays as it is.

        Raises:
            Refused: what follows from it cannot be done; nothing has changed.
        """
        async with self._turn():
            before = self.state
            await self._enter_config(config)
            events = await self._config_changed(before)
        self._tell(*events)

    async def change_network(self, network: Network) -> None:
        """Take note of other interfaces or addresses; never raises, a refusal is kept and shown."""
        async with self._lock:
            before = self.state
            if network == before.network:
                return
            await self.in_force.adopt(replace(before, network=network))
            events = self._redescribed(before)
        self._tell(*events)

    async def change_rate(self, rate: int) -> None:
        """Run the device at another rate, without changing the configuration.

        Raises:
            Refused: nothing has changed.
        """
        async with self._turn():
            before = self.state
            await self.in_force.enter(replace(before, rate=rate))
            events = self._redescribed(before)
        self._tell(*events)

    async def change_clock(self, clock: Clock) -> None:
        """Take note of the clock's state; a new grandmaster is a new version of every source."""
        before, self.clock = self.clock, clock
        if clock != before:
            self._tell(ClockChanged(clock.status, clock.gmid))
        if clock.gmid != before.gmid:
            self._tell(*self._all_changed())

    async def change_controls(self, controls: Mapping[str, Any]) -> None:
        """Keep volumes and switches of the device in the status file."""
        if controls != self.controls:
            self.controls = dict(controls)
            await self.save_status()

    async def engine_connected(self) -> None:
        """Give a new engine the state in force; a refusal is kept and shown."""
        async with self._lock:
            await self.in_force.greet()

    async def ask_engine_again(self) -> None:
        """Give an engine that refused, or was silent, the state in force once more.

        If it is silent still, changes that wait are refused with it; the refusal is kept and shown.
        """
        async with self._lock:
            await self.in_force.ask_again()

    async def save_status(self) -> None:
        """Write the status file as things are; a warning says when it cannot be written."""
        path = self.config.status_file
        if not path:
            return
        try:
            await self._store.save_status(path, status_text(self.state, self.controls))
            self.warn("status_file", "")
        except OSError as error:
            reason = error.strerror or str(error)
            self.warn("status_file", f"status file {path} could not be written: {reason}")

    def warn(self, key: str, problem: str) -> bool:
        """Show a problem among the warnings, an empty one no more; whether it is a new one."""
        if not problem:
            self.warnings.pop(key, None)
            return False
        is_new = self.warnings.get(key) != problem
        self.warnings[key] = problem
        return is_new

    # how

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The turn of a change that may be refused.

        Raises:
            Refused: a change before this one has found the engine silent meanwhile.
        """
        silences = self.in_force.silences
        async with self._lock:
            if self.in_force.silences != silences:
                raise silent()
            yield

    async def _enter_sink(self, sink: Sink) -> None:
        check_sink_name(sink, self.sinks.values())
        stream = interpret(sink)
        check_reference_clock(sink, stream, self.config, self.clock.gmid, self.other_clock)
        sinks = dict(sorted({**self.sinks, sink.id: sink}.items()))
        await self.in_force.enter(replace(self.state, sinks=sinks))
        await self.save_status()

    async def _enter_config(self, config: Config) -> None:
        before = self.state
        check_interfaces(config, before.config, before.network)
        same_rate = config.sample_rate == before.config.sample_rate
        rate = before.rate if same_rate else config.sample_rate
        await self.in_force.enter(replace(before, config=config, rate=rate))

    async def _config_changed(self, before: State) -> list[Event]:
        old, new = before.config, self.config
        changed = frozenset(key for key in KEYS if getattr(new, key) != getattr(old, key))
        if changed & {"status_file", "rtp_mcast_base"}:
            await self.save_status()
        told: list[Event] = [ConfigChanged(changed)] if changed else []
        return told + self._redescribed(before)

    def _redescribed(self, before: State) -> list[Event]:
        return self._all_changed() if describes(before, self.state) else []

    def _all_changed(self) -> list[Event]:
        self._versions.changed(self.sources)
        return [SourceChanged(number) for number in self.sources]
