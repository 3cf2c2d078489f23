"""Playback streams inside the tick: copy their headers, read them, tell them how far we are."""

from __future__ import annotations

from typing import Any

from aes67.engine.atomics import (
    copy_locked,
    load_acquire,
    samples_at,
    store_release,
    words_at,
)
from aes67.engine.wiring import (
    SLOT_CHANNELS,
    SLOT_CLOSING,
    SLOT_EMPTY,
    SLOT_FIRST,
    SLOT_HEADER,
    SLOT_OPEN,
    SLOT_RING,
    SLOT_RING_FRAMES,
    SLOT_STATE,
    SLOT_STREAM_ID,
    Tick,
)
from aes67.jit import inner
from aes67.media.gather import (
    add_frames,
    copy_frames,
    count_saturated,
    covers,
    saturate,
)
from aes67.media.meters import UNITY
from aes67.media.playback import Header, observe
from aes67.shm.layout import MAX_PCMS, MAX_SOURCES, PAGE_BYTES, RUN_IDLE, STREAM

HEADER_WORDS = PAGE_BYTES // 8
RUN_SEQ = STREAM.offset("run_seq") // 8
APPL_POS = STREAM.offset("appl_pos") // 8
ACK_RUN = STREAM.offset("ack_run") // 8
DONE_POS = STREAM.offset("done_pos") // 8
SILENCE_FRAMES = STREAM.offset("silence_frames") // 8
SATURATED = STREAM.offset("saturated") // 8
ERROR = STREAM.offset("error") // 8
_TRIES = 8
"""A client that keeps its lock odd is read again in the next tick."""

COVER_KINDS = 4


@inner
def observe_all(tick: Tick, clock: tuple[int, int, int]) -> None:
    """Copy and judge every header. `clock`: media frame, rate, epoch."""
    playing = tick.playing
    line = playing.line
    for i in range(MAX_PCMS):
        slot = playing.slots[i]
        phase = load_acquire(slot, SLOT_STATE)
        if phase == SLOT_EMPTY:
            continue
        state = playing.state[i]
        if state["stream_id"] != slot[SLOT_STREAM_ID]:
            clear_stream(tick, i)
            state["stream_id"] = slot[SLOT_STREAM_ID]
            state["run"] = -1
            tick.telemetry.pcms[i]["stream_id"] = slot[SLOT_STREAM_ID]
        words = words_at(slot[SLOT_HEADER], HEADER_WORDS)
        header = Header(state["run"], RUN_IDLE, 0, 0, 0, load_acquire(words, APPL_POS))
        if phase == SLOT_OPEN:
            if not copy_locked(line, words, RUN_SEQ, _TRIES):
                continue
            position = load_acquire(words, APPL_POS)
            header = Header(line[0], line[1], line[2], line[3], line[4], position)
        observe(header, state, tick.telemetry.pcms[i], clock, slot[SLOT_RING_FRAMES])


@inner
def publish_all(tick: Tick, done_frame: int) -> None:
    """Tell every client that frames below `done_frame` will not be read any more; empty slots."""
    playing = tick.playing
    for i in range(MAX_PCMS):
        slot = playing.slots[i]
        phase = load_acquire(slot, SLOT_STATE)
        if phase == SLOT_EMPTY:
            continue
        state = playing.state[i]
        counters = tick.telemetry.pcms[i]
        if state["tail_to"] <= done_frame:
            state["tail_from"] = 0
            state["tail_to"] = 0
            if phase == SLOT_CLOSING:
                clear_stream(tick, i)
                store_release(slot, SLOT_STATE, SLOT_EMPTY)
                continue
        if phase == SLOT_CLOSING:
            continue
        words = words_at(slot[SLOT_HEADER], HEADER_WORDS)
        if state["audible"]:
            done = max(done_frame - state["anchor"], state["start_pos"])
            if state["run"] != words[ACK_RUN] or done > counters["done_pos"]:
                counters["done_pos"] = done
                store_release(words, DONE_POS, done)
        store_release(words, SILENCE_FRAMES, counters["silence_frames"])
        store_release(words, SATURATED, counters["saturated"])
        store_release(words, ERROR, state["rule"])
        store_release(words, ACK_RUN, max(state["run"], 0))


@inner
def clear_stream(tick: Tick, i: int) -> None:
    """Nothing is known of slot `i`."""
    tick.playing.state[i] = tick.playing.blank[0]
    tick.telemetry.pcms[i] = tick.playing.blank_counters[0]


@inner
def forget_runs(tick: Tick) -> None:
    """Frame numbers have changed their meaning: no stream is readable until it is anchored anew."""
    for i in range(MAX_PCMS):
        state = tick.playing.state[i]
        state["audible"] = 0
        state["from_frame"] = 0
        state["to_frame"] = 0
        state["tail_from"] = 0
        state["tail_to"] = 0


