"""Peak meters and gain on flat sample buffers."""

from __future__ import annotations

import numpy as np

from aes67.jit import kernel
from aes67.media.pcm import Samples
from aes67.media.words import INT32_MAX, INT32_MIN
from aes67.shm.layout import GAIN_FRACTION_BITS

UNITY = 1 << GAIN_FRACTION_BITS
_HALF = UNITY >> 1
_PEAK_SHIFT = 8
_DECAY_SHIFT = 5


@kernel
def peak_of(samples: Samples) -> int:
    """Largest |sample| >> 8: 0 to 2^23."""
    low = np.int32(0)
    high = np.int32(0)
    for i in range(samples.shape[0]):
        low = min(low, samples[i])
        high = max(high, samples[i])
    return max(int(high), 0 - int(low)) >> _PEAK_SHIFT


@kernel
def decayed(peak: int) -> int:
    """A meter's value one decay step later: -0.28 dB, and at last 0."""
    return peak - (peak >> _DECAY_SHIFT) - (1 if 0 < peak < 1 << _DECAY_SHIFT else 0)


@kernel
def amplified(sample: int, gain_q30: int) -> int:
    """`sample` times a gain of 0 to 2 (unity: 2^30), rounded and saturated; exact at unity."""
    return min(max((sample * gain_q30 + _HALF) >> GAIN_FRACTION_BITS, INT32_MIN), INT32_MAX)


@kernel
def amplify(samples: Samples, gain_q30: int) -> None:
    """`amplified` in place."""
    for i in range(samples.shape[0]):
        samples[i] = amplified(int(samples[i]), gain_q30)
