"""The only place that states an offset of memory or messages shared between processes.

Three readers share it: the engine (Numba kernels index these dtypes), the control process (reads
counters and the clock) and the C plugin (through `alsa_plugin/aes67_shm.h`, printed from here by
`aes67.shm.header`). All integers are little-endian; everything a kernel touches is int64, since
Numba turns uint64 with int64 into float64. No dtype has implicit padding: every byte is a named
field or a named gap, and a cache line (64 bytes) has one writer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CACHE_LINE = 64
PAGE_BYTES = 4096
NAME_BYTES = 64
"""Bytes of a NUL-padded UTF-8 name."""

CLOCK_MAGIC = 0x43373641
STREAM_MAGIC = 0x53373641
BUS_MAGIC = 0x42373641
MESSAGE_MAGIC = 0x4D373641
TELEMETRY_MAGIC = 0x54373641
VERSION_MAJOR = 1
VERSION_MINOR = 0

MAX_SOURCES = 64
MAX_SINKS = 64
MAX_LEGS = 2
"""ST 2022-7 legs of a stream."""
MAX_STREAM_CHANNELS = 64
MAX_PCMS = 128
"""Playback PCMs open at once."""
MAX_DEVICE_CHANNELS = 1024
MAX_SOCKETS = 16
"""Media sockets, one per (interface, port)."""
MAX_RATES = 8

RATE_FRACTION_BITS = 40
"""`rate_q40` is (d target / d reference - 1) in units of 2^-40 (0.9e-12)."""

# clock states, in the clock page and in telemetry
CLOCK_UNLOCKED = 0
CLOCK_LOCKING = 1
CLOCK_LOCKED = 2
CLOCK_HOLDOVER = 3

# directions of a PCM
PLAYBACK = 0
CAPTURE = 1

# states a client publishes for its playback stream
RUN_IDLE = 0
RUN_RUNNING = 1
RUN_PAUSED = 2

# codecs of a stream row
CODEC_L16 = 1
CODEC_L24 = 2
CODEC_AM824 = 3
"""Four big-endian bytes a sample, the 32 bits as they are (`framing: raw`)."""
CODEC_AM824_AES3 = 4
"""SMPTE ST 2110-31: label byte with P C U V F B bits, then the top 24 bits of the sample."""

# timing of a sink
TIMING_DIRECT = 0
TIMING_LATCHED = 1
TIMING_ASYNC = 2

# messages of the ALSA socket
MSG_HELLO = 1
MSG_CAPS = 2
MSG_SETUP = 3
MSG_STREAM = 4
MSG_FREE = 5
MSG_EVENT = 6
MSG_CTL_READ = 7
MSG_CTL_WRITE = 8
MSG_CTL_VALUE = 9

# kinds of MSG_EVENT
EVENT_RECONFIGURED = 1
"""Rate or channel count of the device changed: the PCM must be opened again."""
EVENT_CONTROL = 2
"""A volume or switch changed; read it again."""

# elements of the control device
CTL_PLAYBACK_VOLUME = 0
CTL_PLAYBACK_SWITCH = 1
CTL_CAPTURE_VOLUME = 2
CTL_CAPTURE_SWITCH = 3
CTL_PTP_LOCKED = 4
CTL_COUNT = 5
CTL_VOLUME_MIN_DB = -99
CTL_VOLUME_MAX_DB = 0
GAIN_FRACTION_BITS = 30
"""Gains in the telemetry and engine are int64 with unity at 2^30."""

FORMATS = ("S16_LE", "S24_3LE", "S24_LE", "S32_LE", "FLOAT_LE")
"""Sample formats the raw device takes; a wire number is the index in this tuple."""

I64 = "<i8"
U64 = "<u8"
U32 = "<u4"
I32 = "<i4"
U16 = "<u2"
I16 = "<i2"


@dataclass(frozen=True)
class Field:
    """One field: its name, numpy type, offset in bytes, array length (1: scalar), meaning."""

    name: str
    type: str
    offset: int
    meaning: str
    count: int = 1


@dataclass(frozen=True)
class Struct:
    """A record of fixed size; `in_header` says whether C needs it."""

    name: str
    size: int
    meaning: str
    fields: tuple[Field, ...]
    in_header: bool = True

    @property
    def dtype(self) -> np.dtype[np.void]:
        """The numpy dtype with explicit offsets and item size."""
        formats = [(f.type, (f.count,)) if f.count > 1 else f.type for f in self.fields]
        return np.dtype(
            {
                "names": [f.name for f in self.fields],
                "formats": formats,
                "offsets": [f.offset for f in self.fields],
                "itemsize": self.size,
            }
        )

    def offset(self, name: str) -> int:
        """Offset in bytes of field `name`; KeyError when there is none."""
        for field in self.fields:
            if field.name == name:
                return field.offset
        raise KeyError(name)


CLOCK = Struct(
    "clock_page",
    PAGE_BYTES,
    "Clock page: one per engine, read-only for others. Two seqlocked records (even: valid).",
    (
        Field("magic", U32, 0, "CLOCK_MAGIC"),
        Field("major", U16, 4, "VERSION_MAJOR; another one is refused"),
        Field("minor", U16, 6, "VERSION_MINOR"),
        Field("generation", I64, 16, "engine start, changes at each one; never 0"),
        # record 1: CLOCK_MONOTONIC_RAW -> media time; writer: timekeeper
        Field("media_seq", I64, 64, "seqlock of this line; odd while being written"),
        Field("raw_ns", I64, 72, "CLOCK_MONOTONIC_RAW of the reference instant"),
        Field("media_ns", I64, 80, "media (PTP, TAI) time at raw_ns"),
        Field("rate_q40", I64, 88, "d media / d raw - 1 in 2^-40"),
        Field("epoch", I64, 96, "bumped at every discontinuity of media time"),
        Field("state", I64, 104, "CLOCK_UNLOCKED, _LOCKING, _LOCKED, _HOLDOVER"),
        Field("uncertainty_ns", I64, 112, "3 sigma of the mapping; INT64_MAX while unknown"),
        Field("session_epoch", I64, 120, "discontinuities since the clock was first locked"),
        # record 2: CLOCK_MONOTONIC -> CLOCK_MONOTONIC_RAW; writer: tick
        Field("mono_seq", I64, 128, "seqlock of this line; odd while being written"),
        Field("mono_ns", I64, 136, "CLOCK_MONOTONIC at the tick's wake-up: also its heartbeat"),
        Field("mono_raw_ns", I64, 144, "CLOCK_MONOTONIC_RAW at mono_ns"),
        Field("tick_ns", I64, 152, "nominal distance of ticks"),
        Field("late_max_ns", I64, 160, "largest wake-up lateness since start"),
        # line 3; writer: tick
        Field("bus_done", I64, 192, "capture bus is final for all media frames below this"),
    ),
)

BUS = Struct(
    "bus_header",
    PAGE_BYTES,
    "Capture bus: one, read-only for clients. After this page: int32 [channels][frames], slot = "
    "media frame modulo frames (a power of two), left-justified samples.",
    (
        Field("magic", U32, 0, "BUS_MAGIC"),
        Field("major", U16, 4, "VERSION_MAJOR"),
        Field("minor", U16, 6, "VERSION_MINOR"),
        Field("generation", I64, 16, "of the engine"),
        Field("rate", I64, 24, "frames per second"),
        Field("channels", I64, 32, "device channels"),
        Field("frames", I64, 40, "ring length, a power of two"),
    ),
)

STREAM = Struct(
    "stream_header",
    PAGE_BYTES,
    "Playback stream: one per playback PCM. After this page: int32 [ring_frames][channels], slot = "
    "position modulo ring_frames, left-justified. Positions are linear and never wrap.",
    (
        # line 0; writer: engine, before the descriptor is sent
        Field("magic", U32, 0, "STREAM_MAGIC"),
        Field("major", U16, 4, "VERSION_MAJOR"),
        Field("minor", U16, 6, "VERSION_MINOR"),
        Field("stream_id", I64, 8, "the engine's number for it"),
        Field("rate", I64, 16, "frames per second"),
        Field("channels", I64, 24, "1 to MAX_STREAM_CHANNELS"),
        Field("first", I64, 32, "device channel of channel 0"),
        Field("ring_frames", I64, 40, "a power of two"),
        # line 1; writer: client, rarely; a seqlock
        Field("run_seq", I64, 64, "odd while this line is being written"),
        Field("run", I64, 72, "run number; never repeats, not even over a re-attach"),
        Field("state", I64, 80, "RUN_IDLE, RUN_RUNNING, RUN_PAUSED"),
        Field("anchor", I64, 88, "media frame of position 0 of this run"),
        Field("start_pos", I64, 96, "first position of this run: frames before it are not its own"),
        Field("epoch", I64, 104, "clock epoch the anchor was taken in"),
        # line 2; writer: client, at each transfer
        Field("appl_pos", I64, 128, "positions below this are written (store-release)"),
        Field("client_mono_ns", I64, 136, "CLOCK_MONOTONIC at that store"),
        # line 3; writer: engine, each tick
        Field("ack_run", I64, 192, "run the numbers of this line belong to"),
        Field("done_pos", I64, 200, "positions below this will not be read any more"),
        Field("silence_frames", I64, 208, "frames that were not written in time, ever"),
        Field("saturated", I64, 216, "samples that saturated in a sum with other PCMs, ever"),
        Field("error", I64, 224, "0, or the rule the client's numbers broke (counter of rejects)"),
    ),
)

_MESSAGE_HEAD = (
    Field("magic", U32, 0, "MESSAGE_MAGIC"),
    Field("major", U16, 4, "VERSION_MAJOR; another one is refused with a clear text"),
    Field("minor", U16, 6, "VERSION_MINOR; unknown trailing bytes are ignored"),
    Field("type", U32, 8, "MSG_..."),
    Field("size", U32, 12, "bytes of the whole message"),
    Field("serial", U32, 16, "of a request; its reply carries the same"),
    Field("status", I32, 20, "reply: 0 or -errno"),
)

HELLO = Struct(
    "msg_hello",
    192,
    "Client to engine at open. Reply: CAPS with the clock page's descriptor.",
    (
        *_MESSAGE_HEAD,
        Field("direction", U32, 24, "PLAYBACK or CAPTURE"),
        Field("first", U32, 28, "FIRST parameter"),
        Field("channels", U32, 32, "CHANNELS parameter, 0: any"),
        Field("exclusive", U32, 36, "EXCLUSIVE parameter: 1 refuses when its channels are in use"),
        Field("pid", U32, 40, "of the application, for logs only"),
        Field("is_control", U32, 44, "1: a control device, no PCM"),
        Field("device", "u1", 48, "PCM name, NUL padded", NAME_BYTES),
        Field("application", "u1", 112, "process name, NUL padded", NAME_BYTES),
    ),
)

CAPS = Struct(
    "msg_caps",
    192,
    "Engine to client: what the device is.",
    (
        *_MESSAGE_HEAD,
        Field("generation", I64, 24, "engine start, as in the clock page"),
        Field("rate_count", U32, 32, "valid entries of rates"),
        Field("bus_channels", U32, 36, "device channels of this direction"),
        Field("channels_min", U32, 40, ""),
        Field("channels_max", U32, 44, ""),
        Field("period_frames_min", U32, 48, "6 at 48 kHz, scaled with the rate"),
        Field("quantum_ns", U32, 52, "step of hw_ptr: 125000"),
        Field(
            "rates", U32, 56, "rates the device can run at; one, unless rate_follows_app", MAX_RATES
        ),
        Field(
            "buffer_bytes_max", I64, 88, "largest ALSA buffer in bytes of the application's format"
        ),
        Field("tick_ns", I64, 96, "nominal distance of ticks"),
        Field("delay_ns", I64, 104, "added to delay: playback_delay of the configuration"),
        Field("grid_ns", I64, 112, "start rounds the anchor up to a multiple of this media time"),
    ),
)

SETUP = Struct(
    "msg_setup",
    64,
    "Client to engine at hw_params. Reply: STREAM with one descriptor (stream or bus memory).",
    (
        *_MESSAGE_HEAD,
        Field("rate", U32, 24, "frames per second"),
        Field("channels", U32, 28, ""),
        Field("format", U32, 32, "index in FORMATS; information only"),
        Field("period_frames", U32, 36, ""),
        Field("buffer_frames", I64, 40, ""),
    ),
)

STREAM_REPLY = Struct(
    "msg_stream",
    64,
    "Engine to client: the memory of a set-up PCM.",
    (
        *_MESSAGE_HEAD,
        Field("stream_id", I64, 24, "playback: of the stream; capture: 0"),
        Field("bytes", I64, 32, "size of the memory behind the descriptor"),
        Field("ring_frames", I64, 40, "playback: of the stream's ring; capture: of the bus"),
        Field("channels", I64, 48, "playback: of the ring; capture: of the bus"),
    ),
)

EVENT = Struct(
    "msg_event",
    32,
    "Engine to client, unasked; also FREE (client to engine), which has no payload.",
    (*_MESSAGE_HEAD, Field("kind", U32, 24, "EVENT_...")),
)

CTL = Struct(
    "msg_ctl",
    40,
    "CTL_READ and CTL_WRITE from a control device, CTL_VALUE as reply.",
    (
        *_MESSAGE_HEAD,
        Field("element", U32, 24, "CTL_..."),
        Field("channel", U32, 28, "0 or 1; reserved, all device channels share one gain"),
        Field("value", I64, 32, "volume in dB (-99 is mute), switch 0 or 1"),
    ),
)

SOURCE_ROW = Struct(
    "source_row",
    512,
    "One source as the tick reads it; computed by session.plan, swapped whole.",
    (
        Field("enabled", I64, 0, "1: sends while the clock is locked or in holdover"),
        Field("identity", I64, 8, "hash of everything that makes it the same stream"),
        Field("ssrc", I64, 16, "for session_epoch 0"),
        Field("payload_type", I64, 24, "0 to 127"),
        Field("codec", I64, 32, "CODEC_..."),
        Field("channels", I64, 40, "1 to MAX_STREAM_CHANNELS"),
        Field("frames_per_packet", I64, 48, ""),
        Field("ts_offset", I64, 56, "added to the media frame, modulo 2^32"),
        Field("leg_count", I64, 64, "1 or 2"),
        Field("dest_ip", I64, 72, "host byte order", MAX_LEGS),
        Field("dest_port", I64, 88, "", MAX_LEGS),
        Field("socket", I64, 104, "row of the plan's sockets", MAX_LEGS),
        Field("ttl", I64, 120, ""),
        Field("dscp", I64, 128, "0 to 63"),
        Field(
            "map", I16, 256, "device playback channel of each stream channel", MAX_STREAM_CHANNELS
        ),
    ),
    in_header=False,
)

SINK_ROW = Struct(
    "sink_row",
    512,
    "One sink as the tick reads it; computed by session.plan, swapped whole.",
    (
        Field("enabled", I64, 0, ""),
        Field("identity", I64, 8, "hash of everything that makes it the same stream"),
        Field("payload_type", I64, 16, "0 to 127"),
        Field("codec", I64, 24, "CODEC_..."),
        Field("channels", I64, 32, "of the stream, 1 to MAX_STREAM_CHANNELS"),
        Field("frames_per_packet", I64, 40, "expected; packets of another length are accepted"),
        Field("ts_offset", I64, 48, "mediaclk:direct=offset, modulo 2^32"),
        Field("delay_frames", I64, 56, "a frame becomes audible this long after its timestamp"),
        Field("timing", I64, 64, "TIMING_..."),
        Field("leg_count", I64, 72, "1 or 2"),
        Field("group_ip", I64, 80, "destination address to match, host byte order", MAX_LEGS),
        Field("port", I64, 96, "", MAX_LEGS),
        Field("socket", I64, 112, "row of the plan's sockets", MAX_LEGS),
        Field("source_ip", I64, 128, "only this sender (source-filter), 0: any", MAX_LEGS),
        Field(
            "map",
            I16,
            256,
            "device capture channel of each stream channel, -1: none",
            MAX_STREAM_CHANNELS,
        ),
    ),
    in_header=False,
)

ENGINE_COUNTERS = Struct(
    "engine_counters",
    512,
    "What the tick met; int64, only ever growing unless said otherwise. Writer: tick.",
    (
        Field("magic", U32, 0, "TELEMETRY_MAGIC"),
        Field("generation", I64, 8, "of the engine"),
        Field("ticks", I64, 16, ""),
        Field("late_ticks", I64, 24, "woke more than half a tick late"),
        Field(
            "skipped_ticks", I64, 32, "grid instants passed over because the thread came too late"
        ),
        Field("late_max_ns", I64, 40, ""),
        Field("busy_ns", I64, 48, "time between wake-up and going to sleep, summed"),
        Field("table_serial", I64, 56, "serial of the table in force (a value, not a counter)"),
        Field("table_swaps", I64, 64, ""),
        Field("clock_epochs", I64, 72, "discontinuities of media time met"),
        Field("receive_calls", I64, 80, "recvmmsg"),
        Field("received", I64, 88, "datagrams"),
        Field("receive_errors", I64, 96, ""),
        Field("unmatched", I64, 104, "datagrams no sink wants"),
        Field(
            "malformed",
            I64,
            112,
            "not RTP version 2, truncated, or with broken padding or extension",
        ),
        Field("send_calls", I64, 120, "sendmmsg"),
        Field("sent", I64, 128, "datagrams"),
        Field("send_errors", I64, 136, "datagrams the kernel refused"),
        Field("pcm_rejects", I64, 144, "times a client's numbers broke a rule"),
        Field("saturated", I64, 152, "samples that saturated in a sum"),
        Field("receive_budget_hits", I64, 160, "ticks that left datagrams for the next one"),
        Field("last_errno", I64, 168, "of the latest send or receive error (a value)"),
    ),
    in_header=False,
)

SOURCE_COUNTERS = Struct(
    "source_counters",
    128,
    "Per source; reset when the row's identity changes. Writer: tick.",
    (
        Field("identity", I64, 0, "of the row these belong to"),
        Field("packets", I64, 8, "per leg summed"),
        Field("bytes", I64, 16, "payload"),
        Field("send_errors", I64, 24, ""),
        Field("skipped_packets", I64, 32, "never sent because the engine woke too late"),
        Field("last_packet", I64, 40, "number k of the newest packet sent"),
        Field("ssrc", I64, 48, "in use"),
        Field(
            "peak",
            I64,
            56,
            "largest |sample| >> 8 since the last table swap or reset (meter, decays)",
        ),
    ),
    in_header=False,
)

SINK_COUNTERS = Struct(
    "sink_counters",
    320,
    "Per sink; reset when the row's identity changes. Writer: tick.",
    (
        Field("identity", I64, 0, "of the row these belong to"),
        Field("packets", I64, 8, "accepted and written"),
        Field("bytes", I64, 16, "payload"),
        Field("lost", I64, 24, "by sequence number; a late arrival takes it back"),
        Field("late", I64, 32, "packets dropped because their time had come"),
        Field("early", I64, 40, "packets dropped because they lie too far ahead"),
        Field("duplicate", I64, 48, "frames already there (second leg, duplication)"),
        Field("reordered", I64, 56, ""),
        Field("wrong_ssrc", I64, 64, ""),
        Field("wrong_payload_type", I64, 72, ""),
        Field("wrong_source", I64, 80, "source address not the filter's"),
        Field("wrong_length", I64, 88, "payload is no whole number of frames"),
        Field("malformed", I64, 96, "broken RTP header"),
        Field(
            "silent_frames", I64, 104, "frames whose time came without data, while receiving or not"
        ),
        Field("slips", I64, 112, "re-latches of the offset (timing latched)"),
        Field("sequence_errors", I64, 120, "discontinuities of the sequence number"),
        Field("timestamp_errors", I64, 128, "timestamps not contiguous with the sequence"),
        Field("ssrc", I64, 136, "accepted now, -1: none yet (a value)"),
        Field("last_sequence", I64, 144, "(a value)"),
        Field("last_arrival_media_ns", I64, 152, "media time of the newest packet (a value)"),
        Field(
            "margin_frames", I64, 160, "frames between arrival and the time due, newest (a value)"
        ),
        Field("margin_min_frames", I64, 168, "smallest since reset; INT64_MAX: none yet (a value)"),
        Field("jitter_q4", I64, 176, "RFC 3550 interarrival jitter in 1/16 frame (a value)"),
        Field("offset_frames", I64, 184, "offset in force: latched, or ts_offset (a value)"),
        Field("latched", I64, 192, "1: the offset is known (a value)"),
        Field("peak", I64, 200, "largest |sample| >> 8 (meter, decays)"),
        Field("muted", I64, 208, "1: the newest frame due was silence (a value)"),
        Field("switched_ssrc", I64, 216, "senders taken over after the first"),
    ),
    in_header=False,
)

PCM_COUNTERS = Struct(
    "pcm_counters",
    64,
    "Per playback PCM slot; the engine's own copy of the stream header's line 3. Writer: tick.",
    (
        Field("stream_id", I64, 0, "0: slot empty"),
        Field("state", I64, 8, "RUN_..."),
        Field("done_pos", I64, 16, ""),
        Field("silence_frames", I64, 24, ""),
        Field("saturated", I64, 32, ""),
        Field("rejects", I64, 40, ""),
        Field("fill_frames", I64, 48, "written ahead of the clock (a value)"),
    ),
    in_header=False,
)

TELEMETRY_SECTIONS: tuple[tuple[str, Struct, int], ...] = (
    ("engine", ENGINE_COUNTERS, 1),
    ("sources", SOURCE_COUNTERS, MAX_SOURCES),
    ("sinks", SINK_COUNTERS, MAX_SINKS),
    ("pcms", PCM_COUNTERS, MAX_PCMS),
)
"""Telemetry memory: these arrays one after the other, each starting on a 4096-byte boundary."""

STRUCTS = (
    CLOCK,
    BUS,
    STREAM,
    HELLO,
    CAPS,
    SETUP,
    STREAM_REPLY,
    EVENT,
    CTL,
    SOURCE_ROW,
    SINK_ROW,
    ENGINE_COUNTERS,
    SOURCE_COUNTERS,
    SINK_COUNTERS,
    PCM_COUNTERS,
)


def telemetry_offsets() -> dict[str, int]:
    """Offset in bytes of each telemetry section, and `"total"`."""
    offsets: dict[str, int] = {}
    position = 0
    for name, struct, count in TELEMETRY_SECTIONS:
        offsets[name] = position
        position += -(-struct.size * count // PAGE_BYTES) * PAGE_BYTES
    offsets["total"] = position
    return offsets


def ring_frames_for(rate: int, buffer_frames: int) -> int:
    """Ring length of a playback stream: buffer + 100 ms of margin, up to the next power of two.

    The margin is what an engine that wakes late may be late by without losing a frame.
    """
    wanted = buffer_frames + rate // 10
    return 1 << (wanted - 1).bit_length()


def bus_frames_for(rate: int) -> int:
    """Ring length of the capture bus: at least 1.25 s, a power of two (65536 at 48 kHz)."""
    return 1 << (rate * 5 // 4 - 1).bit_length()


def bus_reach_frames(rate: int) -> int:
    """How far behind `bus_done` a client may still read: 1 s."""
    return rate


def early_limit_frames(rate: int) -> int:
    """How far ahead of now a packet may write: what bus_frames_for leaves beyond the reach."""
    return (bus_frames_for(rate) - bus_reach_frames(rate)) // 2


def buffer_bytes_max(rate: int) -> int:
    """Largest ALSA buffer in bytes: 0.25 s of 64 channels of 4 bytes (then 16 s of stereo S16)."""
    return rate // 4 * MAX_STREAM_CHANNELS * 4
