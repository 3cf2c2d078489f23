"""An engine without a tick: real shared memory and the real bookkeeping of streams, no audio.

For tests of the sockets around the engine, which need its answers but none of its samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aes67.errors import Refused
from aes67.shm.layout import (
    BUS,
    BUS_MAGIC,
    CLOCK,
    CLOCK_MAGIC,
    MAX_PCMS,
    PAGE_BYTES,
    TELEMETRY_MAGIC,
    VERSION_MAJOR,
    bus_frames_for,
    ring_frames_for,
    telemetry_offsets,
)
from aes67.shm.region import Region, create, telemetry_views


@dataclass(frozen=True)
class StandInPlan:
    """The fields of a plan the sockets look at."""

    rate: int = 48000
    tick_frames: int = 12
    device_channels: int = 64
    rate_follows_app: bool = False
    playback_delay_frames: int = 0
    clock: Any = None


@dataclass(frozen=True)
class StandInPlayback:
    stream_id: int
    slot: int
    region: Region
    ring_frames: int


@dataclass
class StandInEngine:
    """Same attributes and methods as `aes67.engine.engine.Engine`, as far as the sockets go."""

    generation: int = 1
    realtime: bool = False
    warnings: list[str] = field(default_factory=lambda: ["no real-time priority"])
    plan: StandInPlan | None = None
    bus: Region | None = None
    gains: tuple[int, int] = (1 << 30, 1 << 30)
    playbacks: dict[int, StandInPlayback] = field(default_factory=dict)
    applied: list[tuple[Any, bytes]] = field(default_factory=list)
    refuse_rate: int = -1
    collected: int = 0
    ticking: bool = True

    def __post_init__(self) -> None:
        self.clock = create("clock", CLOCK.size, read_only_for_others=True)
        page = self.clock.view(CLOCK)
        page[0]["magic"] = CLOCK_MAGIC
        page[0]["major"] = VERSION_MAJOR
        page[0]["generation"] = self.generation
        total = telemetry_offsets()["total"]
        self.telemetry = create("telemetry", total, read_only_for_others=True)
        telemetry_views(self.telemetry)["engine"][0]["magic"] = TELEMETRY_MAGIC
        self._next_id = 1

    def apply(self, plan: Any, tables: bytes) -> None:
        if plan.rate == self.refuse_rate:
            raise Refused("rate", plan.rate, "not by this stand-in")
        before = self.plan
        self.plan = plan
        self.applied.append((plan, tables))
        shape = (plan.rate, plan.device_channels)
        if before is None or shape != (before.rate, before.device_channels):
            self._new_bus(*shape)

    def open_playback(self, *, channels: int, first: int, buffer_frames: int) -> StandInPlayback:
        assert self.plan is not None
        if len(self.playbacks) >= MAX_PCMS:
            raise Refused("pcms", len(self.playbacks), f"at most {MAX_PCMS}")
        frames = ring_frames_for(self.plan.rate, buffer_frames)
        region = create("stream", PAGE_BYTES + frames * channels * 4, read_only_for_others=False)
        playback = StandInPlayback(self._next_id, len(self.playbacks), region, frames)
        self._next_id += 1
        self.playbacks[playback.stream_id] = playback
        return playback

    def close_playback(self, stream_id: int) -> None:
        self.playbacks.pop(stream_id).region.close()

    def collect(self) -> None:
        self.collected += 1

    def set_gains(self, playback_q30: int, capture_q30: int) -> None:
        self.gains = (playback_q30, capture_q30)

    def close(self) -> None:
        for stream_id in list(self.playbacks):
            self.close_playback(stream_id)
        for region in (self.clock, self.telemetry, self.bus):
            if region is not None:
                region.close()

    def _new_bus(self, rate: int, channels: int) -> None:
        if self.bus is not None:
            self.bus.close()
        frames = bus_frames_for(rate)
        size = PAGE_BYTES + channels * frames * 4
        self.bus = create("bus", size, read_only_for_others=True)
        header = self.bus.view(BUS)
        header[0]["magic"] = BUS_MAGIC
        header[0]["rate"], header[0]["channels"], header[0]["frames"] = rate, channels, frames
