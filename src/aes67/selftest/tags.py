"""Frames that carry their own number, and the latency that follows from when they came back. Pure.

A frame's number, modulo 32767 and plus one, stands in the top 16 bits of every channel: it survives
every format and codec, differs from silence, and is unambiguous for 0.68 s at 48 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aes67.selftest.samples import Samples

MODULUS = 32767


def tagged(first: int, frames: int, channels: int) -> Samples:
    """Frames numbered from `first` on."""
    numbers = (np.arange(first, first + frames, dtype=np.int64) % MODULUS + 1) << 16
    return np.repeat(numbers.astype(np.int32), channels).reshape(frames, channels)


def numbers_of(samples: Samples, newest: int) -> npt.NDArray[np.int64]:
    """Number of each frame, -1 for silence; all are `newest` or up to MODULUS - 1 older."""
    raw = samples[:, 0].astype(np.int64) >> 16
    age = (newest - (raw - 1)) % MODULUS
    return np.where(raw > 0, newest - age, -1)


@dataclass(frozen=True)
class Latency:
    """Distribution over all frames, in milliseconds."""

    frames: int
    min_ms: float
    median_ms: float
    p99_ms: float
    max_ms: float


def summary(latencies_ns: npt.NDArray[np.int64]) -> Latency | None:
    """The distribution of latencies; None when no frame came back."""
    if not len(latencies_ns):
        return None
    ms = latencies_ns / 1e6
    low, middle, high, most = np.quantile(ms, [0.0, 0.5, 0.99, 1.0])
    return Latency(len(ms), float(low), float(middle), float(high), float(most))


def floor_ms(rate: int, period_frames: int, packet_frames: int) -> float:
    """What cannot be undercut: a playback period, a packet and a capture period."""
    return (2 * period_frames + packet_frames) * 1e3 / rate
