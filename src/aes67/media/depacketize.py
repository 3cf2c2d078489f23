"""From a packet's header to the bus frame it belongs at, and everything counted on the way.

No sample is touched here. `accept` is asked once a packet and answers with a frame or DROPPED; the
order of its questions is the order of the counters: payload type, length, sender, sequence, time.
What is counted of a stream is what its listeners hear of it; what is counted of a leg is what came
that way, whether the other leg (ST 2022-7) made good for it or not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aes67.jit import kernel
from aes67.media.pcm import sample_bytes
from aes67.media.rtp import Packet, sequence_step
from aes67.media.state import Record
from aes67.media.words import MASK32, signed32, unwrapped32
from aes67.shm.layout import GAP_BINS, TIMING_DIRECT

History = npt.NDArray[np.uint8]

DROPPED = -(1 << 62)
HISTORY_PACKETS = 1024
"""Sequence numbers a sink remembers: a late one is told from a second copy. A power of two."""
TAKE_OVER_NS = 50_000_000
"""Another sender, or another offset, must have lasted this long before it is followed."""
LATCH_PACKETS = 4
"""Packets that must agree before the first latch."""
LATCH_TOLERANCE = 200
"""Offsets agree within 1/200 s: a sender without real-time rights bunches its packets."""
BURST_SPREAD = 10
"""Offsets of a sender that sends many packets at once (VLC: 50 ms of them) lie within 1/10 s..."""
BURST_NS = 200_000_000
"""...for so long, before the earliest of them is taken."""
LATCH_EARLY = 50
"""A latched sender that comes 1/50 s earlier than when it was latched is latched anew."""


class Arrival(NamedTuple):
    """When a packet was collected, and what is the same for all packets of a tick."""

    frame: int
    media_ns: int
    rate: int
    bus_done: int
    early_limit: int
    """frames"""
    gap_unit: int
    """the shortest bin of times between packets, in frames: rate / GAP_SHARE"""


@kernel
def accept(
    row: Record,
    state: Record,
    counters: Record,
    leg: Record,
    history: History,
    packet: Packet,
    now: Arrival,
) -> int:
    """The bus frame of the packet's first frame, or DROPPED (counted of sink and leg)."""
    if packet.payload_type != row["payload_type"]:
        counters["wrong_payload_type"] += 1
        leg["wrong_payload_type"] += 1
        return DROPPED
    frame_bytes = row["channels"] * sample_bytes(row["codec"])
    frames = packet.size // frame_bytes
    if frames == 0 or packet.size % frame_bytes != 0:
        counters["wrong_length"] += 1
        leg["wrong_length"] += 1
        return DROPPED
    if not is_sender(row, state, counters, packet.ssrc, now.media_ns):
        leg["wrong_ssrc"] += 1
        return DROPPED
    follow_leg(leg, packet, now)
    if follow_sequence(state, counters, history, packet, frames):
        counters["last_arrival_media_ns"] = now.media_ns
    first = due_frame(row, state, counters, packet.timestamp, frames, now)
    if first == DROPPED:
        return DROPPED
    margin = first - now.frame
    leg["margin_frames"] = margin
    leg["margin_min_frames"] = min(leg["margin_min_frames"], margin)
    if first < now.bus_done:
        counters["late"] += 1
        leg["late"] += 1
        return DROPPED
    if first + frames > now.frame + now.early_limit:
        counters["early"] += 1
        leg["early"] += 1
        return DROPPED
    return first


@kernel
def is_sender(row: Record, state: Record, counters: Record, ssrc: int, media_ns: int) -> bool:
    """Whether `ssrc` is the sender followed; another one is, after 50 ms in which only it sends."""
    if counters["ssrc"] == ssrc:
        state["candidate"] = -1
        state["last_heard_ns"] = media_ns
        return True
    if counters["ssrc"] >= 0:
        if state["candidate"] != ssrc:
            state["candidate"] = ssrc
            state["candidate_since_ns"] = media_ns
        since = max(state["candidate_since_ns"], state["last_heard_ns"])
        if media_ns - since < TAKE_OVER_NS:
            counters["wrong_ssrc"] += 1
            return False
        counters["switched_ssrc"] += 1
    counters["ssrc"] = ssrc
    state["candidate"] = -1
    state["last_heard_ns"] = media_ns
    state["known"] = 0
    unlatch(row, state, counters)
    return True


@kernel
def unlatch(row: Record, state: Record, counters: Record) -> None:
    """Forget the offset of a sender whose timestamps may have nothing to do with the old ones."""
    direct = row["timing"] == TIMING_DIRECT
    counters["latched"] = 1 if direct else 0
    counters["offset_frames"] = row["ts_offset"] if direct else 0
    forget_trial(state)


