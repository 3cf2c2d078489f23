"""The capture bus: packets written where their time is, and time passing over it.

Marks say which frames of a sink came; one bit a frame in a ring of its own, shorter than the bus. A
mark is set by the first copy, so that a second one (ST 2022-7 leg, duplication) costs nothing and
is counted, and cleared when its frame becomes final. A packet's frames lie in two or three words,
so looking at them costs next to nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes67.jit import kernel
from aes67.media.pcm import Samples
from aes67.media.state import Record

Bus = npt.NDArray[np.int32]
"""[device channels][frames], frames a power of two"""
Marks = npt.NDArray[np.int64]
"""[frames / MARK_BITS] of one sink, a power of two; bit i of word w is frame w * MARK_BITS + i"""

MARK_BITS = 32
"""Frames in a word of marks: half of it, so that a word is never negative."""


@kernel
def bits(first: int, frames: int) -> int:
    """The bits of a word from frame `first` on, at most `frames` of them."""
    low = first & (MARK_BITS - 1)
    return ((1 << min(frames, MARK_BITS - low)) - 1) << low


@kernel
def count_ones(word: int) -> int:
    """How many bits are set."""
    found = 0
    while word != 0:
        word &= word - 1
        found += 1
    return found


@kernel
def is_marked(marks: Marks, frame: int) -> bool:
    """Whether a frame has come."""
    word = marks[(frame // MARK_BITS) & (marks.shape[0] - 1)]
    return bool((word >> (frame & (MARK_BITS - 1))) & 1)


@kernel
def count_present(marks: Marks, first: int, frames: int) -> int:
    """How many of the frames from `first` on have come already; at most one ring of them."""
    end = first + frames
    present = 0
    while first < end:
        mask = bits(first, end - first)
        found = int(marks[(first // MARK_BITS) & (marks.shape[0] - 1)]) & mask
        if found == mask:
            present += min(end - first, MARK_BITS - (first & (MARK_BITS - 1)))
        elif found != 0:
            present += count_ones(found)
        first = (first // MARK_BITS + 1) * MARK_BITS
    return present


@kernel
def set_marks(marks: Marks, first: int, frames: int) -> None:
    """Mark frames as come; at most one ring of them."""
    end = first + frames
    while first < end:
        marks[(first // MARK_BITS) & (marks.shape[0] - 1)] |= bits(first, end - first)
        first = (first // MARK_BITS + 1) * MARK_BITS


@kernel
def clear_marks(marks: Marks, first: int, frames: int) -> None:
    """Clear the marks of frames; at most one ring of them."""
    end = first + frames
    while first < end:
        marks[(first // MARK_BITS) & (marks.shape[0] - 1)] &= ~bits(first, end - first)
        first = (first // MARK_BITS + 1) * MARK_BITS


@kernel
def spread(bus: Bus, row: Record, samples: Samples, first: int) -> None:
    """Write interleaved frames to the rows of the sink's map, from bus frame `first` on."""
    channels = row["channels"]
    frames = samples.shape[0] // channels
    size = bus.shape[1]
    slot = first & (size - 1)
    before_wrap = min(frames, size - slot)
    for c in range(channels):
        device = int(row["map"][c])
        if device < 0:
            continue
        column = samples[c:]
        part = bus[device, slot : slot + before_wrap]
        for f in range(part.shape[0]):
            part[f] = column[f * channels]
        if before_wrap < frames:
            column = samples[c + before_wrap * channels :]
            part = bus[device, : frames - before_wrap]
            for f in range(part.shape[0]):
                part[f] = column[f * channels]


@kernel
def place(bus: Bus, marks: Marks, row: Record, samples: Samples, first: int, present: int) -> None:
    """Write the frames that are not there yet, and mark them.

    Args:
        present: how many are there (`count_present`).
    """
    channels = row["channels"]
    frames = samples.shape[0] // channels
    if present == 0:
        spread(bus, row, samples, first)
    else:
        for f in range(frames):
            if not is_marked(marks, first + f):
                spread(bus, row, samples[f * channels : (f + 1) * channels], first + f)
    set_marks(marks, first, frames)


@kernel
def silence(bus: Bus, device: int, first: int, frames: int) -> None:
    """Zero `frames` frames of one channel from bus frame `first` on; at most the whole row."""
    size = bus.shape[1]
    slot = first & (size - 1)
    frames = min(frames, size)
    before_wrap = min(frames, size - slot)
    bus[device, slot : slot + before_wrap] = 0
    bus[device, : frames - before_wrap] = 0


@kernel
def silence_sink(bus: Bus, row: Record, first: int, frames: int) -> None:
    """`silence` on every channel of the sink's map."""
    for c in range(row["channels"]):
        device = int(row["map"][c])
        if device >= 0:
            silence(bus, device, first, frames)


@kernel
def finalise(bus: Bus, marks: Marks, row: Record, begin: int, end: int) -> int:
    """Frames [begin, end) become final: zero what did not come, clear marks; returns how many.

    Nothing can be marked further than the marks' ring from `begin`: beyond it all is missing, and
    of that at most one bus length is walked.
    """
    marked_end = min(end, begin + marks.shape[0] * MARK_BITS)
    missing = walk(bus, marks, row, begin, marked_end)
    if marked_end < end:
        start = max(marked_end, end - bus.shape[1])
        silence_sink(bus, row, start, end - start)
        missing += end - marked_end
    return missing


@kernel
def walk(bus: Bus, marks: Marks, row: Record, begin: int, end: int) -> int:
    """`finalise` for frames that may be marked: at most one ring of marks."""
    frames = end - begin
    present = count_present(marks, begin, frames)
    if present == 0:
        silence_sink(bus, row, begin, frames)
        return frames
    if present < frames:
        for f in range(begin, end):
            if not is_marked(marks, f):
                silence_sink(bus, row, f, 1)
    clear_marks(marks, begin, frames)
    return frames - present
