"""Every array the tick works on, made once at start: it allocates nothing, is given nothing later.

What a plan changes is there twice (a bank each), and the tick changes banks between two ticks. Only
the bus and the playback rings come and go; they are found by address.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from aes67.engine.mmsg import (
    MESSAGE,
    NAME_BYTES,
    RECEIVE_CONTROL_BYTES,
    SEND_CONTROL_BYTES,
    VECTOR,
    address_of,
)
from aes67.media.demux import TABLE_SIZE
from aes67.media.depacketize import HISTORY_PACKETS
from aes67.media.pcm import SLACK_WORDS
from aes67.media.state import PCM_STATE, SINK_STATE, SOURCE_STATE
from aes67.shm.layout import (
    MAX_DEVICE_CHANNELS,
    MAX_LEGS,
    MAX_PCMS,
    MAX_SINKS,
    MAX_SOCKETS,
    MAX_SOURCES,
    SINK_ROW,
    SOURCE_ROW,
)
from aes67.wire.payload import BLOCK_FRAMES

Array = np.ndarray[Any, Any]

BANKS = 2
DATAGRAM_BYTES = 2048
"""Longest datagram taken; a longer one is truncated by the kernel and counted as malformed."""
PACKET_WORDS = DATAGRAM_BYTES // 4 + SLACK_WORDS
SAMPLES = DATAGRAM_BYTES // 2 + SLACK_WORDS
"""Samples of the longest payload (16 bits each)."""
BATCH = 64
"""Datagrams asked for at once."""
SEND_BURST = 8
"""Packets of one source that one tick may send; a stall is caught up over several ticks."""
SEND_MESSAGES = MAX_SOURCES * MAX_LEGS * SEND_BURST
MARKS_FRAMES_MAX = 1 << 17
"""Longest ring of marks: of 384 kHz."""

# words of `control`; the first line is written by ordinary threads, the second by the tick
STOP = 0
WANTED_SWAP = 1
"""Count of table swaps asked for; the bank of swap n is n modulo BANKS."""
PLAYBACK_GAIN = 2
CAPTURE_GAIN = 3
PCM_CHANGES = 4
"""Count of playback streams opened and closed."""
TAKEN_SWAP = 8
ROUNDS = 9
"""Ticks finished."""
CONTROL_WORDS = 16

# words of a playback slot; written by ordinary threads but for SLOT_CLOSING -> SLOT_EMPTY
SLOT_STATE = 0
SLOT_STREAM_ID = 1
SLOT_HEADER = 2
SLOT_RING = 3
SLOT_RING_FRAMES = 4
SLOT_CHANNELS = 5
SLOT_FIRST = 6
SLOT_WORDS = 8

SLOT_EMPTY = 0
SLOT_OPEN = 1
SLOT_CLOSING = 2
"""To be emptied by the tick when what was due has been packed."""

# words of `media`: the clock page's first record after its lock
RAW_NS = 0
MEDIA_NS = 1
RATE_Q40 = 2
EPOCH = 3
STATE = 4
SESSION_EPOCH = 6
MEDIA_WORDS = 7

# words of `moment`: what one round of the tick finds out and the next one needs
MONO = 0
"""CLOCK_MONOTONIC at wake-up."""
RAW = 1
"""CLOCK_MONOTONIC_RAW at that instant."""
NOW_NS = 2
"""Media time at that instant."""
NOW = 3
"""Media frame at that instant; -1: media time has jumped, or none is known yet."""
DONE = 4
"""The bus is final for frames below this."""
TARGET = 5
"""Instant of CLOCK_MONOTONIC the thread slept to, 0: it did not."""
KNOWN_EPOCH = 6
KNOWN_CHANGES = 7
"""PCM_CHANGES at the last look."""
MOMENT_WORDS = 8

LINE_WORDS = 5
"""Fields of a stream header's line 1 after its lock."""

