"""Sinks inside the tick: take datagrams, find their sinks, write the bus, make frames final."""

from __future__ import annotations

from typing import Any

from aes67.engine.atomics import prefetch
from aes67.engine.libc import EAGAIN, MSG_DONTWAIT, MSG_TRUNC, last_error, recvmmsg
from aes67.engine.mmsg import (
    IP_PKTINFO,
    NAME_BYTES,
    PKTINFO_ADDRESS,
    RECEIVE_CONTROL_BYTES,
)
from aes67.engine.planar import BLOCK, place_payload
from aes67.engine.wiring import BATCH, CAPTURE_GAIN, DONE, PACKET_WORDS, Tick
from aes67.jit import inner
from aes67.media.aes3 import unpack_aes3
from aes67.media.demux import EMPTY, find
from aes67.media.depacketize import DROPPED, Arrival, accept
from aes67.media.meters import UNITY, amplify, peak_of
from aes67.media.pcm import sample_bytes, unpack
from aes67.media.playout import (
    MARK_BITS,
    count_present,
    finalise,
    is_marked,
    place,
    set_marks,
    silence,
)
from aes67.media.rtp import Packet, parse_header
from aes67.shm.layout import CACHE_LINE, CODEC_AM824_AES3, MAX_LEGS, MAX_SINKS

LINE_SAMPLES = CACHE_LINE // 4
_WORD_BYTES = 4
_CONTROL_TYPE = 12
_NAME_ADDRESS = 4


@inner
def receive(tick: Tick, bank: int, bus: Any, now: Arrival) -> None:
    """Take what has come on every socket, as far as its budget for one tick goes."""
    engine = tick.telemetry.engine[0]
    messages = tick.receiving.messages
    facts = tick.common.banks[bank]
    for k in range(facts["socket_count"]):
        left = facts["budget"][k]
        descriptor = facts["descriptor"][k]
        while left > 0:
            wanted = min(left, BATCH)
            got = recvmmsg(descriptor, messages.ctypes.data, wanted, MSG_DONTWAIT, 0)
            engine["receive_calls"] += 1
            if got < 0:
                error = last_error()
                if error != EAGAIN:
                    engine["receive_errors"] += 1
                    engine["last_errno"] = error
                break
            engine["received"] += got
            for i in range(got):
                take(tick, bank, bus, k, i, now)
                messages[i]["name_length"] = NAME_BYTES
                messages[i]["control_length"] = RECEIVE_CONTROL_BYTES
            left -= got
            if got < wanted:
                break
        if left <= 0:
            engine["receive_budget_hits"] += 1


@inner
def big_endian(octets: Any, at: int) -> int:
    """Four octets as a number."""
    return (
        int(octets[at]) << 24
        | int(octets[at + 1]) << 16
        | int(octets[at + 2]) << 8
        | int(octets[at + 3])
    )


@inner
def take(tick: Tick, bank: int, bus: Any, k: int, i: int, now: Arrival) -> None:
    """Datagram `i` of the batch from socket `k`, to every sink that wants its address."""
    engine = tick.telemetry.engine[0]
    receiving = tick.receiving
    control = receiving.controls[i]
    if receiving.messages[i]["control_length"] == 0 or control[_CONTROL_TYPE] != IP_PKTINFO:
        engine["unmatched"] += 1
        return
    destination = big_endian(control, PKTINFO_ADDRESS)
    leg = find(receiving.keys[bank], receiving.heads[bank], k, destination)
    if leg == EMPTY:
        engine["unmatched"] += 1
        return
    message = receiving.messages[i]
    sender = big_endian(receiving.names[i], _NAME_ADDRESS)
    whole = message["flags"] & MSG_TRUNC == 0
    packet = parse_header(receiving.words[i], message["length"] if whole else 0)
    if not packet.valid:
        engine["malformed"] += 1
    while leg != EMPTY:
        s = leg // MAX_LEGS
        row = receiving.rows[bank, s]
        wanted = row["source_ip"][leg % MAX_LEGS]
        counters = tick.telemetry.sinks[s]
        if wanted != 0 and wanted != sender:
            counters["wrong_source"] += 1
            tick.telemetry.legs[leg]["wrong_source"] += 1
        elif not packet.valid:
            counters["malformed"] += 1
        else:
            deliver(tick, bank, bus, leg, i, packet, now)
        leg = receiving.chain[bank, leg]


