"""Taking new tables over, inside the tick and between two ticks."""

from __future__ import annotations

from typing import Any

from aes67.engine.wiring import BANKS, Common, Receiving, Sending
from aes67.jit import inner
from aes67.media.depacketize import unlatch
from aes67.shm.layout import MAX_DEVICE_CHANNELS, MAX_SINKS, MAX_SOURCES

NONE_YET = (1 << 63) - 1


@inner
def take_tables(
    common: Common, sending: Sending, receiving: Receiving, bank: int, done: int
) -> None:
    """Make `bank` the one in force; rows of the same identity keep state and counters.

    Args:
        done: bus frames below this are final.
    """
    for s in range(MAX_SOURCES):
        identity = sending.rows[bank, s]["identity"]
        if sending.state[s]["identity"] != identity:
            sending.state_words[s, :] = 0
            sending.counter_words[s, :] = 0
            sending.state[s]["identity"] = identity
            sending.counters[s]["identity"] = identity
            sending.state[s]["next_packet"] = -1
        sending.counters[s]["peak"] = 0
    for s in range(MAX_SINKS):
        take_sink(receiving, bank, s)
    facts = common.banks[bank]
    for device in range(MAX_DEVICE_CHANNELS):
        if facts["new_bus"] or receiving.owned[bank, device]:
            receiving.dirty_until[device] = 0
        elif receiving.owned[(bank + 1) % BANKS, device]:
            receiving.dirty_until[device] = done + facts["bus_frames"]
    common.engine[0]["table_serial"] = facts["serial"]
    common.engine[0]["table_swaps"] += 1


@inner
def take_sink(receiving: Receiving, bank: int, s: int) -> None:
    """One sink's row: another identity begins from nothing."""
    row = receiving.rows[bank, s]
    state = receiving.state[s]
    counters = receiving.counters[s]
    if state["identity"] != row["identity"]:
        receiving.state_words[s, :] = 0
        receiving.counter_words[s, :] = 0
        receiving.marks[s, :] = 0
        state["identity"] = row["identity"]
        state["candidate"] = -1
        counters["identity"] = row["identity"]
        counters["ssrc"] = -1
        counters["margin_min_frames"] = NONE_YET
        unlatch(row, state, counters)
    elif counters["latched"] == 0 or state["latched_before"] == 0:
        unlatch(row, state, counters)


@inner
def forget_time(receiving: Receiving, rows: Any, clean_from: int) -> None:
    """Media time has jumped: what was placed ahead belongs to another time, sinks begin anew.

    A sender beside us on the same clock has become another stream by now, with another SSRC.

    Args:
        clean_from: the bus frame by which every slot will have been passed over once.
    """
    for s in range(MAX_SINKS):
        receiving.marks[s, :] = 0
        receiving.state[s]["known"] = 0
        receiving.state[s]["candidate"] = -1
        receiving.counters[s]["ssrc"] = -1
        unlatch(rows[s], receiving.state[s], receiving.counters[s])
    for device in range(MAX_DEVICE_CHANNELS):
        if receiving.dirty_until[device]:
            receiving.dirty_until[device] = clean_from
