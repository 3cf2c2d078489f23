"""Where in the test signal a recorded stretch stands. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes67.selftest.samples import Samples

KEY_FRAMES = 4
"""Frames that one key is made of: 64 bits of noise even of one channel of 16 bits."""
RUN_FRAMES = 16
"""So many frames in a row are the signal for certain."""
NOWHERE = -1

Indices = npt.NDArray[np.int64]


class Whereabouts:
    """Finds stretches of a block of noise that is repeated without end."""

    def __init__(self, block: Samples) -> None:
        self._frames = len(block)
        channels = block.shape[1]
        generator = np.random.default_rng(2267)
        self._weights = generator.integers(1, 2**63, size=channels, dtype=np.uint64) | np.uint64(1)
        around = np.concatenate((block, block[: KEY_FRAMES - 1]))
        keys = self._keys(around)
        self._order = np.argsort(keys)
        self._sorted = keys[self._order]

    def places(self, samples: Samples) -> Indices:
        """For each frame the one of the block it is, judged by `KEY_FRAMES` from there on; or
        NOWHERE. The last `KEY_FRAMES` - 1 frames of `samples` cannot be judged."""
        if len(samples) < KEY_FRAMES:
            return np.zeros(0, np.int64)
        keys = self._keys(samples)
        index = np.minimum(np.searchsorted(self._sorted, keys), self._frames - 1)
        return np.where(self._sorted[index] == keys, self._order[index], NOWHERE)

    def first(self, samples: Samples) -> tuple[int, int] | None:
        """Where in `samples` the signal runs for the first time, and its frame of the block there;
        None: nowhere for `RUN_FRAMES`."""
        places = self.places(samples)
        steps = RUN_FRAMES - KEY_FRAMES
        if len(places) <= steps:
            return None
        goes_on = (places[1:] == (places[:-1] + 1) % self._frames) & (places[:-1] != NOWHERE)
        before = np.concatenate(([0], np.cumsum(goes_on)))
        runs = np.flatnonzero(before[steps:] - before[:-steps] == steps)
        return (int(runs[0]), int(places[runs[0]])) if len(runs) else None

    def _keys(self, samples: Samples) -> npt.NDArray[np.uint64]:
        """A number for each stretch of `KEY_FRAMES`; arithmetic is modulo 2^64."""
        frames = samples.astype(np.uint32).astype(np.uint64) @ self._weights
        frames ^= frames >> np.uint64(29)
        keys = np.zeros(len(frames) - KEY_FRAMES + 1, np.uint64)
        for each in range(KEY_FRAMES):
            keys = keys * np.uint64(0x9E3779B97F4A7C15) + frames[each : each + len(keys)]
        return keys
