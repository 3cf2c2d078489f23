"""An engine's clock page and capture bus without an engine: sines on all channels, time by hand."""

from __future__ import annotations

import os
from functools import cache

import numpy as np
import numpy.typing as npt

from aes67.shm.layout import (
    BUS,
    BUS_MAGIC,
    CLOCK,
    CLOCK_MAGIC,
    PAGE_BYTES,
    VERSION_MAJOR,
    bus_frames_for,
)
from aes67.shm.region import create

AMPLITUDE = 0.5


def frequency(channel: int) -> int:
    """Of the sine on a channel, in Hz."""
    return 500 + 250 * channel


@cache
def second(channel: int, rate: int) -> npt.NDArray[np.int32]:
    """A second of a channel's sine, which then begins again."""
    wave = np.sin(2 * np.pi * frequency(channel) * np.arange(rate) / rate)
    return np.round(AMPLITUDE * wave * 2**31).astype(np.int32)


def sine(channel: int, rate: int, first: int, frames: int) -> npt.NDArray[np.int32]:
    """Left-justified samples of a channel."""
    return second(channel, rate)[np.arange(first, first + frames) % rate]


class CaptureMemory:
    """The memory of an engine, with `advance` for its tick."""

    def __init__(self, rate: int = 48000, channels: int = 8, done: int = 1_000_003) -> None:
        self.rate, self.channels, self.done = rate, channels, done
        self.frames = bus_frames_for(rate)
        self.clock = create("clock", CLOCK.size, read_only_for_others=False)
        size = PAGE_BYTES + 4 * channels * self.frames
        self.bus = create("bus", size, read_only_for_others=False)
        self.page, self.header = self.clock.view(CLOCK), self.bus.view(BUS)
        self.page[0]["magic"], self.page[0]["major"] = CLOCK_MAGIC, VERSION_MAJOR
        self.page[0]["bus_done"] = done
        for name, value in (
            ("magic", BUS_MAGIC), ("major", VERSION_MAJOR), ("rate", rate),
            ("channels", channels), ("frames", self.frames),
        ):  # fmt: skip
            self.header[0][name] = value
        self.samples = self.bus.samples((channels, self.frames))

    def advance(self, frames: int) -> None:
        """Frames become final."""
        slots = np.arange(self.done, self.done + frames) % self.frames
        for channel in range(self.channels):
            self.samples[channel, slots] = sine(channel, self.rate, self.done, frames)
        self.jump(frames)

    def jump(self, frames: int) -> None:
        """Time goes on, or back, and nothing is written."""
        self.done += frames
        self.page[0]["bus_done"] = self.done

    def descriptors(self) -> tuple[int, int]:
        """Of clock page and bus, for whoever takes them over."""
        return os.dup(self.clock.fd), os.dup(self.bus.fd)

    def close(self) -> None:
        """Give the memory back."""
        self.clock.close()
        self.bus.close()
