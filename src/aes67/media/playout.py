"""The capture bus: packets written where their time is, and time passing over it.

Marks say which frames of a sink came; one byte a frame in a ring of its own, shorter than the bus.
A mark is set by the first copy, so that a second one (ST 2022-7 leg, duplication) costs nothing and
is counted, and cleared when its frame becomes final.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes67.jit import kernel
from aes67.media.pcm import Samples
from aes67.media.state import Record

Bus = npt.NDArray[np.int32]
"""[device channels][frames], frames a power of two"""
Marks = npt.NDArray[np.uint8]
"""[frames] of one sink, a power of two"""


@kernel
def count_ones(marks: Marks) -> int:
    """How many of these marks are set."""
    found = 0
    for f in range(marks.shape[0]):
        found += int(marks[f])
    return found


@kernel
def count_present(marks: Marks, first: int, frames: int) -> int:
    """How many of the frames from `first` on have come already; at most one ring of them."""
    slot = first & (marks.shape[0] - 1)
    before_wrap = min(frames, marks.shape[0] - slot)
    present = 0
    for mark in marks[slot : slot + before_wrap]:
        present += int(mark)
    for mark in marks[: frames - before_wrap]:
        present += int(mark)
    return present


@kernel
def set_marks(marks: Marks, first: int, frames: int, mark: int) -> None:
    """Mark frames as come (1) or clear them (0); at most one ring of them."""
    slot = first & (marks.shape[0] - 1)
    before_wrap = min(frames, marks.shape[0] - slot)
    marks[slot : slot + before_wrap] = mark
    marks[: frames - before_wrap] = mark


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
    mask = marks.shape[0] - 1
    if present == 0:
        spread(bus, row, samples, first)
    else:
        for f in range(frames):
            if not marks[(first + f) & mask]:
                spread(bus, row, samples[f * channels : (f + 1) * channels], first + f)
    set_marks(marks, first, frames, 1)


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
    marked_end = min(end, begin + marks.shape[0])
    missing = walk(bus, marks, row, begin, marked_end)
    if marked_end < end:
        start = max(marked_end, end - bus.shape[1])
        silence_sink(bus, row, start, end - start)
        missing += end - marked_end
    return missing


@kernel
def walk(bus: Bus, marks: Marks, row: Record, begin: int, end: int) -> int:
    """`finalise` for frames that may be marked: at most one ring of marks."""
    mask = marks.shape[0] - 1
    frames = end - begin
    present = count_present(marks, begin, frames)
    if present == 0:
        silence_sink(bus, row, begin, frames)
        return frames
    if present < frames:
        for f in range(begin, end):
            if not marks[f & mask]:
                silence_sink(bus, row, f, 1)
    set_marks(marks, begin, frames, 0)
    return frames - present
