"""The tick: one compiled function, entered once on its own thread, that leaves at stop.

Order of a round: tables, clock, PCM headers, send what is due, receive, make the bus final, publish
counters, sleep to the next point of the grid. It knows no Python object, allocates nothing, takes
no lock, and no loop in it is longer than a table.
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
from aes67.engine.players import forget_runs, observe_all, publish_all, recover
from aes67.engine.receiver import finalise_all, receive
from aes67.engine.sender import idle, send_due
from aes67.engine.swap import forget_time, take_tables
from aes67.engine.wiring import (
    BANKS,
    DONE,
    EPOCH,
    KNOWN_CHANGES,
    KNOWN_EPOCH,
    MEDIA_NS,
    MEDIA_WORDS,
    MONO,
    NOW,
    NOW_NS,
    PCM_CHANGES,
    RATE_Q40,
    RAW,
    RAW_NS,
    ROUNDS,
    SESSION_EPOCH,
    STATE,
    STOP,
    TAKEN_SWAP,
    TARGET,
    WANTED_SWAP,
    Tick,
)
from aes67.jit import inner, kernel
from aes67.media.depacketize import Arrival
from aes67.media.meters import decayed
from aes67.media.timeline import SECOND_NS, begin_of, frame_at, media_at, raw_at
from aes67.shm.layout import (
    CLOCK,
    CLOCK_HOLDOVER,
    CLOCK_LOCKED,
    GAP_SHARE,
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

SHORT_NS = 1000
"""MONOTONIC is slewed against MONOTONIC_RAW: a wake-up may be this much short of its grid point."""
STALL = 50
"""After 1/50 s without a round the bus is made final before anything is received."""
METER_HZ = 100
"""Meters decay this often."""
UNDISTURBED_NS = 1000
"""Two reads of a clock with another between them take some 100 ns when nothing interferes."""
NEVER_NS = 1 << 62
_TRIES = 16


@kernel
def run(tick: Tick) -> int:
    """Tick until told to stop; returns the rounds made."""
    control = tick.common.control
    moment = tick.common.moment
    moment[NOW] = -1
    moment[TARGET] = 0
    moment[KNOWN_EPOCH] = tick.clock[MEDIA_SEQ + 1 + EPOCH]
    rounds = 0
    while not load_acquire(control, STOP):
        bank = swap_bank(tick)
        look_at_clock(tick, bank)
        follow_jumps(tick, bank)
        play(tick, bank)
        if tick.common.banks[bank]["bus_address"]:
            capture(tick, bank)
        rounds += 1
        tick.telemetry.engine[0]["ticks"] += 1
        store_release(control, ROUNDS, control[ROUNDS] + 1)
        wait(tick, bank)
    return rounds


@inner
def swap_bank(tick: Tick) -> int:
    """The bank in force, after taking a new one over if one is wanted."""
    common = tick.common
    control = common.control
    wanted = load_acquire(control, WANTED_SWAP)
    bank = int(wanted % BANKS)
    if wanted != control[TAKEN_SWAP]:
        take_tables(tick, bank)
        if common.banks[bank]["new_bus"]:
            common.moment[NOW] = -1
        common.moment[KNOWN_CHANGES] = -1
        store_release(control, TAKEN_SWAP, wanted)
    return bank


@inner
def look_at_clock(tick: Tick, bank: int) -> None:
    """Read the clocks once for this round and publish the clock page's second record."""
    common = tick.common
    media = common.media
    moment = common.moment
    tick_ns = tick_ns_of(tick, bank)
    mono, raw = read_both(common.timespec)
    if moment[TARGET]:
        count_lateness(tick, mono - moment[TARGET], tick_ns)
    clock = tick.clock
    odd = begin_write(clock, MONO_SEQ)
    clock[MONO_NS] = mono
    clock[MONO_RAW_NS] = raw
    clock[TICK_NS] = tick_ns
    clock[LATE_MAX_NS] = tick.telemetry.engine[0]["late_max_ns"]
    end_write(clock, MONO_SEQ, odd)
    if copy_locked(common.media_seen, clock, MEDIA_SEQ, _TRIES):  # else the last one goes on
        for i in range(MEDIA_WORDS):
            media[i] = common.media_seen[i]
    moment[MONO] = mono
    moment[RAW] = raw
    moment[NOW_NS] = media_at(raw, media[RAW_NS], media[MEDIA_NS], media[RATE_Q40])


@inner
def follow_jumps(tick: Tick, bank: int) -> None:
    """The frame it is; a discontinuity of media time makes sources and sinks begin anew."""
    moment = tick.common.moment
    facts = tick.common.banks[bank]
    rate = facts["rate"]
    tick_frames = facts["tick_frames"]
    frame = frame_at(moment[NOW_NS] + SHORT_NS, rate)
    epoch = tick.common.media[EPOCH]
    if epoch != moment[KNOWN_EPOCH] or frame < moment[NOW] - tick_frames:
        tick.telemetry.engine[0]["clock_epochs"] += 1
        moment[KNOWN_EPOCH] = epoch
        moment[NOW] = -1
    if moment[NOW] < 0:
        moment[DONE] = frame // tick_frames * tick_frames
        idle(tick)
        forget_time(tick, bank)
        forget_runs(tick)
    elif frame * METER_HZ // rate != moment[NOW] * METER_HZ // rate:
        decay_meters(tick)
    moment[NOW] = max(moment[NOW], frame)


