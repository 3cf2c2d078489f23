"""What happened to the control state, for whoever announces, follows or shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceChanged:
    """A source was added, replaced, or its description changed (grandmaster, rate, address)."""

    id: int


@dataclass(frozen=True)
class SourceRemoved:
    """A source is gone; `description` is its last one, for whoever must take it back."""

    id: int
    description: str


@dataclass(frozen=True)
class SinkChanged:
    """A sink was added or replaced."""

    id: int


@dataclass(frozen=True)
class SinkRemoved:
    """A sink is gone."""

    id: int


@dataclass(frozen=True)
class ConfigChanged:
    """Parameters changed; `keys` says which."""

    keys: frozenset[str]


@dataclass(frozen=True)
class ClockChanged:
    """State of the clock (`unlocked`, `locking`, `locked`) or grandmaster changed."""

    status: str
    gmid: str


Event = SourceChanged | SourceRemoved | SinkChanged | SinkRemoved | ConfigChanged | ClockChanged