@inner
def deliver(
    tick: Tick, bank: int, bus: Any, leg: int, i: int, packet: Packet, now: Arrival
) -> None:
    """A whole packet to one sink: judge it, and write its frames where their time is."""
    receiving = tick.receiving
    s = leg // MAX_LEGS
    row = receiving.rows[bank, s]
    counters = tick.telemetry.sinks[s]
    way = tick.telemetry.legs[leg]
    first = accept(row, receiving.state[s], counters, way, receiving.history[s], packet, now)
    if first == DROPPED:
        return
    codec = row["codec"]
    count = packet.size // sample_bytes(codec)
    frames = count // row["channels"]
    marks = receiving.marks[s, : tick.common.banks[bank]["marks_frames"] // MARK_BITS]
    present = count_present(marks, first, frames)
    if present > 0:
        counters["duplicate"] += present
        if present == frames:
            way["duplicate"] += 1
            return
    fetch_bus(bus, row, first, frames)
    gain = tick.common.control[CAPTURE_GAIN]
    if present == 0 and gain == UNITY and is_plain(bus, row, first, frames):
        source = receiving.words.ctypes.data + _WORD_BYTES * (i * PACKET_WORDS + packet.start)
        spare = receiving.samples.ctypes.data
        peak = place_payload(codec, source, frames, row["map"], row["channels"], bus, first, spare)
        set_marks(marks, first, frames)
    else:
        samples = receiving.samples[:count]
        words = receiving.words[i, packet.start :]
        if codec == CODEC_AM824_AES3:
            unpack_aes3(samples, words)
        else:
            unpack(codec, samples, words)
        if gain != UNITY:
            amplify(samples, gain)
        peak = peak_of(samples)
        place(bus, marks, row, samples, first, present)
    counters["peak"] = max(counters["peak"], peak)
    counters["packets"] += 1
    counters["bytes"] += packet.size


@inner
def is_plain(bus: Any, row: Any, first: int, frames: int) -> bool:
    """Whether a packet's samples can be placed in blocks: enough of them, in one piece."""
    size = bus.shape[1]
    in_one_piece = (first & (size - 1)) + frames <= size
    large = row["channels"] >= BLOCK and frames >= BLOCK
    return bool(in_one_piece and large and row["codec"] != CODEC_AM824_AES3)


@inner
def fetch_bus(bus: Any, row: Any, first: int, frames: int) -> None:
    """Have the memory fetched that a packet will be written to.

    Each channel's frames lie in a page of their own that was last written a ring's length ago, so
    neither cache nor address translation has them: written one after the other, most of the time
    would go by waiting.
    """
    mask = bus.shape[1] - 1
    for c in range(row["channels"]):
        device = int(row["map"][c])
        if device >= 0:
            row_begin = device * bus.shape[1]
            for f in range(first, first + frames, LINE_SAMPLES):
                prefetch(bus, row_begin + (f & mask))


@inner
def finalise_all(tick: Tick, bank: int, bus: Any, end: int) -> None:
    """The bus becomes final for all frames below `end`: silence where nothing came."""
    begin = tick.common.moment[DONE]
    if end <= begin:
        return
    receiving = tick.receiving
    facts = tick.common.banks[bank]
    words = facts["marks_frames"] // MARK_BITS
    for s in range(MAX_SINKS):
        row = receiving.rows[bank, s]
        if not row["enabled"]:
            continue
        marks = receiving.marks[s, :words]
        newest_came = is_marked(marks, end - 1)
        counters = tick.telemetry.sinks[s]
        counters["silent_frames"] += finalise(bus, marks, row, begin, end)
        counters["muted"] = 0 if newest_came else 1
    for device in range(facts["device_channels"]):
        if receiving.dirty_until[device] > 0:
            silence(bus, device, begin, end - begin)
            if receiving.dirty_until[device] <= end:
                receiving.dirty_until[device] = 0
    tick.common.moment[DONE] = end
