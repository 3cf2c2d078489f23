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
def count_present(marks: Marks, first: int, frames: int) -> int:
    """How many of the frames from `first` on have come already."""
    mask = marks.shape[0] - 1
    present = 0
    for f in range(first, first + frames):
        present += int(marks[f & mask])
    return present


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
def place(bus: Bus, marks: Marks, row: Record, samples: Samples, first: int) -> int:
    """Write the frames that are not there yet and mark them; returns how many were there."""
    channels = row["channels"]
    frames = samples.shape[0] // channels
    mask = marks.shape[0] - 1
    present = count_present(marks, first, frames)
    if present == 0:
        spread(bus, row, samples, first)
    elif present < frames:
        for f in range(frames):
            if not marks[(first + f) & mask]:
                spread(bus, row, samples[f * channels : (f + 1) * channels], first + f)
    for f in range(first, first + frames):
        marks[f & mask] = 1
    return present


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
    """`finalise` for frames that may be marked."""
    mask = marks.shape[0] - 1
    present = count_present(marks, begin, end - begin)
    if present == 0:
        silence_sink(bus, row, begin, end - begin)
    else:
        for f in range(begin, end):
            if not marks[f & mask]:
                silence_sink(bus, row, f, 1)
            marks[f & mask] = 0
    return end - begin - present