@inner
def play(tick: Tick, bank: int) -> None:
    """Look at the clients, send what is due, tell them."""
    common = tick.common
    media = common.media
    now = common.moment[NOW]
    changes = load_acquire(common.control, PCM_CHANGES)
    if changes != common.moment[KNOWN_CHANGES]:
        common.moment[KNOWN_CHANGES] = changes
        recover(tick, bank)
    observe_all(tick, (now, common.banks[bank]["rate"], media[EPOCH]))
    done = now
    if media[STATE] == CLOCK_LOCKED or media[STATE] == CLOCK_HOLDOVER:
        done = send_due(tick, bank, now, media[SESSION_EPOCH])
    else:
        idle(tick)
    publish_all(tick, done)


@inner
def capture(tick: Tick, bank: int) -> None:
    """Receive, and make the bus final up to the next tick."""
    moment = tick.common.moment
    facts = tick.common.banks[bank]
    rate = facts["rate"]
    now = moment[NOW]
    bus = samples_at(facts["bus_address"], facts["device_channels"], facts["bus_frames"])
    if now - moment[DONE] > rate // STALL:
        finalise_all(tick, bank, bus, now)
    arrival = Arrival(
        now, moment[NOW_NS], rate, moment[DONE], facts["early_limit"], rate // GAP_SHARE
    )
    receive(tick, bank, bus, arrival)
    finalise_all(tick, bank, bus, next_point(now, facts["tick_frames"]))
    store_release(tick.clock, BUS_DONE, moment[DONE])


@inner
def wait(tick: Tick, bank: int) -> None:
    """Sleep until the next point of the grid."""
    common = tick.common
    moment = common.moment
    media = common.media
    facts = common.banks[bank]
    point = next_point(moment[NOW], facts["tick_frames"])
    due_ns = begin_of(point, facts["rate"])
    due_raw = raw_at(due_ns, media[RAW_NS], media[MEDIA_NS], media[RATE_Q40])
    target = moment[MONO] + due_raw - moment[RAW]
    tick_ns = tick_ns_of(tick, bank)
    if not moment[MONO] < target <= moment[MONO] + 2 * tick_ns:
        target = moment[MONO] + tick_ns
    moment[TARGET] = target
    awake = read_clock(CLOCK_MONOTONIC, common.timespec) - moment[MONO]
    tick.telemetry.engine[0]["busy_ns"] += awake
    sleep_until(target, common.timespec)


@inner
def read_both(timespec: Any) -> tuple[int, int]:
    """CLOCK_MONOTONIC and CLOCK_MONOTONIC_RAW at one instant.

    What comes between two reads (an interrupt, the hypervisor) would be an error of the mapping
    until the next tick: of at most three tries the least disturbed one counts.
    """
    gap = NEVER_NS
    mono = 0
    raw = 0
    for _ in range(3):
        before = read_clock(CLOCK_MONOTONIC, timespec)
        between = read_clock(CLOCK_MONOTONIC_RAW, timespec)
        after = read_clock(CLOCK_MONOTONIC, timespec)
        if after - before < gap:
            gap = after - before
            mono = before + gap // 2
            raw = between
        if gap < UNDISTURBED_NS:
            break
    return mono, raw


@inner
def next_point(frame: int, tick_frames: int) -> int:
    """The grid's first point after `frame`."""
    return (frame // tick_frames + 1) * tick_frames


@inner
def tick_ns_of(tick: Tick, bank: int) -> int:
    """Nominal distance of ticks."""
    facts = tick.common.banks[bank]
    return int(facts["tick_frames"] * SECOND_NS // facts["rate"])


@inner
def count_lateness(tick: Tick, late_ns: int, tick_ns: int) -> None:
    """How long after the instant aimed at the thread ran."""
    engine = tick.telemetry.engine[0]
    if late_ns > tick_ns // 2:
        engine["late_ticks"] += 1
    if late_ns >= tick_ns:
        engine["skipped_ticks"] += late_ns // tick_ns
    engine["late_max_ns"] = max(engine["late_max_ns"], late_ns)


@inner
def decay_meters(tick: Tick) -> None:
    """One step of every meter."""
    for s in range(MAX_SOURCES):
        counters = tick.telemetry.sources[s]
        counters["peak"] = decayed(counters["peak"])
    for s in range(MAX_SINKS):
        meter = tick.telemetry.sinks[s]
        meter["peak"] = decayed(meter["peak"])
