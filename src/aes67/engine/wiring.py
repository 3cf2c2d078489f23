"""All memory the tick works on, made once at start: it allocates nothing, is given nothing later.

What a plan changes is there twice (a bank each), and the tick changes banks between two ticks. Only
the bus and the playback rings come and go; they are found by address. Each part is one record of
arrays, which compiled code is handed as one pointer: `part.name` there, `part["name"]` elsewhere.
The blank records stay zero; they are what others are cleared with.
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
from aes67.media.demux import EMPTY, TABLE_SIZE
from aes67.media.depacketize import HISTORY_PACKETS
from aes67.media.pcm import SLACK_WORDS
from aes67.media.playout import MARK_BITS
from aes67.media.state import PCM_STATE, SINK_STATE, SOURCE_STATE
from aes67.shm.layout import (
    LEG_COUNTERS,
    MAX_DEVICE_CHANNELS,
    MAX_LEGS,
    MAX_PCMS,
    MAX_SINKS,
    MAX_SOCKETS,
    MAX_SOURCES,
    PCM_COUNTERS,
    SINK_COUNTERS,
    SINK_ROW,
    SOURCE_COUNTERS,
    SOURCE_ROW,
    TELEMETRY_SECTIONS,
    telemetry_offsets,
)
from aes67.shm.region import Region
from aes67.wire.payload import BLOCK_FRAMES

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


def _part(*fields: tuple[str, Any, int | tuple[int, ...]]) -> np.dtype[np.void]:
    dtype = np.dtype(list(fields))
    assert dtype.fields is not None
    assert all(offset % 8 == 0 for _, offset, *_ in dtype.fields.values()), "words are aligned"
    return dtype


_LEGS = (BANKS, MAX_SOURCES, MAX_LEGS)

COMMON = _part(
    ("control", "<i8", (CONTROL_WORDS,)),
    ("media", "<i8", (MEDIA_WORDS,)),  # copy of the clock page's first record
    ("media_seen", "<i8", (MEDIA_WORDS,)),  # where it is read to until it is known to be whole
    ("moment", "<i8", (MOMENT_WORDS,)),
    ("timespec", "<i8", (2,)),
    ("banks", BANK, (BANKS,)),
)
"""What every part of the tick needs."""

PLAYING = _part(
    ("slots", "<i8", (MAX_PCMS, SLOT_WORDS)),
    ("state", PCM_STATE, (MAX_PCMS,)),
    ("blank", PCM_STATE, (1,)),
    ("blank_counters", PCM_COUNTERS.dtype, (1,)),
    ("line", "<i8", (LINE_WORDS,)),  # copy of one stream header's line 1
    ("cover", "<i8", (MAX_SOURCES, MAX_PCMS)),  # slot * 4 + media.gather.covers
    ("cover_count", "<i8", (MAX_SOURCES,)),
)
"""Playback streams."""

SENDING = _part(
    ("rows", SOURCE_ROW.dtype, (BANKS, MAX_SOURCES)),
    ("state", SOURCE_STATE, (MAX_SOURCES,)),
    ("blank", SOURCE_STATE, (1,)),
    ("blank_counters", SOURCE_COUNTERS.dtype, (1,)),
    ("packets", "<i4", (MAX_SOURCES, SEND_BURST, PACKET_WORDS)),  # header and payload
    ("vectors", VECTOR, (MAX_SOURCES, SEND_BURST)),
    ("templates", MESSAGE, _LEGS),  # with name and control set
    ("names", "u1", (*_LEGS, NAME_BYTES)),
    ("controls", "u1", (*_LEGS, SEND_CONTROL_BYTES)),
    ("channel_status", "u1", (BANKS, BLOCK_FRAMES)),  # the C bit of each frame of a block
    ("messages", MESSAGE, (SEND_MESSAGES,)),  # each socket's from its `send_start` on
    ("message_source", "<i8", (SEND_MESSAGES,)),
    ("filled", "<i8", (MAX_SOCKETS,)),  # messages of each socket in this tick
    ("samples", "<i4", (SAMPLES,)),
    ("sums", "<i8", (SAMPLES,)),
)
"""Sources."""

RECEIVING = _part(
    ("rows", SINK_ROW.dtype, (BANKS, MAX_SINKS)),
    ("state", SINK_STATE, (MAX_SINKS,)),
    ("blank", SINK_STATE, (1,)),
    ("blank_counters", SINK_COUNTERS.dtype, (1,)),
    ("history", "u1", (MAX_SINKS, HISTORY_PACKETS)),
    ("words", "<i4", (BATCH, PACKET_WORDS)),  # datagrams
    ("messages", MESSAGE, (BATCH,)),
    ("vectors", VECTOR, (BATCH,)),
    ("names", "u1", (BATCH, NAME_BYTES)),
    ("controls", "u1", (BATCH, RECEIVE_CONTROL_BYTES)),
    ("keys", "<i8", (BANKS, TABLE_SIZE)),
    ("heads", "<i8", (BANKS, TABLE_SIZE)),
    ("chain", "<i8", (BANKS, MAX_SINKS * MAX_LEGS)),
    ("samples", "<i4", (SAMPLES,)),
    ("dirty_until", "<i8", (MAX_DEVICE_CHANNELS,)),
    ("owned", "u1", (BANKS, MAX_DEVICE_CHANNELS)),
    ("blank_leg", LEG_COUNTERS.dtype, (1,)),
    ("marks", "<i8", (MAX_SINKS, MARKS_FRAMES_MAX // MARK_BITS)),
)
"""Sinks. `dirty_until`: a channel without an owner is zeroed as time passes up to this frame, 0: it
is clean; `owned`: 1 when a sink writes the channel."""

TELEMETRY = np.dtype(
    {
        "names": [name for name, _, _ in TELEMETRY_SECTIONS],
        "formats": [(struct.dtype, (count,)) for _, struct, count in TELEMETRY_SECTIONS],
        "offsets": [telemetry_offsets()[name] for name, _, _ in TELEMETRY_SECTIONS],
        "itemsize": telemetry_offsets()["total"],
    }
)


class Tick(NamedTuple):
    """Everything the tick is handed."""

    common: Any
    playing: Any
    sending: Any
    receiving: Any
    telemetry: Any
    """the counters, TELEMETRY in shared memory"""
    clock: np.ndarray[Any, Any]
    """the clock page as words"""


def make_tick(clock: np.ndarray[Any, Any], telemetry: Region) -> Tick:
    """Memory without sources, sinks and streams."""
    tick = Tick(
        common=np.zeros(1, COMMON)[0],
        playing=np.zeros(1, PLAYING)[0],
        sending=np.zeros(1, SENDING)[0],
        receiving=np.zeros(1, RECEIVING)[0],
        telemetry=np.frombuffer(telemetry.map, TELEMETRY, 1)[0],
        clock=clock,
    )
    tick.sending["vectors"]["base"] = _addresses(
        tick.sending["packets"].reshape(-1, PACKET_WORDS)
    ).reshape(MAX_SOURCES, SEND_BURST)
    receiving = tick.receiving
    receiving["keys"] = EMPTY
    receiving["vectors"]["base"] = _addresses(receiving["words"])
    receiving["vectors"]["length"] = DATAGRAM_BYTES
    messages = receiving["messages"]
    messages["name"] = _addresses(receiving["names"])
    messages["name_length"] = NAME_BYTES
    messages["vector"] = _addresses(receiving["vectors"])
    messages["vector_length"] = 1
    messages["control"] = _addresses(receiving["controls"])
    messages["control_length"] = RECEIVE_CONTROL_BYTES
    return tick


def _addresses(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Address of each row."""
    return address_of(rows) + rows.strides[0] * np.arange(len(rows))
