"""Judge a recording of the test signal: every sample, and silence before and after it.

Pure and incremental: feed it the recorded bytes as they come. It finds the signal by its content
and compares sample by sample. Where something differs it looks for the place at which the signal
goes on, says in words what happened in between (a gap of silence, a stretch that was skipped or
came twice, other values), and compares on from there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aes67.selftest.samples import SampleFormat, Samples, decode
from aes67.selftest.signal import BLOCK_FRAMES, Signal
from aes67.selftest.whereabouts import RUN_FRAMES, Whereabouts

MOST_BACK = 2048
"""Frames that come twice are no more: buffers of a player that began anew."""
KEPT_DIFFERENCES = 1000
"""So many are described; all are counted."""


@dataclass(frozen=True)
class Difference:
    """A place where recording and signal differ, and what it looks like in words.

    `at_ns` is when the bytes of its first frame came, as `Comparator.feed` was told.
    """

    frame: int
    channel: int
    expected: int
    got: int
    words: str
    at_ns: int = 0

    def __str__(self) -> str:
        expected, got = self.expected & 0xFFFFFFFF, self.got & 0xFFFFFFFF
        place = f"frame {self.frame}, channel {self.channel}"
        return f"{place}: expected {expected:08x}, got {got:08x} ({self.words})"


@dataclass(frozen=True)
class Verdict:
    """What became of the signal. `ok` means: all frames came, all samples equal, silence around.

    `differing_frames` were lost, put in or wrong, at `places` places; `differences` are the first
    `KEPT_DIFFERENCES` of them. `otherwise` is what else is wrong, in words.
    """

    reason: str
    frames: int
    differing_frames: int
    lead_frames: int
    tail_frames: int
    places: int = 0
    differences: tuple[Difference, ...] = ()
    otherwise: str = ""

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.differing_frames and not self.otherwise

    @property
    def difference(self) -> Difference | None:
        """The first one."""
        return self.differences[0] if self.differences else None


@dataclass
class _Astray:
    """Since a frame of the signal did not come: what came instead, until it goes on somewhere."""

    frame: int
    channel: int
    got: int
    at_ns: int
    frames: int = 0
    """Recorded since then and no signal."""
    wrong: int = 0
    """Of these, frames that differ from the signal as it would have gone on in place."""
    silent: int = 0
    """Of these, silent ones at the beginning."""

    @property
    def words(self) -> str:
        """While it has not gone on."""
        what = "silence" if self.silent == self.frames else "other values"
        return f"{what}, for at least {self.frames} frames"


class Comparator:
    """Compares recorded bytes with a signal; `feed` as they come, `verdict` at the end."""

    def __init__(self, signal: Signal, form: SampleFormat, wire_bits: int) -> None:
        self._signal = signal
        self._form = form
        self._block = signal.expected(form, wire_bits)
        self._whereabouts = Whereabouts(self._block)
        self._frame_bytes = form.sample_bytes * signal.channels
        self._rest = b""
        self._pending = np.zeros((0, signal.channels), dtype=np.int32)
        self._at_ns = 0
        self._lead = 0
        self._compared = 0
        self._differing = 0
        self._tail = 0
        self._started = False
        self._stray: int | None = None
        self._unknown = False
        self._astray: _Astray | None = None
        self._places = 0
        self._differences: list[Difference] = []

    @property
    def compared_frames(self) -> int:
        """Frames of the signal that have gone by so far, right or wrong."""
        lost = self._astray.frames if self._astray is not None else 0
        return min(self._compared + lost, self._signal.frames)

    @property
    def tail_frames(self) -> int:
        """Frames seen after the end of the signal."""
        return self._tail

    @property
    def complete(self) -> bool:
        """Whether the whole length of the signal has been seen."""
        return self._compared >= self._signal.frames

    def feed(self, data: bytes, at_ns: int = 0) -> None:
        """Take the next recorded bytes, in pieces of any size, that came at `at_ns`."""
        self._at_ns = at_ns
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
            self._take(samples)

    def _wait_for_start(self, samples: Samples) -> Samples:
        """Skip the silence before the signal; returns what begins with its first frame."""
        audible = np.flatnonzero(samples.any(axis=1))
        if not len(audible):
            self._lead += len(samples)
            return samples[:0]
        first = int(audible[0])
        self._lead += first
        samples = samples[first:]
        if len(samples) < RUN_FRAMES:
            self._pending = samples
            return samples[:0]
        self._started = True
        found = self._whereabouts.first(samples[:RUN_FRAMES])
        if found is None:
            self._unknown = True
        elif found[1]:
            self._compared = found[1]
            words = f"the first {found[1]} frames are missing"
            self._tell(_Astray(0, 0, int(samples[0, 0]), self._at_ns), found[1], words)
        return samples

    def _take(self, samples: Samples) -> None:
        """Whatever comes after the first frame of the signal."""
        while len(samples) and not self.complete:
            samples = self._compare(samples) if self._astray is None else self._seek(samples)
        self._after(samples)

    def _compare(self, samples: Samples) -> Samples:
        """Compare up to the end of the block or of the signal; returns what is left."""
        start = self._compared % BLOCK_FRAMES
        count = min(len(samples), BLOCK_FRAMES - start, self._signal.frames - self._compared)
        got, want = samples[:count], self._block[start : start + count]
        if np.array_equal(got, want):
            self._compared += count
            return samples[count:]
        wrong = got != want
        first = int(np.flatnonzero(wrong.any(axis=1))[0])
        channel = int(np.flatnonzero(wrong[first])[0])
        self._compared += first
        self._astray = _Astray(self._compared, channel, int(got[first, channel]), self._at_ns)
        return samples[first:]

    def _seek(self, samples: Samples) -> Samples:
        """Look for where the signal goes on; returns what is left to compare from there."""
        astray = self._astray
        assert astray is not None
        to_the_end = self._signal.frames - self._compared - astray.frames
        found = self._whereabouts.first(samples)
        if found is None or found[0] >= to_the_end:
            keep = RUN_FRAMES - 1 if len(samples) < to_the_end else 0
            self._stay_astray(astray, samples[: max(min(len(samples) - keep, to_the_end), 0)])
            if astray.frames + self._compared >= self._signal.frames:
                return self._lost_for_good(astray, samples[to_the_end:])
            self._pending = samples[max(len(samples) - keep, 0) :]
            return samples[:0]
        self._stay_astray(astray, samples[: found[0]])
        self._resume(astray, found[1])
        return samples[found[0] :]

    def _stay_astray(self, astray: _Astray, samples: Samples) -> None:
        """These are no signal."""
        place = self._compared + astray.frames + np.arange(len(samples))
        wrong = (samples != self._block[place % BLOCK_FRAMES]).any(axis=1)
        if astray.silent == astray.frames:
            audible = np.flatnonzero(samples.any(axis=1))
            astray.silent += int(audible[0]) if len(audible) else len(samples)
        astray.frames += len(samples)
        astray.wrong += int(np.count_nonzero(wrong))

    def _resume(self, astray: _Astray, place: int) -> None:
        """The signal goes on with the block's frame `place`."""
        shift = self._shift(astray, place)
        lost = astray.frames + shift
        differing = max(astray.frames, abs(shift), lost) if shift else astray.wrong
        self._tell(astray, differing, explain(astray.frames, astray.silent, shift))
        self._compared += lost
        self._astray = None

    def _shift(self, astray: _Astray, place: int) -> int:
        """By how much the signal is further on than it would be in place (negative: back).

        It repeats, so this is the likeliest answer: in place, or a little back, or further on.
        """
        if (place - self._compared - astray.frames) % BLOCK_FRAMES == 0:
            return 0
        back = min(MOST_BACK, self._compared)
        lost = (place - self._compared + back) % BLOCK_FRAMES - back
        return lost - astray.frames

    def _lost_for_good(self, astray: _Astray, after: Samples) -> Samples:
        """It was not to be heard again before its time was over."""
        self._tell(astray, max(astray.wrong, 1), astray.words)
        self._compared = self._signal.frames
        self._astray = None
        return after

    def _tell(self, astray: _Astray, differing: int, words: str) -> None:
        self._places += 1
        self._differing += differing
        if len(self._differences) < KEPT_DIFFERENCES:
            self._differences.append(self._difference(astray, words))

    def _difference(self, astray: _Astray, words: str) -> Difference:
        frame, channel = astray.frame, astray.channel
        expected = int(self._block[frame % BLOCK_FRAMES, channel])
        return Difference(frame, channel, expected, astray.got, words, astray.at_ns)

    def _after(self, samples: Samples) -> None:
        audible = np.flatnonzero(samples.any(axis=1))
        if len(audible) and self._stray is None:
            self._stray = self._tail + int(audible[0])
        self._tail += len(samples)

    def verdict(self) -> Verdict:
        """The judgement on what has been fed so far."""
        differing, places, differences = self._differing, self._places, [*self._differences]
        if self._astray is not None:
            self._stay_astray(self._astray, self._pending)
            self._pending = self._pending[:0]
            places += 1
            differing += max(self._astray.wrong, 1)
            differences.append(self._difference(self._astray, self._astray.words))
        otherwise = self._otherwise()
        words = [otherwise] if otherwise else []
        if differing:
            at = f" in {places} places" if places > 1 else ""
            words.insert(0, f"{differing} frames differ{at}, the first at {differences[0]}")
        return Verdict(
            reason="; ".join(words) or "every sample identical",
            frames=self.compared_frames,
            differing_frames=differing,
            lead_frames=self._lead,
            tail_frames=self._tail,
            places=places,
            differences=tuple(differences[:KEPT_DIFFERENCES]),
            otherwise=otherwise,
        )

    def _otherwise(self) -> str:
        if not self._started:
            return "nothing but silence was recorded"
        if self._unknown:
            return "the recording does not begin with the signal that was played"
        if not self.complete:
            missing = self._signal.frames - self.compared_frames
            return f"the recording ends {missing} frames before the signal does"
        if self._stray is not None:
            return f"no silence {self._stray} frames after the end of the signal"
        return ""


def explain(frames: int, silent: int, shift: int) -> str:
    """What happened before the signal went on: `frames` of something else came, `silent` ones
    first, and then it was `shift` frames further on than it would have been."""
    if not frames:
        return f"{shift} frames were skipped" if shift > 0 else f"{-shift} frames came twice"
    some = f"{frames} frames of {'silence' if silent == frames else 'other values'}"
    if not shift:
        return f"{some} in their place" if frames > 1 or silent else "a single frame"
    if shift == -frames:
        return f"{some} were put in"
    return f"{some}, then the signal {abs(shift)} frames {'further on' if shift > 0 else 'back'}"
