"""The ring of files of one channel map: frames go in, whole files come out. Pure.

A file holds the frames that begin within its time, so that it is as long as it says on average
(a frame of AAC has 1024 samples, a second has not a whole number of them) and files played one
after the other have no seam.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """A complete file; `number` counts from the start of the recording."""

    number: int
    content: bytes


class FileRing:
    """The files of one recording.

    Args:
        files_num: length of the ring.
        file_samples: samples of one file, at the encoder's rate.
        frame_samples: samples of one frame.
    """

    def __init__(self, files_num: int, file_samples: int, frame_samples: int) -> None:
        self.files_num = files_num
        self._file_samples, self._frame_samples = file_samples, frame_samples
        self._frames = 0
        self._open: list[bytes] = []
        self._files: deque[File] = deque(maxlen=files_num)
        self.current = 0
        """Number of the file being recorded."""

    def add(self, frame: bytes) -> bool:
        """Take the next encoded frame; True when it completed a file before it."""
        number = self._frames * self._frame_samples // self._file_samples
        self._frames += 1
        complete = number > self.current
        if complete:
            self._files.append(File(self.current, b"".join(self._open)))
            self._open.clear()
            self.current = number
        self._open.append(frame)
        return complete

    @property
    def ready(self) -> bool:
        """Enough has been recorded for a player to begin (contract, section 16)."""
        return self.current >= self.files_num - 1

    @property
    def current_id(self) -> int:
        """Place in the ring of the file being recorded."""
        return self.current % self.files_num

    @property
    def start_id(self) -> int:
        """Place in the ring where a player should begin: half a ring behind."""
        return (self.current + self.files_num // 2) % self.files_num

    def at(self, place: int) -> File | None:
        """The newest complete file at a place in the ring; None before there is one."""
        for file in reversed(self._files):
            if file.number % self.files_num == place:
                return file
        return None

    def after(self, number: int) -> File | None:
        """The oldest complete file with a number above this; None: not recorded yet."""
        for file in self._files:
            if file.number > number:
                return file
        return None

    def first(self) -> int:
        """Number before that of the oldest complete file a live listener begins with."""
        return max(-1, self.current - self.files_num)
