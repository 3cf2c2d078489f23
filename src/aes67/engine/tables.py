"""The tables a plan brings: checked row by row, then laid out in the bank that is not in force."""

from __future__ import annotations

from typing import Any

import numpy as np

from aes67.engine.mmsg import NAME_BYTES, SEND_CONTROL_BYTES, address_of, ipv4_name, send_control
from aes67.engine.plan import Plan
from aes67.engine.wiring import BATCH, SEND_BURST, Tick
from aes67.errors import Refused
from aes67.media.demux import EMPTY, insert
from aes67.media.pcm import sample_bytes
from aes67.shm.layout import (
    CODEC_AM824_AES3,
    CODEC_L16,
    MAX_LEGS,
    MAX_SINKS,
    MAX_SOURCES,
    MAX_STREAM_CHANNELS,
    SINK_ROW,
    SOURCE_ROW,
    TIMING_ASYNC,
    TIMING_DIRECT,
    delay_limit_frames,
    early_limit_frames,
)
from aes67.wire.payload import BLOCK_FRAMES, MAX_PAYLOAD_BYTES, channel_status

Rows = np.ndarray[Any, Any]

TABLE_BYTES = MAX_SOURCES * SOURCE_ROW.size + MAX_SINKS * SINK_ROW.size
_PACKET_SHARE = 100
"""Marks reach 1/100 s further than a packet may: what the longest one covers."""
_STALL_SHARE = 50
"""The bus is made final before receiving after 1/50 s: marks must reach that much further."""


def read_tables(plan: Plan, tables: bytes) -> tuple[Rows, Rows]:
    """Source and sink rows out of the memory control sent.

    Raises:
        Refused: wrong size, or a row with a value outside its range.
    """
    if len(tables) < TABLE_BYTES:
        raise Refused("tables", len(tables), f"has {TABLE_BYTES} bytes")
    sources = np.frombuffer(tables, SOURCE_ROW.dtype, MAX_SOURCES).copy()
    sinks = np.frombuffer(tables, SINK_ROW.dtype, MAX_SINKS, MAX_SOURCES * SOURCE_ROW.size).copy()
    for index, row in enumerate(sources):
        if row["enabled"]:
            _check_source(f"sources[{index}]", row, plan)
    for index, row in enumerate(sinks):
        if row["enabled"]:
            _check_sink(f"sinks[{index}]", row, plan)
    return sources, sinks


def _within(name: str, row: Any, field: str, low: int, high: int) -> None:
    value = int(row[field])
    if not low <= value <= high:
        raise Refused(f"{name}.{field}", value, f"is {low} to {high}")


def _check_stream(name: str, row: Any, plan: Plan, lowest_channel: int) -> None:
    """What sources and sinks have in common."""
    _within(name, row, "enabled", 1, 1)
    _within(name, row, "payload_type", 0, 127)
    _within(name, row, "codec", CODEC_L16, CODEC_AM824_AES3)
    _within(name, row, "channels", 1, MAX_STREAM_CHANNELS)
    _within(name, row, "frames_per_packet", 1, MAX_PAYLOAD_BYTES)
    _within(name, row, "ts_offset", 0, 2**32 - 1)
    _within(name, row, "leg_count", 1, MAX_LEGS)
    for leg in range(int(row["leg_count"])):
        if not 0 <= row["socket"][leg] < len(plan.sockets):
            raise Refused(f"{name}.socket", int(row["socket"][leg]), "is a row of the sockets")
    for channel in row["map"][: row["channels"]]:
        if not lowest_channel <= channel < plan.device_channels:
            raise Refused(
                f"{name}.map", int(channel), f"is {lowest_channel} to {plan.device_channels - 1}"
            )


def _check_source(name: str, row: Any, plan: Plan) -> None:
    _check_stream(name, row, plan, 0)
    _within(name, row, "ssrc", 0, 2**32 - 1)
    _within(name, row, "ttl", 1, 255)
    _within(name, row, "dscp", 0, 63)
    size = int(row["channels"] * row["frames_per_packet"]) * sample_bytes(int(row["codec"]))
    if size > MAX_PAYLOAD_BYTES:
        rule = f"makes payloads of {size} octets, more than {MAX_PAYLOAD_BYTES}"
        raise Refused(f"{name}.frames_per_packet", int(row["frames_per_packet"]), rule)
    for leg in range(int(row["leg_count"])):
        if not 0 < row["dest_ip"][leg] < 2**32:
            raise Refused(f"{name}.dest_ip", int(row["dest_ip"][leg]), "is an IPv4 address")
        if not 0 < row["dest_port"][leg] < 2**16:
            raise Refused(f"{name}.dest_port", int(row["dest_port"][leg]), "is 1 to 65535")