@inner
def recover(tick: Tick, bank: int) -> None:
    """Find out anew which streams cover which sources."""
    playing = tick.playing
    rows = tick.sending.rows[bank]
    for s in range(MAX_SOURCES):
        row = rows[s]
        found = 0
        if row["enabled"]:
            channel_map = row["map"][: row["channels"]]
            for i in range(MAX_PCMS):
                slot = playing.slots[i]
                if load_acquire(slot, SLOT_STATE) != SLOT_EMPTY:
                    kind = covers(channel_map, slot[SLOT_FIRST], slot[SLOT_CHANNELS])
                    if kind:
                        playing.cover[s, found] = i * COVER_KINDS + kind
                        found += 1
        playing.cover_count[s] = found


@inner
def part_of(state: Any, part: int, begin: int, end: int) -> tuple[int, int, int]:
    """Readable frames of [begin, end), their anchor; part 0: this run, 1: the last one's tail."""
    if part == 0:
        return (
            max(begin, state["from_frame"]),
            min(end, state["to_frame"]),
            state["anchor"],
        )
    return max(begin, state["tail_from"]), min(end, state["tail_to"]), state["tail_anchor"]


@inner
def gather(tick: Tick, source: int, row: Any, begin: int, gain: int) -> Any:
    """The samples of a source's packet that begins at media frame `begin`, interleaved.

    Where one stream has them all as they are needed, they are not even copied.
    """
    playing = tick.playing
    channels = row["channels"]
    frames = row["frames_per_packet"]
    end = begin + frames
    samples = tick.sending.samples[: frames * channels]
    found = 0
    only = 0
    for n in range(playing.cover_count[source]):
        entry = playing.cover[source, n]
        for part in range(2):
            low, high, _ = part_of(playing.state[entry // COVER_KINDS], part, begin, end)
            if low < high:
                found += 1
                only = 2 * entry + part if low == begin and high == end else -1
    if found == 0:
        samples[:] = 0
        return samples
    if found == 1 and only >= 0 and gain == UNITY and only // 2 % COVER_KINDS == 2:
        i = only // 2 // COVER_KINDS
        _, _, anchor = part_of(playing.state[i], only % 2, begin, end)
        return read_one(playing.slots[i], row, begin - anchor, samples)
    mix(tick, source, row, begin, samples, gain)
    return samples


@inner
def read_one(slot: Any, row: Any, position: int, samples: Any) -> Any:
    """All of `samples` from one ring, from `position` on: the ring itself if they lie in it."""
    ring_frames = slot[SLOT_RING_FRAMES]
    ring_channels = slot[SLOT_CHANNELS]
    channels = row["channels"]
    frames = row["frames_per_packet"]
    first = row["map"][0] - slot[SLOT_FIRST]
    at = position & (ring_frames - 1)
    whole = min(frames, ring_frames - at)
    if channels == ring_channels and whole == frames:
        flat = samples_at(slot[SLOT_RING], 1, ring_frames * ring_channels)[0]
        return flat[at * channels : (at + frames) * channels]
    ring = samples_at(slot[SLOT_RING], ring_frames, ring_channels)
    copy_frames(samples[: whole * channels], ring, at, first, channels)
    copy_frames(samples[whole * channels :], ring, 0, first, channels)
    return samples


@inner
def mix(tick: Tick, source: int, row: Any, begin: int, samples: Any, gain: int) -> None:
    """The saturated sum of all streams that have some of a packet's frames and channels."""
    playing = tick.playing
    sums = tick.sending.sums[: samples.shape[0]]
    channels = row["channels"]
    end = begin + row["frames_per_packet"]
    channel_map = row["map"][:channels]
    sums[:] = 0
    for n in range(playing.cover_count[source]):
        i = playing.cover[source, n] // COVER_KINDS
        slot = playing.slots[i]
        ring_frames = slot[SLOT_RING_FRAMES]
        ring = samples_at(slot[SLOT_RING], ring_frames, slot[SLOT_CHANNELS])
        for part in range(2):
            low, high, anchor = part_of(playing.state[i], part, begin, end)
            while low < high:
                at = (low - anchor) & (ring_frames - 1)
                span = min(high - low, ring_frames - at)
                into = sums[(low - begin) * channels : (low - begin + span) * channels]
                add_frames(into, ring, at, channel_map, slot[SLOT_FIRST], gain)
                low += span
    clipped = saturate(samples, sums)
    if clipped == 0:
        return
    tick.telemetry.engine[0]["saturated"] += clipped
    for n in range(playing.cover_count[source]):
        i = playing.cover[source, n] // COVER_KINDS
        slot = playing.slots[i]
        for part in range(2):
            low, high, _ = part_of(playing.state[i], part, begin, end)
            if low < high:
                tick.telemetry.pcms[i]["saturated"] += count_saturated(
                    sums, channel_map, slot[SLOT_FIRST], slot[SLOT_CHANNELS],
                    low - begin, high - begin,
                )  # fmt: skip
