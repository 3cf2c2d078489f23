"""What is made of the captured samples: recordings (files) and feeds (live), one a channel map.

Sinks with the same channels share one; a feed exists only while somebody listens.
"""

from __future__ import annotations

import numpy as np

from aes67.streamer.capture import Block, Samples
from aes67.streamer.encoders import AAC_FRAME, Aac, Encoder
from aes67.streamer.files import FileRing
from aes67.streamer.listeners import Listener

Row = tuple[int, ...]
"""Device channels of a stream, in its order; below 0: none."""


def gathered(block: Block, row: Row) -> Samples:
    """The block's samples in the order of `row`; silence where it names no channel."""
    found = np.zeros((len(row), block.frames), np.int32)
    for index, channel in enumerate(row):
        if channel in block.samples:
            found[index] = block.samples[channel]
    return found


class Recording:
    """AAC files of one channel map.

    Raises:
        ImportError, NoCodec: PyAV is missing, or cannot do it.
    """

    def __init__(self, row: Row, rate: int, files_num: int, file_seconds: int) -> None:
        self.row = row
        self.encoder = Aac(rate, len(row))
        self.file_seconds = file_seconds
        self.ring = FileRing(files_num, self.encoder.rate * file_seconds, AAC_FRAME)
        self.listeners: set[Listener] = set()

    def push(self, block: Block) -> None:
        """Take the next samples."""
        for frame in self.encoder.push(gathered(block, self.row)):
            if self.ring.add(frame):
                for listener in self.listeners:
                    listener.wake()


class Feed:
    """One live encoding and those who hear it."""

    def __init__(self, row: Row, encoder: Encoder) -> None:
        self.row, self.encoder = row, encoder
        self.listeners: set[Listener] = set()

    def push(self, block: Block) -> None:
        """Take the next samples."""
        for chunk in self.encoder.push(gathered(block, self.row)):
            for listener in self.listeners:
                listener.offer(chunk)
