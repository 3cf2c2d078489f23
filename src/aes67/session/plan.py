"""The plan: everything the engine is told, computed whole from configuration and streams.

A pure function. What it refuses has changed nothing; what it returns is complete, so the engine
swaps it between two ticks. Rows stand at the stream's id and carry an identity, so a stream that
did not change is recognised in the next plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import gcd
from typing import Any

from aes67.config.clock import profiles
from aes67.config.model import Config
from aes67.errors import Refused
from aes67.session import identity, rows
from aes67.session.checks import (
    check_sink,
    check_source,
    effective_address,
    is_multicast,
)
from aes67.session.model import Sink, Source
from aes67.session.network import Network
from aes67.session.rows import SinkEntry, SinkLeg, SourceEntry, SourceLeg
from aes67.session.stream import SinkStream, interpret
from aes67.shm.layout import MAX_SOCKETS
from aes67.wire.sdp_media import Leg

UNICAST_TTL = 64
LOOPBACK = "lo"
TICK_MOST_FRAMES = 48
"""At 1 FS, more at a multiple of it: 1 ms. Each tick costs a wake-up, dear on virtual machines."""
TICK_LEAST_NS = 125_000
TICKS_OF_DELAY = 3
"""A sink's delay is a packet and this many ticks: one until it is collected, one until the bus is
made final, one for a tick that comes late."""


@dataclass(frozen=True)
class Membership:
    """A multicast group to join on an interface, from one sender only if `source` says so."""

    interface: str
    group: str
    source: str | None = None


@dataclass(frozen=True)
class State:
    """All a plan depends on. `rate` is the device's rate in force."""

    config: Config
    rate: int
    network: Network
    sources: Mapping[int, Source] = field(default_factory=dict)
    sinks: Mapping[int, Sink] = field(default_factory=dict)


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
    sockets = _Sockets()
    sources = {key: _source(state, each, sockets) for key, each in sorted(state.sources.items())}
    streams = {key: interpret(sink) for key, sink in sorted(state.sinks.items())}
    owners: dict[int, int] = {}
    sinks: dict[int, SinkEntry] = {}
    notes: dict[int, tuple[str, ...]] = {}
    for key, stream in streams.items():
        sinks[key], notes[key] = _sink(state, state.sinks[key], stream, sockets, owners)
    return Plan(
        message={
            "type": "plan",
            "rate": state.rate,
            "tick_frames": tick_frames(
                state.rate, _packet_lengths(sources, sinks), _spare_delays(sinks, state.rate)
            ),
            "device_channels": state.config.device_channels,
            "rate_follows_app": state.config.rate_follows_app,
            "playback_delay_frames": state.config.playout_delay * speed_factor(state.rate),
            "sockets": [{"interface": name, "port": port} for name, port in sockets.rows],
            "memberships": [
                {"interface": each.interface, "group": each.group, "source": each.source}
                for each in memberships(state, sinks)
            ],
            "clock": _clock(state.config),
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


def speed_factor(rate: int) -> int:
    """How many times 1 FS a rate is: 1, 2, 4 or 8."""
    return 1 if rate <= 48_000 else 2 if rate <= 96_000 else 4 if rate <= 192_000 else 8


def tick_frames(
    rate: int, packet_lengths: tuple[int, ...], spare_delays: tuple[int, ...] = ()
) -> int:
    """Frames between two ticks: if there is one, a divisor of all packet lengths, 125 us to 1 ms.

    The largest that leaves every sink its TICKS_OF_DELAY; 1 ms without streams. Lengths with no
    such divisor (a prime number of frames, or lengths that have next to nothing in common) get the
    finest grid: packets then leave up to 125 us late.

    Args:
        spare_delays: by how many frames the delay of each sink exceeds its packet.
    """
    least = -(-rate * TICK_LEAST_NS // 10**9)
    most = TICK_MOST_FRAMES * speed_factor(rate)
    for spare in spare_delays:
        most = min(most, max(spare // TICKS_OF_DELAY, least))
    if not packet_lengths:
        return most
    common = gcd(*packet_lengths)
    divisors = (each for each in range(most, least - 1, -1) if common % each == 0)
    return next(divisors, least)


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


class _Sockets:
    """The media sockets of a plan, each (interface, port) once."""

    def __init__(self) -> None:
        self.rows: list[rows.Socket] = []

    def row(self, interface: str, port: int) -> int:
        if (interface, port) not in self.rows:
            if len(self.rows) == MAX_SOCKETS:
                raise Refused("port", port, f"at most {MAX_SOCKETS} different UDP ports in use")
            self.rows.append((interface, port))
        return self.rows.index((interface, port))


def _clock(config: Config) -> dict[str, Any]:
    return {
        "mode": config.clock_mode,
        "interface": config.interfaces[0],
        "domain": config.ptp_domain,
        "dscp": config.ptp_dscp,
        "priority1": config.priority1,
        "priority2": config.ptp_priority2,
        "sync_interval": config.ptp_sync_interval,
        "announce_interval": config.ptp_announce_interval,
        "allowed_masters": [each for each in config.ptp_allowed_masters.split(",") if each],
        "asymmetry_ns": config.ptp_asymmetry_ns,
        "card_timestamps": config.ptp_card_timestamps,
        "link_delay_limit_ns": config.gptp_link_delay_limit_ns,
        "ports": [
            {"interface": interface, "profile": profile.name}
            for interface, profile in zip(config.interfaces[:2], profiles(config), strict=False)
        ],
    }


def _source(state: State, source: Source, sockets: _Sockets) -> SourceEntry:
    check_source(source, state.config)
    config = state.config
    address = effective_address(source, config)
    ttl = source.ttl if is_multicast(address) else UNICAST_TTL
    enabled = source.enabled and bool(state.network.address(config))
    legs: tuple[SourceLeg, ...] = ()
    if enabled:
        row = sockets.row(config.interfaces[0], config.rtp_port)
        legs = (SourceLeg(address, config.rtp_port, row),)
    stream = (source.codec, state.rate, len(source.map), source.max_samples_per_packet)
    number = identity.ssrc(state.network.node_id(config), source.id, *stream)
    whole = ("source", number, source.framing, source.payload_type, address, config.rtp_port)
    return SourceEntry(
        source=source.model_copy(update={"ttl": ttl}),
        legs=legs,
        ssrc=number,
        identity=identity.identity(*whole),
        enabled=enabled,
    )


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


def _sink(
    state: State, sink: Sink, stream: SinkStream, sockets: _Sockets, owners: dict[int, int]
) -> tuple[SinkEntry, tuple[str, ...]]:
    """Entry and notes of a sink; `owners` says which sink has a device channel, and is extended."""
    config, audio = state.config, stream.audio
    check_sink(sink, stream, config)
    notes = []
    enabled = True
    if audio.rate != state.rate:
        enabled = False
        notes.append(f"silent: the stream has {audio.rate} Hz, the device {state.rate} Hz")
    elif not state.network.address(config):
        enabled = False
        notes.append("not received: the network interface has no IPv4 address")
    channel_map = _owned(sink, audio.channels, owners if enabled else {}, notes)
    if stream.timing == "async":
        notes.append("runs as latched: resampling between clocks is not available yet")
    legs = []
    for index, leg in enumerate(_receivable(state, stream) if enabled else ()):
        source = leg.included[0] if len(leg.included) == 1 else ""
        address = state.network.address(config)
        row = sockets.row(arrives_on(state, config.interfaces[index], leg), leg.port)
        legs.append(SinkLeg(leg.address, leg.port, source, row))
        if index == 0 and not is_multicast(leg.address) and leg.address != address:
            notes.append(f"sent to {leg.address}, which is not this machine's {address}")
    whole = (
        "sink", sink.id, stream.codec, audio.payload_type, audio.rate, audio.channels,
        stream.offset, stream.timing, [(leg.address, leg.port, leg.source) for leg in legs],
    )
    return SinkEntry(
        sink=sink,
        stream=stream,
        legs=tuple(legs),
        map=channel_map,
        identity=identity.identity(*whole),
        enabled=enabled,
    ), tuple(notes)


def arrives_on(state: State, interface: str, leg: Leg) -> str:
    """The interface a leg's packets come in by.

    What another program on this machine sends to our own address never leaves it and comes in by
    `lo`; what we send ourselves comes back by the interface our sockets are bound to.
    """
    own = state.network.address(state.config)
    if is_multicast(leg.address) or leg.address != own or own not in leg.included:
        return interface
    ours = leg.port == state.config.rtp_port and any(
        each.enabled and effective_address(each, state.config) == own
        for each in state.sources.values()
    )
    return interface if ours else LOOPBACK


def _receivable(state: State, stream: SinkStream) -> tuple[Leg, ...]:
    """The legs for which there is an interface with an address."""
    names = state.config.interfaces[: len(stream.legs)]
    found = [state.network.find(name) for name in names]
    if len(found) > 1 and (found[1] is None or not found[1].addresses):
        return stream.legs[:1]
    return stream.legs[: len(found)]


def _owned(sink: Sink, channels: int, owners: dict[int, int], notes: list[str]) -> tuple[int, ...]:
    """The sink's map, one entry per stream channel: -1 where there is none, or another owns it."""
    if len(sink.map) != channels:
        notes.append(f"the map has {len(sink.map)} channels, the stream {channels}")
    result = []
    lost: dict[int, list[int]] = {}
    for channel in sink.map[:channels]:
        if channel in owners:
            lost.setdefault(owners[channel], []).append(channel)
            result.append(-1)
        else:
            owners[channel] = sink.id
            result.append(channel)
    for owner, taken in lost.items():
        who = f"sink {owner}" if owner != sink.id else "this sink already"
        notes.append(f"device channel {', '.join(map(str, taken))} belongs to {who}")
    return tuple(result) + (-1,) * (channels - len(result))


def _packet_lengths(
    sources: Mapping[int, SourceEntry], sinks: Mapping[int, SinkEntry]
) -> tuple[int, ...]:
    sent = [each.source.max_samples_per_packet for each in sources.values() if each.enabled]
    received = [each.stream.frames_per_packet for each in sinks.values() if each.enabled]
    return tuple(sorted({each for each in sent + received if each}))


def _spare_delays(sinks: Mapping[int, SinkEntry], rate: int) -> tuple[int, ...]:
    """What each enabled sink's delay leaves beyond a packet (one of unknown length: of 1 ms)."""
    return tuple(
        each.sink.delay - (each.stream.frames_per_packet or TICK_MOST_FRAMES * speed_factor(rate))
        for each in sinks.values()
        if each.enabled
    )
