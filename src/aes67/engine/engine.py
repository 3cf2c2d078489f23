"""The engine without its shells: shared memory, tables and playback streams around the tick."""

from __future__ import annotations

import atexit
import os
import time
from dataclasses import dataclass

import numpy as np

from aes67.engine.clock_page import ClockPage
from aes67.engine.memory import lock_all, populate
from aes67.engine.mmsg import address_of
from aes67.engine.plan import Plan
from aes67.engine.sockets import Change, Sockets
from aes67.engine.tables import check_owners, fill_bank, read_tables
from aes67.engine.thread import TickThread
from aes67.engine.wiring import (
    BANKS,
    CAPTURE_GAIN,
    PCM_CHANGES,
    PLAYBACK_GAIN,
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
    TAKEN_SWAP,
    WANTED_SWAP,
    Tick,
    make_tick,
)
from aes67.errors import Refused
from aes67.media.meters import UNITY
from aes67.shm.layout import (
    BUS,
    BUS_MAGIC,
    MAX_PCMS,
    MAX_STREAM_CHANNELS,
    PAGE_BYTES,
    STREAM,
    STREAM_MAGIC,
    TELEMETRY_MAGIC,
    VERSION_MAJOR,
    VERSION_MINOR,
    buffer_bytes_max,
    bus_frames_for,
    ring_frames_for,
    telemetry_offsets,
)
from aes67.shm.region import Region, create

_IDLE_RATE = 48_000
_IDLE_TICK_FRAMES = 12
"""Before the first plan the tick has nothing to do but its heartbeat: every 250 us."""
_SAMPLE_BYTES_MIN = 2
"""Of the smallest format an application may have."""
_SWAP_PATIENCE_S = 1.0
_SWAP_STEP_S = 0.0001
_POPULATE_BYTES_MAX = 1 << 20
"""Rings up to this size are made present at once; a larger one is so as the client fills it."""


@dataclass(frozen=True)
class Playback:
    """An open playback stream: the memory its client gets."""

    stream_id: int
    slot: int
    region: Region
    ring_frames: int


