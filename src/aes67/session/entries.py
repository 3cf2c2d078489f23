"""Entries of a plan: a source or sink as wished for becomes one the engine can run, or is refused.

What only circumstances forbid (no address, another rate) leaves an entry that is off, and a note.
"""

from __future__ import annotations

from aes67.config.clock import media_clock, second_clock
from aes67.errors import Refused
from aes67.session import identity, rows
from aes67.session.checks import check_sink, check_source, effective_address, is_multicast
from aes67.session.model import Sink, Source
from aes67.session.rows import SinkEntry, SinkLeg, SourceEntry, SourceLeg
from aes67.session.state import State
from aes67.session.stream import SinkStream
from aes67.shm.layout import MAX_SOCKETS
from aes67.wire.sdp_stream import Leg

UNICAST_TTL = 64
LOOPBACK = "lo"


class Sockets:
    """The media sockets of a plan, each (interface, port) once."""

    def __init__(self) -> None:
        self.rows: list[rows.Socket] = []

    def row(self, interface: str, port: int) -> int:
        """Index of the socket of an interface and port.

        Raises:
            Refused: there would be more than MAX_SOCKETS.
        """
        if (interface, port) not in self.rows:
            if len(self.rows) == MAX_SOCKETS:
                raise Refused("port", port, f"at most {MAX_SOCKETS} different UDP ports in use")
            self.rows.append((interface, port))
        return self.rows.index((interface, port))


def source_entry(state: State, source: Source, sockets: Sockets) -> SourceEntry:
    """Entry of a source; its socket is added to `sockets`.

    Raises:
        Refused: it cannot be sent.
    """
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
    name = state.sender_name or state.network.node_id(config)
    number = identity.ssrc(name, source.id, *stream)
    whole = ("source", number, source.framing, source.payload_type, address, config.rtp_port)
    return SourceEntry(
        source=source.model_copy(update={"ttl": ttl}),
        legs=legs,
        ssrc=number,
        identity=identity.identity(*whole),
        enabled=enabled,
    )


def sink_entry(
    state: State, sink: Sink, stream: SinkStream, sockets: Sockets, owners: dict[int, int]
) -> tuple[SinkEntry, tuple[str, ...]]:
    """Entry and notes of a sink; its sockets are added to `sockets`.

    Args:
        owners: which sink has a device channel; extended.

    Raises:
        Refused: it cannot be received.
    """
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
    channel_map = _owned(state, sink, audio.channels, owners if enabled else {}, notes)
    if stream.timing == "async":
        notes.append("runs as latched: resampling between clocks is not available yet")
    second = second_clock(config)
    if second and len(stream.legs) > 1 and config.interfaces[1:2] == config.timed_on[1:2]:
        notes.append(
            f"the second leg comes from the network of the clock {second}: its sender must run on "
            f"the time of {media_clock(config)}"
        )
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


def _owned(
    state: State, sink: Sink, channels: int, owners: dict[int, int], notes: list[str]
) -> tuple[int, ...]:
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
        which = f"device channel {', '.join(map(str, taken))}"
        if owner == sink.id:
            notes.append(f"{which} is in the map twice: it carries what the map names first")
        else:
            whose = f"sink {owner} ({state.sinks[owner].name})"
            notes.append(
                f"{which} belongs to {whose} and is not filled by this sink: "
                f"map it to other channels, or remove sink {owner}"
            )
    return tuple(result) + (-1,) * (channels - len(result))
