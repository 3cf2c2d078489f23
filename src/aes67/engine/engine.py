"""The engine without its shells: shared memory, tables and playback streams around the tick."""

from __future__ import annotations

import atexit
import os
import time
from dataclasses import dataclass

import numpy as np

from aes67.engine.atomics import load_word, store_word
from aes67.engine.bus import make_bus, populate_rows
from aes67.engine.clock_page import ClockPage
from aes67.engine.memory import lock_all
from aes67.engine.mmsg import address_of
from aes67.engine.plan import Plan
from aes67.engine.sockets import Change, Sockets
from aes67.engine.streams import Playback, Streams
from aes67.engine.tables import check_owners, fill_bank, read_tables
from aes67.engine.thread import TickThread
from aes67.engine.wiring import (
    BANKS,
    CAPTURE_GAIN,
    PLAYBACK_GAIN,
    TAKEN_SWAP,
    WANTED_SWAP,
    Tick,
    make_tick,
)
from aes67.errors import Refused
from aes67.media.meters import UNITY
from aes67.shm.layout import PAGE_BYTES, TELEMETRY_MAGIC, bus_frames_for, telemetry_offsets
from aes67.shm.region import Region, create

_IDLE_RATE = 48_000
_IDLE_TICK_FRAMES = 12
"""Before the first plan the tick has nothing to do but its heartbeat: every 250 us."""
_SWAP_PATIENCE_S = 1.0
_SWAP_STEP_S = 0.0001


@dataclass(frozen=True)
class _Swap:
    """A plan handed to the tick: what is given back once it has been taken."""

    number: int
    change: Change
    old_bus: Region | None


class Engine:
    """Owner of the clock page, telemetry, the bus, playback streams and the tick thread.

    All methods belong to one ordinary thread. `warnings` says in words which rights are missing;
    `collect` is to be called now and then.
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
        self._swap: _Swap | None = None
        self._tick = self._make_tick()
        self._control = self._tick.common["control"]
        self._thread = TickThread(self._tick, priority)
        self._streams = Streams(self._tick, lambda: self._thread.running)

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

    @property
    def ticking(self) -> bool:
        """Whether the tick runs; after `start` anything but True is a fault of ours."""
        return self._thread.running

    def stop(self) -> None:
        """Leave the tick, join its thread, close the sockets and forget the plan."""
        atexit.unregister(self.stop)
        self._thread.stop()
        self.collect()
        self._sockets.close()
        banks = self._tick.common["banks"]
        banks["socket_count"] = 0
        banks["bus_address"] = 0
        self._tick.sending["rows"]["enabled"] = 0
        self._tick.receiving["rows"]["enabled"] = 0
        self.plan = None
        self.bus = None

    def apply(self, plan: Plan, tables: bytes) -> None:
        """Put a plan in force between two ticks; streams it does not touch lose no packet.

        Args:
            tables: 64 SOURCE_ROW, then 64 SINK_ROW.

        Raises:
            Refused: a row is wrong, or a socket or group cannot be opened: nothing has happened.
        """
        self.collect()
        if self._swap is not None:
            raise Refused("serial", plan.serial, "the tick has not taken the plan before it yet")
        rows = read_tables(plan, tables)
        check_owners(rows[1])
        change = self._sockets.prepare(plan)
        bus, new_bus = self.bus, self._needs_bus(plan)
        if bus is None or new_bus:
            try:
                bus = make_bus(plan, self.generation)
            except Refused:
                self._sockets.withdraw(change)
                raise
        populate_rows(bus, rows[1], plan.rate)
        number = int(self._control[TAKEN_SWAP]) + 1
        bank = number % BANKS
        fill_bank(self._tick, bank, plan, rows, change.descriptors)
        facts = self._tick.common["banks"][bank]
        facts["new_bus"] = 1 if new_bus else 0
        facts["bus_address"] = address_of(np.frombuffer(bus.map, "u1")) + PAGE_BYTES
        facts["bus_frames"] = bus_frames_for(plan.rate)
        self._swap = _Swap(number, change, self.bus if new_bus else None)
        self.bus, self.plan = bus, plan
        store_word(self._control, WANTED_SWAP, number)
        self._await_swap()

    def _needs_bus(self, plan: Plan) -> bool:
        """Whether the plan's frames or channels are others than those of the bus there is."""
        before = self.plan
        return before is None or (plan.rate, plan.device_channels) != (
            before.rate,
            before.device_channels,
        )

    def _await_swap(self) -> None:
        """Wait until the tick has taken a plan; if it is kept from running, `collect` goes on."""
        deadline = time.monotonic() + _SWAP_PATIENCE_S
        self._finish_swap()
        while self._swap is not None and time.monotonic() < deadline:
            time.sleep(_SWAP_STEP_S)
            self._finish_swap()

    def _finish_swap(self) -> None:
        """Once the tick has taken the plan, or there is none, close what it does not name."""
        swap = self._swap
        if swap is None:
            return
        if self._thread.running and load_word(self._control, TAKEN_SWAP) != swap.number:
            return
        self._swap = None
        self._sockets.commit(swap.change)
        if swap.old_bus is not None:
            swap.old_bus.close()

    @property
    def stale(self) -> bool:
        """Whether an interface was replaced: the plan is then to be applied once more."""
        return self.plan is not None and self._sockets.stale(self.plan)

    def readdress(self) -> None:
        """An interface may have another address: send from it. OSError: it is gone."""
        if self.plan is not None:
            self._sockets.readdress(self.plan)

    def rejoin(self, index: int) -> int:
        """The link of an interface has come back: say anew which groups are wanted on it."""
        return self._sockets.rejoin(index)

    def open_playback(self, *, channels: int, first: int, buffer_frames: int) -> Playback:
        """Make a playback stream on device channels [first, first + channels).

        Raises:
            Refused: no plan yet, outside the device, a buffer too large, or no slot left.
        """
        if self.plan is None:
            raise Refused("plan", None, "the device has no configuration yet")
        return self._streams.open(
            self.plan, channels=channels, first=first, buffer_frames=buffer_frames
        )

    def close_playback(self, stream_id: int) -> None:
        """End a stream: what was due is still sent, then its memory goes; unknown ids: nothing."""
        self._streams.close(stream_id)

    def collect(self) -> None:
        """Give back what the tick has let go: memory of ended streams, sockets of an old plan."""
        self._finish_swap()
        self._streams.collect()

    def set_gains(self, playback_q30: int, capture_q30: int) -> None:
        """Device-wide gains, 0 to 2^31 with unity at 2^30, at which nothing is touched."""
        self._control[PLAYBACK_GAIN] = min(max(playback_q30, 0), 2 * UNITY)
        self._control[CAPTURE_GAIN] = min(max(capture_q30, 0), 2 * UNITY)
