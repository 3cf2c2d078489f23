"""Tables that control hands to the tick, and the counters the tick gives back. Not for C."""

from __future__ import annotations

from aes67.shm.constants import (
    MAX_LEGS,
    MAX_PCMS,
    MAX_SINKS,
    MAX_SOURCES,
    MAX_STREAM_CHANNELS,
    PAGE_BYTES,
)
from aes67.shm.schema import I16, I64, U32, Field, Struct

__all__ = [
    "ENGINE_COUNTERS",
    "GAP_BINS",
    "GAP_SHARE",
    "LEG_COUNTERS",
    "PCM_COUNTERS",
    "SINK_COUNTERS",
    "SINK_ROW",
    "SOURCE_COUNTERS",
    "SOURCE_ROW",
    "TELEMETRY_SECTIONS",
    "telemetry_offsets",
]

GAP_SHARE = 8000
"""The shortest bin of times between packets: 1/8000 s."""
GAP_BINS = 12
"""Bins of times between packets: less than 125 us, 250, 500, 1 ms, 2 ms and so on; the rest."""

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
    256,
    "Per sink; reset when the row's identity changes. What every packet and every tick touches is "
    "in the first two lines. Writer: tick.",
    (
        Field("identity", I64, 0, "of the row these belong to"),
        Field("packets", I64, 8, "accepted and written"),
        Field("bytes", I64, 16, "payload"),
        Field("duplicate", I64, 24, "frames already there (second leg, duplication)"),
        Field("ssrc", I64, 32, "accepted now, -1: none yet (a value)"),
        Field("last_sequence", I64, 40, "(a value)"),
        Field("last_arrival_media_ns", I64, 48, "media time of the newest packet (a value)"),
        Field("peak", I64, 56, "largest |sample| >> 8 (meter, decays)"),
        Field(
            "silent_frames", I64, 64, "frames whose time came without data, while receiving or not"
        ),
        Field("muted", I64, 72, "1: the newest frame due was silence (a value)"),
        Field("latched", I64, 80, "1: the offset is known (a value)"),
        Field("offset_frames", I64, 88, "offset in force: latched, or ts_offset (a value)"),
        Field("lost", I64, 96, "by sequence number; a late arrival takes it back"),
        Field("late", I64, 104, "packets dropped because their time had come"),
        Field("early", I64, 112, "packets dropped because they lie too far ahead"),
        Field("reordered", I64, 120, ""),
        Field("wrong_ssrc", I64, 128, ""),
        Field("wrong_payload_type", I64, 136, ""),
        Field("wrong_source", I64, 144, "source address not the filter's"),
        Field("wrong_length", I64, 152, "payload is no whole number of frames"),
        Field("malformed", I64, 160, "broken RTP header"),
        Field("slips", I64, 168, "re-latches of the offset (timing latched)"),
        Field("sequence_errors", I64, 176, "discontinuities of the sequence number"),
        Field("timestamp_errors", I64, 184, "timestamps not contiguous with the sequence"),
        Field("switched_ssrc", I64, 192, "senders taken over after the first"),
    ),
    in_header=False,
)

LEG_COUNTERS = Struct(
    "leg_counters",
    256,
    "Per leg of a sink, at row sink * MAX_LEGS + leg; reset with its sink. A packet that is late "
    "on one leg may have come in time on the other. Writer: tick.",
    (
        Field("identity", I64, 0, "of the row these belong to"),
        Field("packets", I64, 8, "of the stream's sender, type and length, whatever became of it"),
        Field("expected", I64, 16, "packets there should be, by sequence number (RFC 3550, A.3)"),
        Field("ssrc", I64, 24, "of the newest packet, -1: none yet (a value)"),
        Field("last_sequence", I64, 32, "newest (a value)"),
        Field("last_frame", I64, 40, "media frame at which the newest packet came (a value)"),
        Field("transit", I64, 48, "its arrival less its timestamp, modulo 2^32 (a value)"),
        Field("jitter_q4", I64, 56, "RFC 3550 interarrival jitter in 1/16 frame (a value)"),
        Field(
            "margin_frames", I64, 64, "frames between arrival and the time due, newest (a value)"
        ),
        Field("margin_min_frames", I64, 72, "smallest since reset; INT64_MAX: none yet (a value)"),
        Field("gap_max_frames", I64, 80, "longest time between two packets (a value)"),
        Field("duplicate", I64, 88, "packets that brought nothing new"),
        Field("reordered", I64, 96, "packets older than one before them on this leg"),
        Field("late", I64, 104, "packets dropped because their time had come"),
        Field("early", I64, 112, "packets dropped because they lie too far ahead"),
        Field("wrong_ssrc", I64, 120, ""),
        Field("wrong_payload_type", I64, 128, ""),
        Field("wrong_source", I64, 136, "source address not the filter's"),
        Field("wrong_length", I64, 144, "payload is no whole number of frames"),
        Field(
            "gaps",
            I64,
            152,
            "times between two packets: less than 1/8 ms, then each twice the one before",
            GAP_BINS,
        ),
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
    ("legs", LEG_COUNTERS, MAX_SINKS * MAX_LEGS),
)
"""Telemetry memory: these arrays one after the other, each starting on a 4096-byte boundary."""

def telemetry_offsets() -> dict[str, int]:
    """Offset in bytes of each telemetry section, and `"total"`."""
    offsets: dict[str, int] = {}
    position = 0
    for name, struct, count in TELEMETRY_SECTIONS:
        offsets[name] = position
        position += -(-struct.size * count // PAGE_BYTES) * PAGE_BYTES
    offsets["total"] = position
    return offsets
