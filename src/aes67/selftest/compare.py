"""Judge a recording of the test signal: every sample, and silence before and after it.

Pure and incremental: feed it the recorded bytes as they come. It finds the signal by its content,
compares sample by sample, and when something differs says in words where and what: a gap of
silence, a stretch that was skipped or repeated, or other values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aes67.selftest.samples import SampleFormat, Samples, decode
from aes67.selftest.signal import BLOCK_FRAMES, Signal

WINDOW_FRAMES = 16
"""Frames that identify a place of the signal."""

RESUME_FRAMES = 8192
"""How far behind a difference the comparison looks for where the signal goes on."""


@dataclass(frozen=True)
class Difference:
    """The first place where recording and signal differ, and what it looks like in words."""

    frame: int
    channel: int
    expected: int
    got: int
    words: str

    def __str__(self) -> str:
        expected, got = self.expected & 0xFFFFFFFF, self.got & 0xFFFFFFFF
        place = f"frame {self.frame}, channel {self.channel}"
        return f"{place}: expected {expected:08x}, got {got:08x} ({self.words})"


@dataclass(frozen=True)
class Verdict:
    """What became of the signal. `ok` means: all frames came, all samples equal, silence around."""

    ok: bool
    reason: str
    frames: int
    differing_frames: int
    lead_frames: int
    tail_frames: int
    difference: Difference | None = None


class Comparator:
    """Compares recorded bytes with a signal; `feed` as they come, `verdict` at any time."""

    def __init__(self, signal: Signal, form: SampleFormat, wire_bits: int) -> None:
        self._signal = signal
        self._form = form
        self._block = signal.expected(form, wire_bits)
        self._frame_bytes = form.sample_bytes * signal.channels
        self._rest = b""
        self._pending = np.zeros((0, signal.channels), dtype=np.int32)
        self._lead = 0
        self._compared = 0
        self._differing = 0
        self._tail = 0
        self._started = False
        self._stray: int | None = None
        self._unknown = False
        self._difference: Difference | None = None

    @property
    def compared_frames(self) -> int:
        """Frames of the signal seen so far."""
        return self._compared

    @property
    def tail_frames(self) -> int:
        """Frames seen after the end of the signal."""
        return self._tail

    @property
    def complete(self) -> bool:
        """Whether the whole length of the signal has been seen."""
        return self._compared >= self._signal.frames

    def feed(self, data: bytes) -> None:
        """Take the next recorded bytes, in pieces of any size."""
        data = self._rest + data
        usable = len(data) // self._frame_bytes * self._frame_bytes
        self._rest = data[usable:]
        samples = decode(memoryview(data)[:usable], self._form, self._signal.channels)
        if len(self._pending):
            samples = np.concatenate((self._pending, samples))
            self._pending = samples[:0]
        if not self._started:
            samples = self._wait_for_start(samples)
        if self._started:
            self._compare(samples)

    def _wait_for_start(self, samples: Samples) -> Samples:
        """Skip the silence before the signal; returns what begins with its first frame."""
        audible = np.flatnonzero(samples.any(axis=1))
        if not len(audible):
            self._lead += len(samples)
            return samples[:0]
        first = int(audible[0])
        self._lead += first
        samples = samples[first:]
        if len(samples) < WINDOW_FRAMES:
            self._pending = samples
            return samples[:0]
        self._started = True
        place = find(self._block, samples[:WINDOW_FRAMES])
        if place is None:
            self._unknown = True
        elif place:
            self._compared = place
            self._differing += place
            words = f"the first {place} frames are missing"
            self._difference = self._describe(0, 0, samples[0], words)
        return samples

    def _compare(self, samples: Samples) -> None:
        position = 0
        while position < len(samples) and not self.complete:
            start = self._compared % BLOCK_FRAMES
            count = min(
                len(samples) - position, BLOCK_FRAMES - start, self._signal.frames - self._compared
            )
            got = samples[position : position + count]
            want = self._block[start : start + count]
            if not np.array_equal(got, want):
                self._count_differences(got, want, samples[position:])
            self._compared += count
            position += count
        self._after(samples[position:])

    def _count_differences(self, got: Samples, want: Samples, following: Samples) -> None:
        wrong = got != want
        frames = np.flatnonzero(wrong.any(axis=1))
        self._differing += len(frames)
        if self._difference is None:
            first = int(frames[0])
            channel = int(np.flatnonzero(wrong[first])[0])
            words = explain(self._block, self._compared + first, following[first:])
            self._difference = self._describe(self._compared + first, channel, got[first], words)

    def _describe(self, frame: int, channel: int, got: Samples, words: str) -> Difference:
        expected = int(self._block[frame % BLOCK_FRAMES, channel])
        return Difference(frame, channel, expected, int(got[channel]), words)

    def _after(self, samples: Samples) -> None:
        audible = np.flatnonzero(samples.any(axis=1))
        if len(audible) and self._stray is None:
            self._stray = self._tail + int(audible[0])
        self._tail += len(samples)

    def verdict(self) -> Verdict:
        """The judgement on what has been fed so far."""
        reason = self._reason()
        return Verdict(
            ok=not reason,
            reason=reason or "every sample identical",
            frames=self._compared,
            differing_frames=self._differing,
            lead_frames=self._lead,
            tail_frames=self._tail,
            difference=self._difference,
        )

    def _reason(self) -> str:
        if not self._started:
            return "nothing but silence was recorded"
        if self._unknown:
            return "the recording does not begin with the signal that was played"
        if self._difference is not None:
            return f"{self._differing} frames differ, the first at {self._difference}"
        if not self.complete:
            missing = self._signal.frames - self._compared
            return f"the recording ends {missing} frames before the signal does"
        if self._stray is not None:
            return f"no silence {self._stray} frames after the end of the signal"
        return ""


def find(block: Samples, window: Samples) -> int | None:
    """Frame of `block` (repeated without end) at which `window` stands, None when nowhere."""
    candidates = np.flatnonzero((block == window[0]).all(axis=1))
    for candidate in candidates:
        indices = (int(candidate) + np.arange(len(window))) % len(block)
        if np.array_equal(block[indices], window):
            return int(candidate)
    return None


def explain(block: Samples, frame: int, following: Samples) -> str:
    """What happened at signal frame `frame`, judged by what was recorded from there on."""
    following = following[:RESUME_FRAMES]
    audible = np.flatnonzero(following.any(axis=1))
    gap = int(audible[0]) if len(audible) else len(following)
    if gap == len(following):
        return f"silence, for at least {gap} frames"
    place = find(block, following[gap : gap + WINDOW_FRAMES])
    if place is None:
        return f"{gap} frames of silence, then other values" if gap else "other values"
    shift = (place - (frame + gap)) % BLOCK_FRAMES
    shift = shift - BLOCK_FRAMES if shift > BLOCK_FRAMES // 2 else shift
    if gap and not shift:
        return f"{gap} frames of silence in their place"
    if gap:
        return f"{gap} frames of silence were put in" if shift == -gap else (
            f"{gap} frames of silence, then the signal {abs(shift)} frames "
            f"{'further on' if shift > 0 else 'back'}"
        )
    if shift > 0:
        return f"{shift} frames were skipped"
    return f"{-shift} frames came twice" if shift else "a single frame"
