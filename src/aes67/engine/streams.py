"""Playback streams from the ordinary thread's side: their memory, and their slots in the tick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aes67.engine.atomics import load_word, store_word
from aes67.engine.memory import populate
from aes67.engine.mmsg import address_of
from aes67.engine.plan import RATES, Plan
from aes67.engine.wiring import (
    PCM_CHANGES,
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
from aes67.errors import Refused
from aes67.shm.layout import (
    MAX_PCMS,
    MAX_STREAM_CHANNELS,
    PAGE_BYTES,
    STREAM,
    STREAM_MAGIC,
    VERSION_MAJOR,
    VERSION_MINOR,
    buffer_bytes_max,
    ring_frames_for,
)
from aes67.shm.region import Region, create

_SAMPLE_BYTES_MIN = 2
"""Of the smallest format an application may have."""
_RING_SAMPLE_BYTES = 4
_POPULATE_BYTES_MAX = 1 << 20
"""Rings up to this size are made present at once; a larger one is so as the client fills it."""


@dataclass(frozen=True)
class Playback:
    """An open playback stream: the memory its client gets."""

    stream_id: int
    slot: int
    region: Region
    ring_frames: int


class Streams:
    """All playback streams of an engine; `ticking` says whether its tick runs."""

    def __init__(self, tick: Tick, ticking: Callable[[], bool]) -> None:
        self._slots = tick.playing["slots"]
        self._control = tick.common["control"]
        self._ticking = ticking
        self._open: dict[int, Playback] = {}
        self._closing: dict[int, Playback] = {}
        self._last_id = 0

    def open(self, plan: Plan, *, channels: int, first: int, buffer_frames: int) -> Playback:
        """A new stream on device channels [first, first + channels).

        Raises:
            Refused: outside the device, a buffer too large, no memory or no slot left.
        """
        self.collect()
        _check(plan, channels, first, buffer_frames)
        free = np.flatnonzero(self._slots[:, SLOT_STATE] == SLOT_EMPTY)
        if not len(free):
            raise Refused("slot", MAX_PCMS, "is the most playback streams there can be")
        region = self._make_memory(plan, channels, first, buffer_frames)
        ring_frames = int(region.view(STREAM)[0]["ring_frames"])
        playback = Playback(self._last_id, int(free[0]), region, ring_frames)
        self._open[playback.stream_id] = playback
        slot = self._slots[playback.slot]
        memory = address_of(np.frombuffer(region.map, "u1"))
        slot[SLOT_STREAM_ID] = playback.stream_id
        slot[SLOT_HEADER] = memory
        slot[SLOT_RING] = memory + PAGE_BYTES
        slot[SLOT_RING_FRAMES] = ring_frames
        slot[SLOT_CHANNELS] = channels
        slot[SLOT_FIRST] = first
        store_word(slot, SLOT_STATE, SLOT_OPEN)
        # Until the tick has seen the change, old cover entries may name this slot. It does not read
        # an idle stream, and nobody has the descriptor yet to make it run.
        self._changed()
        return playback

    def _make_memory(self, plan: Plan, channels: int, first: int, buffer_frames: int) -> Region:
        ring_frames = ring_frames_for(plan.rate, buffer_frames)
        size = PAGE_BYTES + ring_frames * channels * _RING_SAMPLE_BYTES
        try:
            region = create("aes67-stream", size, read_only_for_others=False)
        except OSError as error:
            rule = f"a ring of {size} bytes: {error.strerror}"
            raise Refused("buffer_frames", buffer_frames, rule) from error
        self._last_id += 1
        header = region.view(STREAM)[0]
        header["magic"] = STREAM_MAGIC
        header["major"] = VERSION_MAJOR
        header["minor"] = VERSION_MINOR
        header["stream_id"] = self._last_id
        header["rate"] = plan.rate
        header["channels"] = channels
        header["first"] = first
        header["ring_frames"] = ring_frames
        populate(region, 0, size if size <= _POPULATE_BYTES_MAX else PAGE_BYTES)
        return region

    def close(self, stream_id: int) -> None:
        """End a stream: what was due is still sent, then its memory goes; unknown ids: nothing."""
        playback = self._open.pop(stream_id, None)
        if playback is not None:
            self._closing[stream_id] = playback
            store_word(self._slots[playback.slot], SLOT_STATE, SLOT_CLOSING)
            self.collect()

    def collect(self) -> None:
        """Give memory back of ended streams the tick has let go."""
        ticking = self._ticking()
        for stream_id, playback in list(self._closing.items()):
            slot = self._slots[playback.slot]
            if not ticking:
                slot[SLOT_STATE] = SLOT_EMPTY
            if load_word(slot, SLOT_STATE) == SLOT_EMPTY:
                del self._closing[stream_id]
                playback.region.discard()  # its client may keep it mapped
                playback.region.close()
                self._changed()

    @property
    def closing(self) -> int:
        """Streams that are ended but not let go yet."""
        return len(self._closing)

    def _changed(self) -> None:
        store_word(self._control, PCM_CHANGES, int(self._control[PCM_CHANGES]) + 1)


def _check(plan: Plan, channels: int, first: int, buffer_frames: int) -> None:
    if not 1 <= channels <= MAX_STREAM_CHANNELS:
        raise Refused("channels", channels, f"is 1 to {MAX_STREAM_CHANNELS}")
    if first < 0 or first + channels > plan.device_channels:
        raise Refused("first", first, f"ends within {plan.device_channels} channels")
    # The buffer may have been offered at another rate, before this application changed it.
    rate = max(RATES) if plan.rate_follows_app else plan.rate
    limit = max(buffer_bytes_max(rate), buffer_bytes_max(rate, channels))
    most = limit // (channels * _SAMPLE_BYTES_MIN)
    if not 1 <= buffer_frames <= most:
        raise Refused("buffer_frames", buffer_frames, f"is 1 to {most}")
