"""The capture bus as the streamer reads it: final frames only, and never a torn one.

Read-only, from the engine's shared memory: it takes no device, no lock, and the engine does not
know that it is read.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aes67.errors import WireError
from aes67.shm.layout import (
    BUS,
    BUS_MAGIC,
    CLOCK,
    CLOCK_MAGIC,
    MAX_DEVICE_CHANNELS,
    PAGE_BYTES,
    VERSION_MAJOR,
    bus_reach_frames,
)
from aes67.shm.region import attach, bus_samples

Samples = npt.NDArray[np.int32]
"""[channels][frames], left-justified."""


@dataclass(frozen=True)
class Block:
    """Consecutive final frames of some device channels; `first` is their media frame.

    `lost` frames before them were not read in time, or never were: the clock jumped.
    """

    first: int
    samples: dict[int, Samples]
    frames: int
    lost: int


class Capture:
    """One engine's bus, read from now on.

    Args:
        clock_fd, bus_fd: descriptors of the clock page and of the bus; taken over.

    Raises:
        WireError: that is not the memory of an engine of our version.
        OSError: it cannot be mapped.
    """

    def __init__(self, clock_fd: int, bus_fd: int) -> None:
        try:
            self._clock = attach(clock_fd)
        except BaseException:
            os.close(bus_fd)
            raise
        try:
            self._bus = attach(bus_fd)
        except BaseException:
            self._clock.close()
            raise
        try:
            self._look()
        except WireError:
            self.close()
            raise
        self.begin_now()

    def begin_now(self) -> None:
        """Read on from what becomes final next."""
        self._position = self.done()

    def _look(self) -> None:
        if self._clock.size < CLOCK.size or self._bus.size < PAGE_BYTES:
            raise WireError("shared memory is too small")
        self._page, header = self._clock.view(CLOCK), self._bus.view(BUS)[0]
        clock_is = (int(self._page[0]["magic"]), int(self._page[0]["major"]))
        bus_is = (int(header["magic"]), int(header["major"]))
        if clock_is != (CLOCK_MAGIC, VERSION_MAJOR) or bus_is != (BUS_MAGIC, VERSION_MAJOR):
            raise WireError("shared memory of another kind or version")
        self.rate, self.channels = int(header["rate"]), int(header["channels"])
        self._frames = int(header["frames"])
        whole = self._frames > 0 and self._frames & (self._frames - 1) == 0
        if not (whole and self.rate > 0 and 0 < self.channels <= MAX_DEVICE_CHANNELS):
            raise WireError("the header of the bus makes no sense")
        if self._bus.size < PAGE_BYTES + 4 * self.channels * self._frames:
            raise WireError("the bus is smaller than its header says")
        self._samples = bus_samples(self._bus)

    def close(self) -> None:
        """Give the descriptors back."""
        self._clock.close()
        self._bus.close()

    def done(self) -> int:
        """The bus is final for all media frames below this."""
        return int(self._page[0]["bus_done"])

    def read(self, channels: Sequence[int], frames_max: int) -> Block:
        """The next frames of these device channels, at most `frames_max`; maybe none.

        Who is more than three quarters of the bus' reach behind gives up what he missed.
        """
        done, lost = self.done(), 0
        reach = bus_reach_frames(self.rate)
        if not 0 <= done - self._position <= reach * 3 // 4:
            lost = max(0, done - self._position)
            self._position = done
        first, frames = self._position, min(done - self._position, frames_max)
        samples = {channel: self._row(channel, first, frames) for channel in channels}
        if not 0 <= self.done() - first <= reach:
            # we were held up while copying: what we have may already be of another time
            self._position = self.done()
            return Block(self._position, {each: _NOTHING for each in channels}, 0, lost + frames)
        self._position = first + frames
        return Block(first, samples, frames, lost)

    def _row(self, channel: int, first: int, frames: int) -> Samples:
        if not 0 <= channel < self.channels:
            return np.zeros(frames, np.int32)
        slot = first & (self._frames - 1)
        row: Samples = self._samples[channel]
        end = slot + frames
        if end <= self._frames:
            return row[slot:end].copy()
        return np.concatenate([row[slot:], row[: end - self._frames]])


_NOTHING: Samples = np.zeros(0, np.int32)
