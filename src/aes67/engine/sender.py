"""Sources inside the tick: build every packet that is due, then one sendmmsg a socket."""

from __future__ import annotations

from typing import Any

from aes67.engine.libc import EAGAIN, MSG_DONTWAIT, last_error, sendmmsg
from aes67.engine.players import gather
from aes67.engine.wiring import (
    PLAYBACK_GAIN,
    SEND_BURST,
    Tick,
)
from aes67.jit import inner
from aes67.media.aes3 import pack_aes3
from aes67.media.meters import peak_of
from aes67.media.packetize import due, skip_old
from aes67.media.pcm import pack, sample_bytes
from aes67.media.rtp import HEADER_WORDS, ssrc_at, write_header
from aes67.shm.layout import CODEC_AM824_AES3, MAX_SOURCES
from aes67.wire.rtp import HEADER_BYTES

_MESSAGE_BYTES = 64


@inner
def send_due(tick: Tick, bank: int, now: int, session_epoch: int) -> int:
    """Send what is due at media frame `now`; returns the frame below which nothing will be read."""
    sending = tick.sending
    facts = tick.common.banks[bank]
    rate = facts["rate"]
    sending.filled[:] = 0
    done = now
    for s in range(MAX_SOURCES):
        row = sending.rows[bank, s]
        state = sending.state[s]
        if not row["enabled"]:
            state["next_packet"] = -1
            continue
        length = row["frames_per_packet"]
        state["ssrc"] = ssrc_at(row["ssrc"], session_epoch)
        counters = tick.telemetry.sources[s]
        counters["ssrc"] = state["ssrc"]
        counters["skipped_packets"] += skip_old(state, now, length, rate, SEND_BURST)
        count = due(state, now, length, SEND_BURST)
        for burst in range(count):
            build(tick, bank, s, burst)
            enqueue(tick, bank, s, burst)
            state["next_packet"] += 1
        done = min(done, state["next_packet"] * length)
    for k in range(facts["socket_count"]):
        flush(tick, bank, k)
    return done


@inner
def idle(tick: Tick) -> None:
    """Nothing is sent: each source begins with the packet of that moment when it may again."""
    for s in range(MAX_SOURCES):
        tick.sending.state[s]["next_packet"] = -1


@inner
def build(tick: Tick, bank: int, s: int, burst: int) -> None:
    """The source's next packet, in its buffer number `burst`."""
    sending = tick.sending
    row = sending.rows[bank, s]
    packet = sending.state[s]["next_packet"]
    channels = row["channels"]
    begin = packet * row["frames_per_packet"]
    words = sending.packets[s, burst]
    write_header(
        words, row["payload_type"], packet, begin + row["ts_offset"], sending.state[s]["ssrc"]
    )
    samples = gather(tick, s, row, begin, tick.common.control[PLAYBACK_GAIN])
    payload = words[HEADER_WORDS:]
    if row["codec"] == CODEC_AM824_AES3:
        pack_aes3(payload, samples, channels, begin, sending.channel_status[bank])
    else:
        pack(row["codec"], payload, samples)
    counters = tick.telemetry.sources[s]
    counters["peak"] = max(counters["peak"], peak_of(samples))
    size = samples.shape[0] * sample_bytes(row["codec"])
    sending.vectors[s, burst]["length"] = HEADER_BYTES + size


@inner
def enqueue(tick: Tick, bank: int, s: int, burst: int) -> None:
    """One message a leg; both legs send the same bytes (ST 2022-7)."""
    sending = tick.sending
    row = sending.rows[bank, s]
    for leg in range(row["leg_count"]):
        k = row["socket"][leg]
        at = tick.common.banks[bank]["send_start"][k] + sending.filled[k]
        sending.messages[at] = sending.templates[bank, s, leg]
        sending.messages[at]["vector"] = sending.vectors[s, burst:].ctypes.data
        sending.message_source[at] = s
        sending.filled[k] += 1


@inner
def flush(tick: Tick, bank: int, k: int) -> None:
    """Give a socket's messages to the kernel; a refused one is counted and passed over."""
    sending = tick.sending
    facts = tick.common.banks[bank]
    engine = tick.telemetry.engine[0]
    at = facts["send_start"][k]
    end = at + sending.filled[k]
    while at < end:
        address = sending.messages.ctypes.data + at * _MESSAGE_BYTES
        sent = sendmmsg(facts["descriptor"][k], address, end - at, MSG_DONTWAIT)
        engine["send_calls"] += 1
        if sent <= 0:
            error = last_error()
            engine["last_errno"] = error
            refused = end - at if error == EAGAIN else 1
            for i in range(at, at + refused):
                tick.telemetry.sources[sending.message_source[i]]["send_errors"] += 1
            engine["send_errors"] += refused
            at += refused
            continue
        engine["sent"] += sent
        for i in range(at, at + sent):
            count_sent(tick, sending.message_source[i], sending.messages[i])
        at += sent


@inner
def count_sent(tick: Tick, s: int, message: Any) -> None:
    """One datagram of source `s` has left."""
    counters = tick.telemetry.sources[s]
    counters["packets"] += 1
    counters["bytes"] += message["length"] - HEADER_BYTES
    counters["last_packet"] = tick.sending.state[s]["next_packet"] - 1
