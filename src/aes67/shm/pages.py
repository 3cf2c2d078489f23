"""Memory that applications map: the clock page, the capture bus, playback streams, and how long."""

from __future__ import annotations

from aes67.shm.constants import BUS_REACH_PERMILLE, MAX_STREAM_CHANNELS, PAGE_BYTES
from aes67.shm.schema import I64, U16, U32, Field, Struct

__all__ = [
    "BUS",
    "CLOCK",
    "STREAM",
    "buffer_bytes_max",
    "bus_frames_for",
    "bus_reach_frames",
    "delay_limit_frames",
    "early_limit_frames",
    "ring_frames_for",
]

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
        Field("state", I64, 80, "RUN_..."),
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


def ring_frames_for(rate: int, buffer_frames: int) -> int:
    """Ring length of a playback stream: buffer + 100 ms of margin, up to the next power of two.

    The margin is what an engine that wakes late may be late by without losing a frame.
    """
    wanted = buffer_frames + rate // 10
    return 1 << (wanted - 1).bit_length()


def bus_frames_for(rate: int) -> int:
    """Ring length of the capture bus: at least 0.65 s, a power of two (32768 at 48 kHz)."""
    return 1 << (rate * 13 // 20 - 1).bit_length()


def bus_reach_frames(rate: int) -> int:
    """How far behind `bus_done` a client may still read: 0.53 s."""
    return rate * BUS_REACH_PERMILLE // 1000


def early_limit_frames(rate: int) -> int:
    """How far ahead of now a packet may write: 3/4 of what bus_frames_for leaves beyond the reach.

    The rest is for an engine that comes late: it writes that much further than `bus_done` says.
    """
    return (bus_frames_for(rate) - bus_reach_frames(rate)) * 3 // 4


def delay_limit_frames(rate: int) -> int:
    """Largest delay of a sink: it leaves 20 ms to packets and to senders ahead of us."""
    return early_limit_frames(rate) - rate // 50


def buffer_bytes_max(rate: int, channels: int = 0) -> int:
    """Largest ALSA buffer in bytes; `channels` 0: the application may have any number.

    Half a second of 4-byte samples (1 s of S16) where the number is fixed. Else the same bytes hold
    for all: 50 ms of 64 channels of 4 bytes, which are 3.2 s of stereo S16 (decision 6).
    """
    return rate // 2 * channels * 4 if channels else rate // 20 * MAX_STREAM_CHANNELS * 4
