"""A real engine on loopback in a network of its own, and a client that writes its ring by hand."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import numpy as np

from aes67.clock.timebase import Line
from aes67.engine.clock_page import MediaRecord
from aes67.engine.engine import Engine, Playback
from aes67.engine.plan import Plan
from aes67.shm.layout import (
    CLOCK,
    CLOCK_LOCKED,
    CODEC_L24,
    MAX_SINKS,
    MAX_SOURCES,
    RUN_IDLE,
    RUN_RUNNING,
    SINK_ROW,
    SOURCE_ROW,
    STREAM,
    TIMING_DIRECT,
)
from aes67.shm.region import bus_samples, telemetry_views
from e2e.places import Namespace
from sim.plans import plan_message

RATE = 48_000
PORT = 5004
DELAY = 3600
"""Frames (75 ms): a machine that is busy elsewhere must not make a test fail."""
STALLED_NS = 15_000_000
"""Kept from running this long, the engine may rightly have skipped packets."""


def group(number: int) -> str:
    """Multicast address of stream `number`."""
    return f"239.77.0.{number + 1}"


def as_number(address: str) -> int:
    return int.from_bytes(socket.inet_aton(address), "big")


@dataclass(frozen=True)
class Stream:
    """A source, a sink, or both ends of one."""

    number: int = 0
    channels: int = 2
    frames: int = 48
    codec: int = CODEC_L24
    ts_offset: int = 0
    identity: int = 0
    channel_map: tuple[int, ...] = ()
    addresses: tuple[str, ...] = ()
    delay: int = DELAY
    timing: int = TIMING_DIRECT
    source_ip: str = "0.0.0.0"
    payload_type: int = 98
    ttl: int = 15
    dscp: int = 34

    def fill_common(self, row: Any) -> tuple[str, ...]:
        row["enabled"] = 1
        row["identity"] = self.identity or 1000 + self.number
        row["payload_type"] = self.payload_type
        row["codec"] = self.codec
        row["channels"] = self.channels
        row["frames_per_packet"] = self.frames
        row["ts_offset"] = self.ts_offset
        first = self.number * self.channels
        row["map"][: self.channels] = self.channel_map or range(first, first + self.channels)
        addresses = self.addresses or (group(self.number),)
        row["leg_count"] = len(addresses)
        return addresses

    def fill_source(self, row: Any) -> None:
        for leg, address in enumerate(self.fill_common(row)):
            row["dest_ip"][leg] = as_number(address)
            row["dest_port"][leg] = PORT
        row["ssrc"] = 0xABC0 + self.number
        row["ttl"] = self.ttl
        row["dscp"] = self.dscp

    def fill_sink(self, row: Any) -> None:
        for leg, address in enumerate(self.fill_common(row)):
            row["group_ip"][leg] = as_number(address)
            row["port"][leg] = PORT
            row["source_ip"][leg] = as_number(self.source_ip)
        row["delay_frames"] = self.delay
        row["timing"] = self.timing


def tables(sources: Sequence[Stream], sinks: Sequence[Stream]) -> bytes:
    """The table memory; a stream's row is its number."""
    source_rows = np.zeros(MAX_SOURCES, SOURCE_ROW.dtype)
    sink_rows = np.zeros(MAX_SINKS, SINK_ROW.dtype)
    for each in sources:
        each.fill_source(source_rows[each.number])
    for each in sinks:
        each.fill_sink(sink_rows[each.number])
    return source_rows.tobytes() + sink_rows.tobytes()


def plan_for(streams: Sequence[Stream], **changes: Any) -> Plan:
    """A plan with one socket on `lo` and every group of the streams."""
    addresses = {address for each in streams for address in each.addresses or (group(each.number),)}
    members = [
        {"interface": "lo", "group": address, "source": None}
        for address in sorted(addresses)
        if address.startswith("239.")
    ]
    message = plan_message(
        device_channels=64, sockets=[{"interface": "lo", "port": PORT}], memberships=members
    )
    return Plan.from_json(message | changes)


