"""The tick: one compiled function, entered once on its own thread, that leaves at stop.

Order of a round: tables, clock, PCM headers, send what is due, receive, make the bus final, publish
counters, sleep to the next point of the grid. It knows no Python object, allocates nothing, takes
no lock and no loop in it is longer than a table.
"""

from __future__ import annotations

from typing import Any

from aes67.engine.atomics import (
    begin_write,
    copy_locked,
    end_write,
    load_acquire,
    samples_at,
    store_release,
)
from aes67.engine.libc import CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, read_clock, sleep_until
from aes67.engine.players import observe_all, publish_all, recover
from aes67.engine.receiver import finalise_all, receive
from aes67.engine.sender import idle, send_due
from aes67.engine.swap import forget_time, take_tables
from aes67.engine.wiring import (
    BANKS,
    PCM_CHANGES,
    ROUNDS,
    STOP,
    TAKEN_SWAP,
    WANTED_SWAP,
    Common,
    Playing,
    Receiving,
    Sending,
    Tick,
)
from aes67.jit import kernel
from aes67.media.depacketize import Arrival
from aes67.media.meters import decayed
from aes67.media.timeline import SECOND_NS, begin_of, frame_at, media_at, raw_at
from aes67.shm.layout import (
    CLOCK,
    CLOCK_HOLDOVER,
    CLOCK_LOCKED,
    MAX_SINKS,
    MAX_SOURCES,
)

MEDIA_SEQ = CLOCK.offset("media_seq") // 8
MONO_SEQ = CLOCK.offset("mono_seq") // 8
MONO_NS = CLOCK.offset("mono_ns") // 8
MONO_RAW_NS = CLOCK.offset("mono_raw_ns") // 8
TICK_NS = CLOCK.offset("tick_ns") // 8
LATE_MAX_NS = CLOCK.offset("late_max_ns") // 8
BUS_DONE = CLOCK.offset("bus_done") // 8

# words of `media`, the copy of the clock page's first record
RAW_NS = 0
MEDIA_NS = 1
RATE_Q40 = 2
EPOCH = 3
STATE = 4
SESSION_EPOCH = 6

SHORT_NS = 1000
"""MONOTONIC is slewed against MONOTONIC_RAW: a wake-up may be this much short of its grid point."""
STALL = 50
"""After 1/50 s without a round the bus is made final before anything is received."""
METER_HZ = 100
"""Meters decay this often."""
_TRIES = 16


@kernel
def publish_mono(common: Common, mono: int, raw: int, tick_ns: int) -> None:
    """The clock page's second record: CLOCK_MONOTONIC to CLOCK_MONOTONIC_RAW, and the heartbeat."""
    clock = common.clock
    odd = begin_write(clock, MONO_SEQ)
    clock[MONO_NS] = mono
    clock[MONO_RAW_NS] = raw
    clock[TICK_NS] = tick_ns
    clock[LATE_MAX_NS] = common.engine[0]["late_max_ns"]
    end_write(clock, MONO_SEQ, odd)


@kernel
def wait(common: Common, target_frame: int, rate: int, mono: int, raw: int, tick_ns: int) -> int:
    """Sleep until `target_frame` begins; returns the instant of CLOCK_MONOTONIC aimed at.

    Args:
        mono, raw: both clocks at one instant of this round.
    """
    media = common.media
    due = raw_at(begin_of(target_frame, rate), media[RAW_NS], media[MEDIA_NS], media[RATE_Q40])
    target = mono + (due - raw)
    if not mono < target <= mono + 2 * tick_ns:
        target = mono + tick_ns
    now = read_clock(CLOCK_MONOTONIC, common.timespec)
    common.engine[0]["busy_ns"] += now - mono
    sleep_until(target, common.timespec)
    return target


@kernel
def count_lateness(common: Common, late_ns: int, tick_ns: int) -> None:
    """How long after the instant aimed at the thread ran."""
    engine = common.engine[0]
    if late_ns > tick_ns // 2:
        engine["late_ticks"] += 1
    if late_ns >= tick_ns:
        engine["skipped_ticks"] += late_ns // tick_ns
    engine["late_max_ns"] = max(engine["late_max_ns"], late_ns)


