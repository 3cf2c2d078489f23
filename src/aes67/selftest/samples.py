"""ALSA sample formats as bytes and as canonical samples: int32, left-justified, interleaved.

Pure: arrays in, bytes out. Only what the self-tests play and record; the conversions an application
gets are the plugin's own, written in C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aes67.errors import Refused

Samples = npt.NDArray[np.int32]
"""Shape (frames, channels), full scale is the whole 32 bits."""


@dataclass(frozen=True)
class SampleFormat:
    """An ALSA format: its name, bytes of one sample, and bits of it that carry signal."""

    name: str
    sample_bytes: int
    bits: int


FORMATS = {
    row.name: row
    for row in (
        SampleFormat("S16_LE", 2, 16),
        SampleFormat("S24_3LE", 3, 24),
        SampleFormat("S24_LE", 4, 24),
        SampleFormat("S32_LE", 4, 32),
        SampleFormat("FLOAT_LE", 4, 24),
    )
}

WIRE_BITS = {"L16": 16, "L24": 24, "AM824": 32}
"""Bits of a sample that a codec carries."""


def sample_format(name: str) -> SampleFormat:
    """The format called `name` (any case); Refused names the ones there are."""
    found = FORMATS.get(name.upper())
    if found is None:
        raise Refused("format", name, f"one of {', '.join(FORMATS)}")
    return found


def truncate(samples: Samples, bits: int) -> Samples:
    """`samples` with all but their top `bits` (1 to 32) cleared: what a narrower wire leaves."""
    assert 1 <= bits <= 32
    mask = np.int32(-1 << (32 - bits)) if bits < 32 else np.int32(-1)
    return samples & mask


def encode(samples: Samples, form: SampleFormat) -> bytes:
    """The bytes an application writes for `samples`; bits the format lacks are dropped.

    FLOAT_LE carries the top 24 bits, which a 32-bit float holds exactly.
    """
    flat = np.ascontiguousarray(samples, dtype="<i4").reshape(-1)
    if form.name == "S32_LE":
        return flat.tobytes()
    if form.name == "S16_LE":
        return (flat >> 16).astype("<i2").tobytes()
    if form.name == "S24_LE":
        return (flat >> 8).astype("<i4").tobytes()
    if form.name == "FLOAT_LE":
        return ((flat >> 8).astype(np.float64) / (1 << 23)).astype("<f4").tobytes()
    octets = flat.view(np.uint8).reshape(-1, 4)
    return octets[:, 1:].tobytes()


def decode(data: bytes | memoryview, form: SampleFormat, channels: int) -> Samples:
    """Canonical samples of `data`, which holds whole frames.

    S24_LE: the top byte of each word says nothing and is ignored. FLOAT_LE: values outside of
    -1.0 to 1.0 saturate.
    """
    assert len(data) % (form.sample_bytes * channels) == 0, "whole frames only"
    if form.name == "S16_LE":
        flat = np.frombuffer(data, dtype="<i2").astype(np.int32) << 16
    elif form.name == "S32_LE":
        flat = np.frombuffer(data, dtype="<i4").astype(np.int32)
    elif form.name == "S24_LE":
        flat = np.frombuffer(data, dtype="<i4").astype(np.int32) << 8
    elif form.name == "FLOAT_LE":
        wide = np.frombuffer(data, dtype="<f4").astype(np.float64) * 2.0**31
        flat = np.clip(np.rint(wide), -(2.0**31), 2.0**31 - 1).astype(np.int64).astype(np.int32)
    else:
        octets = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
        wide_octets = np.zeros((len(octets), 4), dtype=np.uint8)
        wide_octets[:, 1:] = octets
        flat = wide_octets.view("<i4").reshape(-1).astype(np.int32)
    return flat.reshape(-1, channels)