BANK = np.dtype(
    [(name, "<i8") for name in (
        "serial", "rate", "tick_frames", "device_channels", "new_bus", "bus_address",
        "bus_frames", "marks_frames", "early_limit", "socket_count",
    )] + [
        ("descriptor", "<i8", (MAX_SOCKETS,)),
        ("budget", "<i8", (MAX_SOCKETS,)),
        ("send_start", "<i8", (MAX_SOCKETS,)),
    ]
)  # fmt: skip
"""What a plan says beyond its rows. `new_bus`: frame numbers or the bus are others than before;
`budget`: datagrams taken from a socket in one tick; `send_start`: its first row in `messages`."""


class Common(NamedTuple):
    """What every part of the tick needs."""

    control: Array
    """int64, see the words above"""
    clock: Array
    """the clock page as words"""
    engine: Array
    """the one record of ENGINE_COUNTERS"""
    media: Array
    """the tick's copy of the clock page's first record"""
    moment: Array
    timespec: Array
    banks: Array


class Playing(NamedTuple):
    """Playback streams."""

    slots: Array
    state: Array
    state_words: Array
    counters: Array
    counter_words: Array
    cover: Array
    """[source][n]: slot * 4 + how it covers the source's map (see media.gather.covers)"""
    cover_count: Array
    line: Array
    """copy of one stream header's line 1"""


class Sending(NamedTuple):
    """Sources."""

    rows: Array
    state: Array
    state_words: Array
    counters: Array
    counter_words: Array
    packets: Array
    """[source][burst] of words: header and payload"""
    vectors: Array
    templates: Array
    """[bank][source][leg] of MESSAGE with name and control set"""
    names: Array
    controls: Array
    channel_status: Array
    """[bank][frame of the block]: the C bit"""
    messages: Array
    """SEND_MESSAGES of MESSAGE, each socket's from its `send_start` on"""
    message_source: Array
    filled: Array
    """messages of each socket in this tick"""
    samples: Array
    sums: Array


class Receiving(NamedTuple):
    """Sinks and the bus."""

    rows: Array
    state: Array
    state_words: Array
    counters: Array
    counter_words: Array
    history: Array
    marks: Array
    words: Array
    """[BATCH] datagrams"""
    messages: Array
    vectors: Array
    names: Array
    controls: Array
    keys: Array
    heads: Array
    chain: Array
    samples: Array
    dirty_until: Array
    """[device channel]: without an owner, zeroed as time passes up to this frame; 0: clean"""
    owned: Array
    """[bank][device channel]: 1 when a sink writes it"""


class Tick(NamedTuple):
    """Everything."""

    common: Common
    playing: Playing
    sending: Sending
    receiving: Receiving


def _words(records: Array) -> Array:
    """The same memory as int64 [record][word]."""
    return records.view("<i8").reshape(len(records), -1)


def make_common(clock: Array, counters: Array) -> Common:
    """`clock`: the page as words; `counters`: the one-record array of ENGINE_COUNTERS."""
    return Common(
        control=np.zeros(CONTROL_WORDS, "<i8"),
        clock=clock,
        engine=counters,
        media=np.zeros(MEDIA_WORDS, "<i8"),
        moment=np.zeros(MOMENT_WORDS, "<i8"),
        timespec=np.zeros(2, "<i8"),
        banks=np.zeros(BANKS, BANK),
    )


def make_playing(counters: Array) -> Playing:
    """Empty slots; `counters`: PCM_COUNTERS of the telemetry."""
    state = np.zeros(MAX_PCMS, PCM_STATE)
    return Playing(
        slots=np.zeros((MAX_PCMS, SLOT_WORDS), "<i8"),
        state=state,
        state_words=_words(state),
        counters=counters,
        counter_words=_words(counters),
        cover=np.zeros((MAX_SOURCES, MAX_PCMS), "<i8"),
        cover_count=np.zeros(MAX_SOURCES, "<i8"),
        line=np.zeros(LINE_WORDS, "<i8"),
    )