def _check_sink(name: str, row: Any, plan: Plan) -> None:
    _check_stream(name, row, plan, -1)
    _within(name, row, "delay_frames", 0, delay_limit_frames(plan.rate))
    _within(name, row, "timing", TIMING_DIRECT, TIMING_ASYNC)
    for leg in range(int(row["leg_count"])):
        if not 0 < row["group_ip"][leg] < 2**32:
            raise Refused(f"{name}.group_ip", int(row["group_ip"][leg]), "is an IPv4 address")
        if not 0 <= row["source_ip"][leg] < 2**32:
            raise Refused(f"{name}.source_ip", int(row["source_ip"][leg]), "is an IPv4 address")
        port = plan.sockets[int(row["socket"][leg])].port
        if row["port"][leg] != port:
            raise Refused(f"{name}.port", int(row["port"][leg]), f"is its socket's, {port}")


def check_owners(sinks: Rows) -> None:
    """A device channel has one sink that writes it.

    Raises:
        Refused: two have the same one.
    """
    owners: dict[int, int] = {}
    for index, row in enumerate(sinks):
        if row["enabled"]:
            for channel in row["map"][: row["channels"]]:
                if channel >= 0 and owners.setdefault(int(channel), index) != index:
                    raise Refused(f"sinks[{index}].map", int(channel),
                                  f"is written by sink {owners[int(channel)]}")  # fmt: skip


def fill_bank(
    tick: Tick, bank: int, plan: Plan, rows: tuple[Rows, Rows], descriptors: list[int]
) -> None:
    """Lay a checked plan out in a bank the tick does not look at, all but the bus."""
    sources, sinks = rows
    facts = tick.common["banks"][bank]
    facts["serial"] = plan.serial
    facts["rate"] = plan.rate
    facts["tick_frames"] = plan.tick_frames
    facts["device_channels"] = plan.device_channels
    facts["early_limit"] = early_limit_frames(plan.rate)
    facts["marks_frames"] = marks_frames_for(plan.rate)
    facts["socket_count"] = len(plan.sockets)
    facts["descriptor"][:] = -1
    facts["descriptor"][: len(descriptors)] = descriptors
    tick.sending["rows"][bank] = sources
    tick.receiving["rows"][bank] = sinks
    _fill_sending(tick, bank, plan, sources)
    _fill_receiving(tick, bank, plan, sinks)


def marks_frames_for(rate: int) -> int:
    """Ring of marks: all a packet can reach after a stall, a power of two."""
    reach = early_limit_frames(rate) + rate // _STALL_SHARE + rate // _PACKET_SHARE
    return 1 << (reach - 1).bit_length()


def _fill_sending(tick: Tick, bank: int, plan: Plan, sources: Rows) -> None:
    sending = tick.sending
    counts = [0] * len(plan.sockets)
    for s, row in enumerate(sources):
        if not row["enabled"]:
            continue
        for leg in range(int(row["leg_count"])):
            counts[int(row["socket"][leg])] += SEND_BURST
            name = ipv4_name(int(row["dest_ip"][leg]), int(row["dest_port"][leg]))
            control = send_control(int(row["ttl"]), int(row["dscp"]))
            sending["names"][bank, s, leg] = np.frombuffer(name, "u1")
            sending["controls"][bank, s, leg] = np.frombuffer(control, "u1")
            template = sending["templates"][bank, s, leg]
            template["name"] = address_of(sending["names"][bank, s, leg])
            template["name_length"] = NAME_BYTES
            template["vector_length"] = 1
            template["control"] = address_of(sending["controls"][bank, s, leg])
            template["control_length"] = SEND_CONTROL_BYTES
    starts = np.cumsum([0, *counts])[:-1]
    tick.common["banks"][bank]["send_start"][: len(starts)] = starts
    status = np.frombuffer(channel_status(plan.rate), "u1")
    bits = np.unpackbits(status, bitorder="little")
    assert len(bits) == BLOCK_FRAMES
    sending["channel_status"][bank] = bits


def _fill_receiving(tick: Tick, bank: int, plan: Plan, sinks: Rows) -> None:
    receiving = tick.receiving
    receiving["keys"][bank] = EMPTY
    receiving["owned"][bank] = 0
    expected = [0] * len(plan.sockets)
    for s in reversed(range(len(sinks))):
        row = sinks[s]
        if not row["enabled"]:
            continue
        for leg in range(int(row["leg_count"])):
            k = int(row["socket"][leg])
            insert(receiving["keys"][bank], receiving["heads"][bank], receiving["chain"][bank],
                   k, int(row["group_ip"][leg]), s * MAX_LEGS + leg)  # fmt: skip
            expected[k] += -(-plan.tick_frames // int(row["frames_per_packet"]))
        for channel in row["map"][: row["channels"]]:
            if channel >= 0:
                receiving["owned"][bank, channel] = 1
    budget = tick.common["banks"][bank]["budget"]
    for k, packets in enumerate(expected):
        budget[k] = 2 * packets + BATCH
