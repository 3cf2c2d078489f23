"""The plan: everything the engine is told, computed whole from configuration and streams.

A pure function. What it refuses has changed nothing; what it returns is complete, so the engine
swaps it between two ticks. Rows stand at the stream's id and carry an identity, so a stream that
did not change is recognised in the next plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aes67.session import rows
from aes67.session.checks import is_multicast
from aes67.session.clock_plan import clock_message, second_clock_message
from aes67.session.entries import Sockets, sink_entry, source_entry
from aes67.session.rows import SinkEntry, SinkLeg, SourceEntry
from aes67.session.state import State
from aes67.session.stream import SinkStream, interpret
from aes67.session.tick_grid import packet_lengths, spare_delays, speed_factor, tick_frames


@dataclass(frozen=True)
class Membership:
    """A multicast group to join on an interface, from one sender only if `source` says so."""

    interface: str
    group: str
    source: str | None = None


@dataclass(frozen=True)
class Plan:
    """What the engine gets (`message` without its serial, and `tables`), and what to say of it.

    `source_notes` and `sink_notes` are sentences by id; `streams` the descriptions as read; `legs`
    what each sink is received by, (interface, where it is sent, by whom only); `destinations` where
    each source is sent to, while it is.
    """

    message: dict[str, Any]
    tables: bytes
    source_notes: Mapping[int, tuple[str, ...]]
    sink_notes: Mapping[int, tuple[str, ...]]
    streams: Mapping[int, SinkStream]
    legs: Mapping[int, tuple[tuple[str, SinkLeg], ...]] = field(default_factory=dict)
    destinations: Mapping[int, str] = field(default_factory=dict)


def plan(state: State) -> Plan:
    """Compute the plan of a state.

    Raises:
        Refused: what cannot be done, and why.
    """
    sockets = Sockets()
    sources = {
        key: source_entry(state, each, sockets) for key, each in sorted(state.sources.items())
    }
    streams = {key: interpret(sink) for key, sink in sorted(state.sinks.items())}
    owners: dict[int, int] = {}
    sinks: dict[int, SinkEntry] = {}
    notes: dict[int, tuple[str, ...]] = {}
    for key, stream in streams.items():
        sinks[key], notes[key] = sink_entry(state, state.sinks[key], stream, sockets, owners)
    return Plan(
        message={
            "type": "plan",
            "rate": state.rate,
            "tick_frames": tick_frames(
                state.rate, packet_lengths(sources, sinks), spare_delays(sinks, state.rate)
            ),
            "device_channels": state.config.device_channels,
            "rate_follows_app": state.config.rate_follows_app,
            "cpu_latency_us": state.config.cpu_latency_us,
            "sender_name": state.sender_name,
            "playback_delay_frames": state.config.playout_delay * speed_factor(state.rate),
            "sockets": [{"interface": name, "port": port} for name, port in sockets.rows],
            "memberships": [
                {"interface": each.interface, "group": each.group, "source": each.source}
                for each in memberships(state, sinks)
            ],
            "clock": clock_message(state.config),
            **second_clock_message(state.config),
        },
        tables=rows.tables(sources, sinks),
        source_notes={key: _source_notes(key, sources) for key in sources},
        sink_notes=notes,
        streams=streams,
        legs={
            key: tuple((sockets.rows[leg.socket][0], leg) for leg in each.legs)
            for key, each in sinks.items()
        },
        destinations={
            key: each.legs[0].address for key, each in sources.items() if each.enabled
        },
    )


def memberships(state: State, sinks: Mapping[int, SinkEntry]) -> list[Membership]:
    """The groups all enabled sinks need, each once; a group wanted from anybody is one any-source
    membership, since a source-specific one beside it would add nothing."""
    wanted: dict[tuple[str, str], set[str]] = {}
    for entry in sinks.values():
        if not entry.enabled:
            continue
        for index, leg in enumerate(entry.legs):
            if is_multicast(leg.address):
                name = state.config.interfaces[index]
                included = set(entry.stream.legs[index].included) or {""}
                wanted.setdefault((name, leg.address), set()).update(included)
    return [
        Membership(name, group, source or None)
        for (name, group), senders in sorted(wanted.items())
        for source in ([""] if "" in senders else sorted(senders))
    ]


def _source_notes(key: int, sources: Mapping[int, SourceEntry]) -> tuple[str, ...]:
    entry = sources[key]
    if entry.source.enabled and not entry.enabled:
        return ("not sent: the network interface has no IPv4 address",)
    same = [
        other for other, each in sources.items()
        if other != key and each.enabled and entry.enabled
        and each.legs[0].address == entry.legs[0].address
    ]
    if same:
        return (f"source {same[0]} is sent to the same address and port",)
    return ()
