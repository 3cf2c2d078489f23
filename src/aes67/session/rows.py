"""From sources and sinks to the rows the tick reads: `plan` judges, this packs."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aes67.session.model import Sink, Source
from aes67.session.stream import SinkStream, codec_number
from aes67.shm.layout import (
    MAX_SINKS,
    MAX_SOURCES,
    SINK_ROW,
    SOURCE_ROW,
    TIMING_DIRECT,
    TIMING_LATCHED,
)

Socket = tuple[str, int]
"""A media socket: (interface, port)."""


@dataclass(frozen=True)
class SourceLeg:
    """Where a copy of a source is sent to."""

    address: str
    port: int
    socket: int


@dataclass(frozen=True)
class SinkLeg:
    """Where a copy of a stream is received; `source` is the only sender allowed, "": any."""

    address: str
    port: int
    source: str
    socket: int


@dataclass(frozen=True)
class SourceEntry:
    """A source with everything its row needs; `ssrc` and `identity` as in session.identity."""

    source: Source
    legs: tuple[SourceLeg, ...]
    ssrc: int
    identity: int
    enabled: bool


@dataclass(frozen=True)
class SinkEntry:
    """A sink with everything its row needs; `map` has one entry per stream channel, -1: none."""

    sink: Sink
    stream: SinkStream
    legs: tuple[SinkLeg, ...]
    map: tuple[int, ...]
    identity: int
    enabled: bool


def tables(sources: Mapping[int, SourceEntry], sinks: Mapping[int, SinkEntry]) -> bytes:
    """The bytes of a plan's tables: MAX_SOURCES source rows, then MAX_SINKS sink rows by id."""
    source_rows = np.zeros(MAX_SOURCES, SOURCE_ROW.dtype)
    for index, source in sources.items():
        _fill_source(source_rows[index], source)
    sink_rows = np.zeros(MAX_SINKS, SINK_ROW.dtype)
    sink_rows["map"] = -1
    for index, sink in sinks.items():
        _fill_sink(sink_rows[index], sink)
    return source_rows.tobytes() + sink_rows.tobytes()


def _fill_source(row: Any, entry: SourceEntry) -> None:
    source = entry.source
    row["enabled"] = int(entry.enabled)
    row["identity"] = entry.identity
    row["ssrc"] = entry.ssrc
    row["payload_type"] = source.payload_type
    row["codec"] = codec_number(source.codec, source.framing)
    row["channels"] = len(source.map)
    row["frames_per_packet"] = source.max_samples_per_packet
    row["leg_count"] = len(entry.legs)
    for index, leg in enumerate(entry.legs):
        row["dest_ip"][index] = _number(leg.address)
        row["dest_port"][index] = leg.port
        row["socket"][index] = leg.socket
    row["ttl"] = source.ttl
    row["dscp"] = source.dscp
    row["map"][: len(source.map)] = source.map


def _fill_sink(row: Any, entry: SinkEntry) -> None:
    stream = entry.stream
    row["enabled"] = int(entry.enabled)
    row["identity"] = entry.identity
    row["payload_type"] = stream.audio.payload_type
    row["codec"] = stream.codec
    row["channels"] = stream.audio.channels
    row["frames_per_packet"] = stream.frames_per_packet or stream.audio.rate // 1000
    row["ts_offset"] = stream.offset
    row["delay_frames"] = entry.sink.delay
    row["timing"] = TIMING_DIRECT if stream.timing == "direct" else TIMING_LATCHED
    row["leg_count"] = len(entry.legs)
    for index, leg in enumerate(entry.legs):
        row["group_ip"][index] = _number(leg.address)
        row["port"][index] = leg.port
        row["source_ip"][index] = _number(leg.source) if leg.source else 0
        row["socket"][index] = leg.socket
    row["map"][: len(entry.map)] = entry.map


def _number(address: str) -> int:
    return int(ipaddress.IPv4Address(address))