class Engine:
    """Owner of the clock page, telemetry, the bus, playback streams and the tick thread.

    All methods belong to one ordinary thread. `warnings` says in words which rights are missing.
    """

    def __init__(self, *, priority: int = 70, lock_memory: bool = True) -> None:
        """Make the shared memory; nothing runs yet.

        Args:
            priority: SCHED_FIFO priority of the tick, 1 to 99.
            lock_memory: keep the process's memory from being paged out.
        """
        self.generation = int.from_bytes(os.urandom(8), "little") >> 1 | 1
        self.clock = create("aes67-clock", PAGE_BYTES, read_only_for_others=True)
        self.clock_page = ClockPage(self.clock, self.generation)
        self.telemetry = create(
            "aes67-telemetry", telemetry_offsets()["total"], read_only_for_others=True
        )
        self.bus: Region | None = None
        self.plan: Plan | None = None
        self.warnings: list[str] = []
        self.realtime = False
        self._lock_memory = lock_memory
        self._sockets = Sockets()
        self._streams: dict[int, Playback] = {}
        self._closing: dict[int, Playback] = {}
        self._next_stream_id = 1
        self._tick = self._make_tick()
        self._thread = TickThread(self._tick, priority)

    def _make_tick(self) -> Tick:
        tick = make_tick(self.clock_page.words, self.telemetry)
        tick.telemetry["engine"]["magic"] = TELEMETRY_MAGIC
        tick.telemetry["engine"]["generation"] = self.generation
        tick.common["banks"]["rate"] = _IDLE_RATE
        tick.common["banks"]["tick_frames"] = _IDLE_TICK_FRAMES
        tick.common["control"][PLAYBACK_GAIN] = UNITY
        tick.common["control"][CAPTURE_GAIN] = UNITY
        return tick

    def start(self) -> None:
        """Compile or load the tick and start its thread; without a plan it only keeps the clock."""
        refusals = [lock_all()] if self._lock_memory else []
        self._thread.start()
        atexit.register(self.stop)
        self.realtime = self._thread.refusal is None
        if not self.realtime:
            refusals.insert(0, f"SCHED_FIFO: {self._thread.refusal}")
        missing = "; ".join(each for each in refusals if each)
        if missing:
            self.warnings.append(
                f"running without real-time rights ({missing}): audio may drop out under load; "
                "give CAP_SYS_NICE and CAP_IPC_LOCK, or rtprio and memlock limits"
            )

    def stop(self) -> None:
        """Leave the tick, join its thread, close the sockets."""
        atexit.unregister(self.stop)
        self._thread.stop()
        self.collect()
        self._sockets.close()

    def apply(self, plan: Plan, tables: bytes) -> None:
        """Put a plan in force between two ticks; streams it does not touch lose no packet.

        Args:
            tables: 64 SOURCE_ROW, then 64 SINK_ROW.

        Raises:
            Refused: a row is wrong, or a socket or group cannot be opened: nothing has happened.
        """
        self.collect()
        control = self._tick.common["control"]
        if self._thread.running and control[TAKEN_SWAP] != control[WANTED_SWAP]:
            raise Refused("serial", plan.serial, "the tick has not taken the plan before it yet")
        rows = read_tables(plan, tables)
        check_owners(rows[1])
        change = self._sockets.prepare(plan)
        before = self.plan
        new_bus = (
            before is None
            or self.bus is None
            or (plan.rate, plan.device_channels) != (before.rate, before.device_channels)
        )
        bus = self.bus
        if bus is None or new_bus:
            bus = self._make_bus(plan, change)
        wanted = int(control[TAKEN_SWAP]) + 1
        bank = wanted % BANKS
        fill_bank(self._tick, bank, plan, rows, change.descriptors(plan))
        facts = self._tick.common["banks"][bank]
        facts["new_bus"] = 1 if new_bus else 0
        facts["bus_address"] = address_of(np.frombuffer(bus.map, "u1")) + PAGE_BYTES
        facts["bus_frames"] = bus_frames_for(plan.rate)
        self._populate_bus(bus, rows[1], plan)
        control[WANTED_SWAP] = wanted
        self._await_swap(wanted)
        self._sockets.commit(change)
        if bus is not self.bus:
            if self.bus is not None:
                self.bus.close()
            self.bus = bus
        self.plan = plan

    def _make_bus(self, plan: Plan, change: Change) -> Region:
        frames = bus_frames_for(plan.rate)
        size = PAGE_BYTES + plan.device_channels * frames * 4
        try:
            bus = create("aes67-bus", size, read_only_for_others=True)
        except OSError as error:
            self._sockets.withdraw(change)
            rule = f"a bus of {size} bytes: {error.strerror}"
            raise Refused("device_channels", plan.device_channels, rule) from error
        header = bus.view(BUS)[0]
        header["magic"] = BUS_MAGIC
        header["major"] = VERSION_MAJOR
        header["minor"] = VERSION_MINOR
        header["generation"] = self.generation
        header["rate"] = plan.rate
        header["channels"] = plan.device_channels
        header["frames"] = frames
        return bus

    def _populate_bus(self, bus: Region, sinks: np.ndarray, plan: Plan) -> None:  # type: ignore[type-arg]
        row_bytes = bus_frames_for(plan.rate) * 4
        for row in sinks[sinks["enabled"] != 0]:
            for channel in row["map"][: row["channels"]]:
                if channel >= 0:
                    populate(bus, PAGE_BYTES + int(channel) * row_bytes, row_bytes)

    def _await_swap(self, wanted: int) -> None:
        """Wait until the tick has taken a table; without a tick it will at its start."""
        deadline = time.monotonic() + _SWAP_PATIENCE_S
        control = self._tick.common["control"]
        while self._thread.running and control[TAKEN_SWAP] != wanted:
            if time.monotonic() > deadline:
                break
            time.sleep(_SWAP_STEP_S)

    def open_playback(self, *, channels: int, first: int, buffer_frames: int) -> Playback:
        """Make a playback stream on device channels [first, first + channels).

        Raises:
            Refused: no plan yet, outside the device, a buffer too large, or no slot left.
        """
        self.collect()
        if self.plan is None:
            raise Refused("plan", None, "the device has no configuration yet")
        if not 1 <= channels <= MAX_STREAM_CHANNELS:
            raise Refused("channels", channels, f"is 1 to {MAX_STREAM_CHANNELS}")
        if first < 0 or first + channels > self.plan.device_channels:
            raise Refused("first", first, f"ends within {self.plan.device_channels} channels")
        most = buffer_bytes_max(self.plan.rate) // (channels * _SAMPLE_BYTES_MIN)
        if not 1 <= buffer_frames <= most:
            raise Refused("buffer_frames", buffer_frames, f"is 1 to {most}")
        slots = self._tick.playing["slots"]
        free = [i for i in range(MAX_PCMS) if slots[i, SLOT_STATE] == SLOT_EMPTY]
        if not free:
            raise Refused("slot", MAX_PCMS, "is the most playback streams there can be")
        playback = self._make_stream(free[0], channels, first, buffer_frames)
        self._streams[playback.stream_id] = playback
        slot = slots[playback.slot]
        memory = address_of(np.frombuffer(playback.region.map, "u1"))
        slot[SLOT_STREAM_ID] = playback.stream_id
        slot[SLOT_HEADER] = memory
        slot[SLOT_RING] = memory + PAGE_BYTES
        slot[SLOT_RING_FRAMES] = playback.ring_frames
        slot[SLOT_CHANNELS] = channels
        slot[SLOT_FIRST] = first
        slot[SLOT_STATE] = SLOT_OPEN
        self._tick.common["control"][PCM_CHANGES] += 1
        return playback

    def _make_stream(self, slot: int, channels: int, first: int, buffer_frames: int) -> Playback:
        assert self.plan is not None
        ring_frames = ring_frames_for(self.plan.rate, buffer_frames)
        size = PAGE_BYTES + ring_frames * channels * 4
        try:
            region = create("aes67-stream", size, read_only_for_others=False)
        except OSError as error:
            rule = f"a ring of {size} bytes: {error.strerror}"
            raise Refused("buffer_frames", buffer_frames, rule) from error
        header = region.view(STREAM)[0]
        stream_id = self._next_stream_id
        self._next_stream_id += 1
        header["magic"] = STREAM_MAGIC
        header["major"] = VERSION_MAJOR
        header["minor"] = VERSION_MINOR
        header["stream_id"] = stream_id
        header["rate"] = self.plan.rate
        header["channels"] = channels
        header["first"] = first
        header["ring_frames"] = ring_frames
        populate(region, 0, size if size <= _POPULATE_BYTES_MAX else PAGE_BYTES)
        return Playback(stream_id, slot, region, ring_frames)

    def close_playback(self, stream_id: int) -> None:
        """End a stream: what was due is still sent, then its memory goes; unknown ids: nothing."""
        playback = self._streams.pop(stream_id, None)
        if playback is None:
            return
        self._closing[stream_id] = playback
        state = SLOT_CLOSING if self._thread.running else SLOT_EMPTY
        self._tick.playing["slots"][playback.slot, SLOT_STATE] = state
        self.collect()

    def collect(self) -> None:
        """Give memory back of ended streams the tick has let go; to be called now and then."""
        slots = self._tick.playing["slots"]
        if not self._thread.running:
            for playback in self._closing.values():
                slots[playback.slot, SLOT_STATE] = SLOT_EMPTY
        for stream_id, playback in list(self._closing.items()):
            if slots[playback.slot, SLOT_STATE] == SLOT_EMPTY:
                del self._closing[stream_id]
                playback.region.close()
                self._tick.common["control"][PCM_CHANGES] += 1

    def set_gains(self, playback_q30: int, capture_q30: int) -> None:
        """Device-wide gains, 0 to 2^31 with unity at 2^30, at which nothing is touched."""
        control = self._tick.common["control"]
        control[PLAYBACK_GAIN] = min(max(playback_q30, 0), 2 * UNITY)
        control[CAPTURE_GAIN] = min(max(capture_q30, 0), 2 * UNITY)