class World(AbstractContextManager["World"]):
    """`with World() as world:` an engine that ticks, locked to a clock of our making."""

    def __init__(self, **options: Any) -> None:
        self.options = {"lock_memory": False} | options

    def __enter__(self) -> World:
        self.stack = ExitStack()
        self.stack.enter_context(Namespace())
        self.engine = Engine(**self.options)
        self.stack.callback(self.engine.stop)
        self.engine.start()
        self._serial = 0
        self.clock(state=CLOCK_LOCKED)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stack.close()

    def clock(self, **changes: Any) -> MediaRecord:
        """Publish the clock page's line with changes."""
        record = replace(self.engine.clock_page.media(), **changes)
        self.engine.clock_page.publish_media(record)
        return record

    def apply(
        self, sources: Sequence[Stream] = (), sinks: Sequence[Stream] = (), **changes: Any
    ) -> None:
        self._serial += 1
        plan = plan_for([*sources, *sinks], **({"serial": self._serial} | changes))
        self.engine.apply(plan, tables(sources, sinks))

    def now(self, rate: int = RATE) -> int:
        """Media frame."""
        record = self.engine.clock_page.media()
        line = Line(record.raw_ns, record.media_ns, record.rate_q40)
        media_ns = line.at(time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW))
        return media_ns * rate // 10**9

    def done(self) -> int:
        return int(self.engine.clock.view(CLOCK)[0]["bus_done"])

    def counters(self, section: str, number: int = 0) -> dict[str, int]:
        record = telemetry_views(self.engine.telemetry)[section][number]
        return {name: int(record[name]) for name in record.dtype.names}

    def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait for something the tick does."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.002)

    def until_done(self, frame: int) -> None:
        """Wait until the bus is final for all frames below `frame`."""
        self.until(lambda: self.done() >= frame)

    def heard(self, first: int, frames: int, channels: Sequence[int]) -> np.ndarray:
        """[frame][channel] of the bus; `first` is when the frames were audible."""
        assert self.engine.bus is not None
        self.until_done(first + frames)
        bus = bus_samples(self.engine.bus)
        slots = np.arange(first, first + frames) & (bus.shape[1] - 1)
        return bus[np.asarray(channels)][:, slots].T.copy()

    @property
    def stalled(self) -> bool:
        """Whether the host kept the engine from running so long that packets are rightly lost."""
        return self.counters("engine")["late_max_ns"] > STALLED_NS


@dataclass
class Client:
    """An application's end of a playback stream, in this process and by hand."""

    world: World
    first: int = 0
    channels: int = 2
    buffer_frames: int = 8192
    playback: Playback = field(init=False)

    def __post_init__(self) -> None:
        engine = self.world.engine
        self.playback = engine.open_playback(
            channels=self.channels, first=self.first, buffer_frames=self.buffer_frames
        )
        self.header = self.playback.region.view(STREAM)[0]
        self.ring = self.playback.region.samples((self.playback.ring_frames, self.channels))

    def line(self, **values: int) -> None:
        """Write the client's line under its lock."""
        odd = int(self.header["run_seq"]) % 2**60 | 1
        self.header["run_seq"] = odd
        for name, value in values.items():
            self.header[name] = value
        self.header["run_seq"] = odd + 1

    def write(self, position: int, samples: np.ndarray) -> None:
        slots = np.arange(position, position + len(samples)) % self.playback.ring_frames
        self.ring[slots] = samples
        self.header["appl_pos"] = position + len(samples)

    def play(self, samples: np.ndarray, *, ahead: int = 960, position: int = 0) -> int:
        """Start a run that plays `samples` from position on; returns their first media frame."""
        self.write(position, samples)
        frame = self.world.now(self.world.engine.plan.rate) + ahead  # type: ignore[union-attr]
        self.line(
            run=int(self.header["run"]) + 1, state=RUN_RUNNING, anchor=frame - position,
            start_pos=position, epoch=self.world.engine.clock_page.media().epoch,
        )  # fmt: skip
        return frame

    def stop(self) -> None:
        self.line(state=RUN_IDLE)

    def close(self) -> None:
        self.world.engine.close_playback(self.playback.stream_id)


def noise(frames: int, channels: int, seed: int = 1, bits: int = 32) -> np.ndarray:
    """Random samples, left-justified, of full range when `bits` is 32."""
    random = np.random.default_rng(seed)
    return random.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (frames, channels)).astype(np.int32)


def undisturbed(scenario: Callable[[World], None], attempts: int = 6) -> None:
    """Run a scenario; again when the engine's own counters say that the host stalled it."""
    for attempt in range(attempts):
        with World() as world:
            try:
                scenario(world)
            except AssertionError:
                if not world.stalled or attempt == attempts - 1:
                    raise
                continue
            return