def make_sending(counters: Array) -> Sending:
    """No source enabled; `counters`: SOURCE_COUNTERS of the telemetry."""
    legs = (BANKS, MAX_SOURCES, MAX_LEGS)
    state = np.zeros(MAX_SOURCES, SOURCE_STATE)
    packets = np.zeros((MAX_SOURCES, SEND_BURST, PACKET_WORDS), "<i4")
    vectors = np.zeros((MAX_SOURCES, SEND_BURST), VECTOR)
    stride = packets.strides[1]
    vectors["base"] = address_of(packets) + stride * np.arange(MAX_SOURCES * SEND_BURST).reshape(
        MAX_SOURCES, SEND_BURST
    )
    return Sending(
        rows=np.zeros((BANKS, MAX_SOURCES), SOURCE_ROW.dtype),
        state=state,
        state_words=_words(state),
        counters=counters,
        counter_words=_words(counters),
        packets=packets,
        vectors=vectors,
        templates=np.zeros(legs, MESSAGE),
        names=np.zeros((*legs, NAME_BYTES), "u1"),
        controls=np.zeros((*legs, SEND_CONTROL_BYTES), "u1"),
        channel_status=np.zeros((BANKS, BLOCK_FRAMES), "u1"),
        messages=np.zeros(SEND_MESSAGES, MESSAGE),
        message_source=np.zeros(SEND_MESSAGES, "<i8"),
        filled=np.zeros(MAX_SOCKETS, "<i8"),
        samples=np.zeros(SAMPLES, "<i4"),
        sums=np.zeros(SAMPLES, "<i8"),
    )


def make_receiving(counters: Array) -> Receiving:
    """No sink enabled; `counters`: SINK_COUNTERS of the telemetry."""
    state = np.zeros(MAX_SINKS, SINK_STATE)
    words = np.zeros((BATCH, PACKET_WORDS), "<i4")
    names = np.zeros((BATCH, NAME_BYTES), "u1")
    controls = np.zeros((BATCH, RECEIVE_CONTROL_BYTES), "u1")
    vectors = np.zeros(BATCH, VECTOR)
    vectors["base"] = address_of(words) + words.strides[0] * np.arange(BATCH)
    vectors["length"] = DATAGRAM_BYTES
    messages = np.zeros(BATCH, MESSAGE)
    messages["name"] = address_of(names) + NAME_BYTES * np.arange(BATCH)
    messages["name_length"] = NAME_BYTES
    messages["vector"] = address_of(vectors) + VECTOR.itemsize * np.arange(BATCH)
    messages["vector_length"] = 1
    messages["control"] = address_of(controls) + RECEIVE_CONTROL_BYTES * np.arange(BATCH)
    messages["control_length"] = RECEIVE_CONTROL_BYTES
    return Receiving(
        rows=np.zeros((BANKS, MAX_SINKS), SINK_ROW.dtype),
        state=state,
        state_words=_words(state),
        counters=counters,
        counter_words=_words(counters),
        history=np.zeros((MAX_SINKS, HISTORY_PACKETS), "u1"),
        marks=np.zeros((MAX_SINKS, MARKS_FRAMES_MAX), "u1"),
        words=words,
        messages=messages,
        vectors=vectors,
        names=names,
        controls=controls,
        keys=np.full((BANKS, TABLE_SIZE), -1, "<i8"),
        heads=np.zeros((BANKS, TABLE_SIZE), "<i8"),
        chain=np.zeros((BANKS, MAX_SINKS * MAX_LEGS), "<i8"),
        samples=np.zeros(SAMPLES, "<i4"),
        dirty_until=np.zeros(MAX_DEVICE_CHANNELS, "<i8"),
        owned=np.zeros((BANKS, MAX_DEVICE_CHANNELS), "u1"),
    )
