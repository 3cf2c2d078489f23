"""Taking new tables over, inside the tick and between two ticks."""

from __future__ import annotations

from aes67.engine.wiring import BANKS, DONE, Tick
from aes67.jit import inner
from aes67.media.depacketize import unlatch
from aes67.media.playout import MARK_BITS
from aes67.shm.layout import MAX_DEVICE_CHANNELS, MAX_LEGS, MAX_SINKS, MAX_SOURCES

NONE_YET = (1 << 63) - 1


@inner
def take_tables(tick: Tick, bank: int) -> None:
    """Make `bank` the one in force; rows of the same identity keep state and counters."""
    sending = tick.sending
    receiving = tick.receiving
    for s in range(MAX_SOURCES):
        identity = sending.rows[bank, s]["identity"]
        state = sending.state[s]
        if state["identity"] != identity:
            sending.state[s] = sending.blank[0]
            tick.telemetry.sources[s] = sending.blank_counters[0]
            state["identity"] = identity
            state["next_packet"] = -1
            tick.telemetry.sources[s]["identity"] = identity
        tick.telemetry.sources[s]["peak"] = 0
    for s in range(MAX_SINKS):
        take_sink(tick, bank, s)
    facts = tick.common.banks[bank]
    for device in range(MAX_DEVICE_CHANNELS):
        if facts["new_bus"] or receiving.owned[bank, device]:
            receiving.dirty_until[device] = 0
        elif receiving.owned[(bank + 1) % BANKS, device]:
            receiving.dirty_until[device] = tick.common.moment[DONE] + facts["bus_frames"]
    tick.telemetry.engine[0]["table_serial"] = facts["serial"]
    tick.telemetry.engine[0]["table_swaps"] += 1


@inner
def take_sink(tick: Tick, bank: int, s: int) -> None:
    """One sink's row: another identity begins from nothing."""
    receiving = tick.receiving
    row = receiving.rows[bank, s]
    state = receiving.state[s]
    counters = tick.telemetry.sinks[s]
    if state["identity"] != row["identity"]:
        receiving.state[s] = receiving.blank[0]
        tick.telemetry.sinks[s] = receiving.blank_counters[0]
        receiving.marks[s, : tick.common.banks[bank]["marks_frames"] // MARK_BITS] = 0
        state["identity"] = row["identity"]
        state["candidate"] = -1
        counters["identity"] = row["identity"]
        counters["ssrc"] = -1
        for leg in range(s * MAX_LEGS, (s + 1) * MAX_LEGS):
            way = tick.telemetry.legs[leg]
            tick.telemetry.legs[leg] = receiving.blank_leg[0]
            way["identity"] = row["identity"]
            way["ssrc"] = -1
            way["margin_min_frames"] = NONE_YET
        unlatch(row, state, counters)
    elif counters["latched"] == 0 or state["latched_before"] == 0:
        unlatch(row, state, counters)


@inner
def forget_time(tick: Tick, bank: int) -> None:
    """Media time has jumped: what was placed ahead belongs to another time, sinks begin anew.

    A sender beside us on the same clock has become another stream by now, with another SSRC.
    """
    receiving = tick.receiving
    facts = tick.common.banks[bank]
    for s in range(MAX_SINKS):
        if receiving.rows[bank, s]["enabled"]:
            receiving.marks[s, : facts["marks_frames"] // MARK_BITS] = 0
        receiving.state[s]["known"] = 0
        receiving.state[s]["candidate"] = -1
        tick.telemetry.sinks[s]["ssrc"] = -1
        for leg in range(s * MAX_LEGS, (s + 1) * MAX_LEGS):
            tick.telemetry.legs[leg]["ssrc"] = -1
        unlatch(receiving.rows[bank, s], receiving.state[s], tick.telemetry.sinks[s])
    for device in range(MAX_DEVICE_CHANNELS):
        if receiving.dirty_until[device]:
            receiving.dirty_until[device] = tick.common.moment[DONE] + facts["bus_frames"]
