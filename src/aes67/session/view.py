"""The node as those see it who change nothing: services, the API, the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aes67.config.model import Config
from aes67.config.reading import Computed
from aes67.errors import Refused
from aes67.session.describe import Circumstances, Clock, describe
from aes67.session.events import Event
from aes67.session.in_force import InForce
from aes67.session.model import Sink, Source
from aes67.session.plan import Plan
from aes67.session.reference_clock import OtherClock
from aes67.session.renderings import Way
from aes67.session.state import State
from aes67.session.versions import Versions

NOT_IN_USE = "stream not in use"


class View:
    """What holds. `start_s`: Unix time, where the session versions begin."""

    def __init__(self, in_force: InForce, start_s: int) -> None:
        self.clock = Clock()
        self.other_clock: OtherClock | None = None
        """The second clock domain, while it has a grandmaster; whoever hears of it sets it."""
        self.warnings: dict[str, str] = {}
        self.controls: Mapping[str, Any] | None = None
        self.in_force = in_force
        self._versions = Versions(start_s)
        self._listeners: list[Callable[[Event], None]] = []

    @property
    def state(self) -> State:
        """Everything a plan depends on, as it is in force."""
        return self.in_force.state

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
        return self.in_force.plan

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

    def description(self, number: int, way: Way = "http") -> str:
        """The session description of a source, in the form it has on this way.

        Raises:
            Refused: there is none.
        """
        return self._describe(self.source(number), way)

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` after every change."""
        self._listeners.append(listener)

    def _describe(self, source: Source, way: Way = "http") -> str:
        network = self.state.network
        version = self._versions.version(source.id, network.address(self.config))
        now = Circumstances(self.config, network, self.state.rate, self.clock.gmid, version)
        return describe(source, now, getattr(source, f"sdp_{way}"))

    def _tell(self, *events: Event) -> None:
        for event in events:
            for listener in self._listeners:
                listener(event)
