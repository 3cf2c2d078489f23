"""Stand-ins for applications: playback rings full of samples whose write position keeps moving.

They do what the plugin does to a stream header, without libasound and without writing samples: the
rings are filled once, as those of the C loop are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from aes67.shm.layout import RUN_RUNNING, STREAM

LEAD_FRAMES = 1440
"""How far ahead an application writes: 30 ms at 48 kHz."""
STEP_SECONDS = 0.005


class Client:
    """One running playback stream.

    Args:
        region: its memory, as the engine made it.
        ring_frames, channels: of its ring.
        now: the media frame now.
        epoch: the clock epoch.
    """

    def __init__(
        self, region: Any, ring_frames: int, channels: int, now: Callable[[], int], epoch: int
    ) -> None:
        self._header = region.view(STREAM)[0]
        self._now = now
        ring = region.samples((ring_frames, channels))
        numbers = np.arange(ring.size, dtype=np.uint32) * np.uint32(2654435761)
        ring[:] = numbers.view(np.int32).reshape(ring.shape)
        header = self._header
        self._anchor = now()
        header["run_seq"] = 1
        header["run"] = 1
        header["state"] = RUN_RUNNING
        header["anchor"] = self._anchor
        header["start_pos"] = 0
        header["epoch"] = epoch
        header["run_seq"] = 2
        self.move()

    def move(self) -> None:
        """Write on: up to LEAD_FRAMES ahead of now."""
        self._header["client_mono_ns"] = time.monotonic_ns()
        self._header["appl_pos"] = self._now() - self._anchor + LEAD_FRAMES


class Mover(threading.Thread):
    """Moves all clients every few milliseconds until `stop`."""

    def __init__(self, clients: list[Client]) -> None:
        super().__init__(daemon=True)
        self._clients = clients
        self._stopped = threading.Event()

    def run(self) -> None:
        """The thread's work."""
        while not self._stopped.wait(STEP_SECONDS):
            for client in self._clients:
                client.move()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join()