@kernel
def follow_sequence(
    state: Record, counters: Record, history: History, packet: Packet, frames: int
) -> bool:
    """Loss, reordering and discontinuities; True for a packet newer than all before.

    What lies before the first packet, or before a jump, counts as having come.
    """
    if not state["known"]:
        state["known"] = 1
        history[:] = 1
        step = 1
    else:
        step = sequence_step(packet.sequence, counters["last_sequence"])
        expected = state["last_timestamp"] + state["last_frames"] + (step - 1) * frames
        if step > 0 and signed32(packet.timestamp - expected) != 0:
            counters["timestamp_errors"] += 1
    place = packet.sequence & (HISTORY_PACKETS - 1)
    if -HISTORY_PACKETS < step <= 0:
        if not history[place]:
            history[place] = 1
            counters["reordered"] += 1
            counters["lost"] -= 1 if counters["lost"] > 0 else 0
        return False
    if step != 1:
        counters["sequence_errors"] += 1
    if 0 < step < HISTORY_PACKETS:
        counters["lost"] += step - 1
        for missing in range(counters["last_sequence"] + 1, counters["last_sequence"] + step):
            history[missing & (HISTORY_PACKETS - 1)] = 0
    else:
        history[:] = 1
    history[place] = 1
    counters["last_sequence"] = packet.sequence
    state["last_timestamp"] = packet.timestamp
    state["last_frames"] = frames
    return True


@kernel
def follow_leg(leg: Record, packet: Packet, now: Arrival) -> None:
    """What came on one leg: how many, how many should have, jitter, times between packets.

    Interarrival jitter is RFC 3550's (6.4.1 and A.8) in 1/16 frame, loss that of A.3: `expected`
    less `packets`. Arrival is when the tick collected the packet.
    """
    leg["packets"] += 1
    transit = (now.frame - packet.timestamp) & MASK32
    if leg["ssrc"] != packet.ssrc:
        leg["ssrc"] = packet.ssrc
        leg["expected"] += 1
    else:
        step = sequence_step(packet.sequence, leg["last_sequence"])
        if -HISTORY_PACKETS < step <= 0:
            leg["reordered"] += 1 if step < 0 else 0
            return
        leg["expected"] += step if 0 < step < HISTORY_PACKETS else 1
        change = abs(signed32(transit - leg["transit"]))
        leg["jitter_q4"] += change - ((leg["jitter_q4"] + 8) >> 4)
        gap = now.frame - leg["last_frame"]
        leg["gap_max_frames"] = max(leg["gap_max_frames"], gap)
        leg["gaps"][gap_bin(gap, now.gap_unit)] += 1
    leg["last_sequence"] = packet.sequence
    leg["last_frame"] = now.frame
    leg["transit"] = transit


@kernel
def gap_bin(gap: int, unit: int) -> int:
    """The bin of a time between packets: 0 below `unit` frames, then one for each doubling."""
    found = 0
    while gap >= unit and found < GAP_BINS - 1:
        unit <<= 1
        found += 1
    return found


@kernel
def due_frame(
    row: Record, state: Record, counters: Record, timestamp: int, frames: int, now: Arrival
) -> int:
    """Bus frame of `timestamp`; DROPPED while the offset of a latched sender is not known yet."""
    delay = row["delay_frames"]
    if row["timing"] == TIMING_DIRECT:
        return int(unwrapped32(timestamp - row["ts_offset"], now.frame) + delay)
    offset = (timestamp + frames - now.frame) & MASK32
    if counters["latched"]:
        first = unwrapped32(timestamp - counters["offset_frames"], now.frame) + delay
        early = signed32(offset - counters["offset_frames"])
        if first >= now.bus_done and early <= now.rate // LATCH_EARLY:
            forget_trial(state)
            return int(first)
    if not try_offset(state, offset, bool(counters["latched"]), now):
        return first if counters["latched"] else DROPPED
    counters["slips"] += 1 if state["latched_before"] else 0
    counters["latched"] = 1
    counters["offset_frames"] = state["trial"]
    state["latched_before"] = 1
    forget_trial(state)
    return int(unwrapped32(timestamp - state["trial"], now.frame) + delay)


@kernel
def forget_trial(state: Record) -> None:
    """What was seen of an offset that may be another one counts no more."""
    state["trial_packets"] = 0
    state["burst_since_ns"] = 0


@kernel
def try_offset(state: Record, offset: int, again: bool, now: Arrival) -> bool:
    """Whether enough packets agree on an offset; the earliest arrival among them sets it."""
    if follow_burst(state, offset, now):
        state["trial"] = state["burst"]
        return True
    change = signed32(offset - state["trial"])
    if state["trial_packets"] == 0 or abs(change) > now.rate // LATCH_TOLERANCE:
        state["trial"] = offset
        state["trial_packets"] = 1
        state["trial_since_ns"] = now.media_ns
        return False
    state["trial_packets"] += 1
    if change > 0:
        state["trial"] = offset
    if again:
        return bool(now.media_ns - state["trial_since_ns"] >= TAKE_OVER_NS)
    return bool(state["trial_packets"] >= LATCH_PACKETS)


@kernel
def follow_burst(state: Record, offset: int, now: Arrival) -> bool:
    """Whether packets that come in bursts were watched for long enough: `burst` is the earliest."""
    change = signed32(offset - state["burst"])
    if state["burst_since_ns"] == 0 or abs(change) > now.rate // BURST_SPREAD:
        state["burst"] = offset
        state["burst_since_ns"] = now.media_ns
        return False
    if change > 0:
        state["burst"] = offset
    return bool(now.media_ns - state["burst_since_ns"] >= BURST_NS)
