"""Naive twins of the media kernels: plain Python, one sample at a time, written from the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor

from aes67.wire.payload import AM824, L16, L24, Codec, Subframe, pack_samples, parse_subframe

CODECS = {1: L16, 2: L24, 3: AM824}


def frame_at(media_ns: int, rate: int) -> int:
    return floor(Fraction(media_ns, 10**9) * rate)


def begin_of(frame: int, rate: int) -> int:
    return ceil(Fraction(frame, rate) * 10**9)


def payload_of(codec: int, samples: Sequence[int]) -> bytes:
    """Left-justified 32-bit samples to octets: the top bits of each."""
    kind: Codec = CODECS[codec]
    return pack_samples([sample >> (32 - kind.sample_bits) for sample in samples], kind)


def aes3_payload(
    samples: Sequence[int], channels: int, first_frame: int, status: Sequence[int]
) -> bytes:
    """ST 2110-31 subframes; blocks begin at frames that are multiples of 192."""
    parts = []
    for index, sample in enumerate(samples):
        frame, channel = divmod(index, channels)
        place = (first_frame + frame) % 192
        parts.append(
            Subframe(
                audio=sample >> 8,
                channel_status=bool(status[place]),
                block_start=place == 0,
                frame_start=channel % 2 == 0,
            ).pack()
        )
    return b"".join(parts)


def aes3_samples(payload: bytes) -> list[int]:
    return [parse_subframe(payload[at : at + 4]).audio << 8 for at in range(0, len(payload), 4)]


def saturated(value: int) -> int:
    return max(-(2**31), min(2**31 - 1, value))


def amplified(sample: int, gain_q30: int) -> int:
    return saturated(floor(Fraction(sample * gain_q30, 2**30) + Fraction(1, 2)))


def mixed(
    frames: Sequence[int],
    channel_map: Sequence[int],
    streams: Sequence[tuple[int, Mapping[int, Sequence[int]]]],
    gain_q30: int,
) -> list[int]:
    """Samples of a packet: `streams` are (first device channel, frame -> samples)."""
    out = []
    for frame in frames:
        for device in channel_map:
            total = 0
            for first, rows in streams:
                row = rows.get(frame)
                if row is not None and 0 <= device - first < len(row):
                    total += amplified(row[device - first], gain_q30)
            out.append(saturated(total))
    return out


class Bus:
    """The capture bus of one sink as a dictionary: what came first for a frame stays."""

    def __init__(self) -> None:
        self.frames: dict[int, tuple[int, ...]] = {}
        self.heard: dict[int, tuple[int, ...]] = {}

    def place(self, first: int, rows: Sequence[tuple[int, ...]]) -> int:
        """Returns how many frames were there already."""
        present = 0
        for frame, row in enumerate(rows, first):
            if frame in self.frames:
                present += 1
            else:
                self.frames[frame] = row
        return present

    def finalise(self, begin: int, end: int, channels: int) -> int:
        """Returns how many frames are silent."""
        missing = 0
        for frame in range(begin, end):
            missing += frame not in self.frames
            self.heard[frame] = self.frames.pop(frame, (0,) * channels)
        return missing


class Sequence16:
    """Loss and reordering of packets by their extended numbers, with a memory without end."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.first: int | None = None
        self.newest = 0
        self.reordered = 0

    def receive(self, number: int) -> None:
        if self.first is None:
            self.first = self.newest = number
            self.seen.add(number)
        elif number not in self.seen and number > self.first:
            self.reordered += number < self.newest
            self.newest = max(self.newest, number)
            self.seen.add(number)

    @property
    def lost(self) -> int:
        assert self.first is not None
        return self.newest - self.first + 1 - len(self.seen)