@kernel
def decay_meters(sending: Sending, receiving: Receiving) -> None:
    """One step of every meter."""
    for s in range(MAX_SOURCES):
        sending.counters[s]["peak"] = decayed(sending.counters[s]["peak"])
    for s in range(MAX_SINKS):
        receiving.counters[s]["peak"] = decayed(receiving.counters[s]["peak"])


@kernel
def capture(
    common: Common, receiving: Receiving, bank: int, now: int, media_ns: int, done: int
) -> int:
    """Receive and make the bus final up to the next tick; returns the new `bus_done`."""
    facts = common.banks[bank]
    tick = facts["tick_frames"]
    bus = samples_at(facts["bus_address"], facts["device_channels"], facts["bus_frames"])
    if now - done > facts["rate"] // STALL:
        finalise_all(common, receiving, bus, bank, done, now)
        done = now
    arrival = Arrival(now, media_ns, facts["rate"], done, facts["early_limit"])
    receive(common, receiving, bus, bank, arrival)
    end = (now // tick + 1) * tick
    if end > done:
        finalise_all(common, receiving, bus, bank, done, end)
        done = end
    return done


@kernel
def play(
    common: Common, playing: Playing, sending: Sending, bank: int, now: int, line: Any
) -> None:
    """Look at the clients, send what is due, tell them."""
    media = common.media
    observe_all(playing, line, (now, common.banks[bank]["rate"], media[EPOCH]))
    done = now
    if media[STATE] == CLOCK_LOCKED or media[STATE] == CLOCK_HOLDOVER:
        done = send_due(common, playing, sending, bank, now, media[SESSION_EPOCH])
    else:
        idle(sending)
    publish_all(playing, done)


@kernel
def run(tick: Tick, line: Any) -> int:
    """Tick until told to stop; returns the rounds made. `line`: int64[5] to work in."""
    common, playing, sending, receiving = tick
    control = common.control
    engine = common.engine[0]
    taken = control[TAKEN_SWAP]
    rounds = 0
    changes = -1
    epoch = common.clock[MEDIA_SEQ + 1 + EPOCH]
    now = -1
    done = 0
    target = 0
    while not load_acquire(control, STOP):
        bank = taken % BANKS
        wanted = load_acquire(control, WANTED_SWAP)
        if wanted != taken:
            bank = wanted % BANKS
            take_tables(common, sending, receiving, bank, done)
            if common.banks[bank]["new_bus"]:
                now = -1
            changes = -1
            taken = wanted
            store_release(control, TAKEN_SWAP, taken)
        rate = common.banks[bank]["rate"]
        tick_frames = common.banks[bank]["tick_frames"]
        tick_ns = tick_frames * SECOND_NS // rate
        mono = read_clock(CLOCK_MONOTONIC, common.timespec)
        raw = read_clock(CLOCK_MONOTONIC_RAW, common.timespec)
        if target:
            count_lateness(common, mono - target, tick_ns)
        publish_mono(common, mono, raw, tick_ns)
        copy_locked(common.media, common.clock, MEDIA_SEQ, _TRIES)
        media = common.media
        media_ns = media_at(raw, media[RAW_NS], media[MEDIA_NS], media[RATE_Q40])
        frame = frame_at(media_ns + SHORT_NS, rate)
        if media[EPOCH] != epoch or frame < now - tick_frames:
            engine["clock_epochs"] += 1
            epoch = media[EPOCH]
            now = -1
        if now < 0:
            idle(sending)
            done = (frame // tick_frames) * tick_frames
            forget_time(receiving, receiving.rows[bank], done + common.banks[bank]["bus_frames"])
            now = frame
        if frame * METER_HZ // rate != now * METER_HZ // rate:
            decay_meters(sending, receiving)
        now = max(now, frame)
        wanted_changes = load_acquire(control, PCM_CHANGES)
        if wanted_changes != changes:
            changes = wanted_changes
            recover(playing, sending.rows[bank])
        play(common, playing, sending, bank, now, line)
        if common.banks[bank]["bus_address"]:
            done = capture(common, receiving, bank, now, media_ns, done)
            store_release(common.clock, BUS_DONE, done)
        rounds += 1
        engine["ticks"] += 1
        store_release(control, ROUNDS, control[ROUNDS] + 1)
        target = wait(
            common, (now // tick_frames + 1) * tick_frames, rate, mono, raw, tick_ns
        )
    return rounds
