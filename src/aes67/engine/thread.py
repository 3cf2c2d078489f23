"""The tick's thread: its scheduling class, its entry and its end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading

from aes67.engine.atomics import store_word
from aes67.engine.tick import run
from aes67.engine.wiring import ROUNDS, STOP, Tick

_NAME = "aes67-tick"
_PR_SET_TIMERSLACK = 29
"""Without SCHED_FIFO timers may by default come 50 us late."""


class TickThread:
    """One thread inside `tick.run`. It is a daemon thread: `stop` must be called before the end."""

    def __init__(self, tick: Tick, priority: int) -> None:
        self._tick = tick
        self._priority = priority
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self.refusal: str | None = None
        """Why the thread is not SCHED_FIFO; None when it is, or does not run."""

    @property
    def running(self) -> bool:
        """Whether the thread is inside the tick."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def rounds(self) -> int:
        """Ticks finished since the engine was made."""
        return int(self._tick.common["control"][ROUNDS])

    def compile(self) -> None:
        """Compile the tick, or load it from the cache, by entering it with the stop word set."""
        self._tick.common["control"][STOP] = 1
        run(self._tick)

    def start(self) -> None:
        """Start the thread and wait until its scheduling class is settled."""
        assert self._thread is None
        self.compile()
        self._tick.common["control"][STOP] = 0
        self._ready.clear()
        self._thread = threading.Thread(target=self._enter, name=_NAME, daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Leave the tick and join the thread."""
        if self._thread is not None:
            store_word(self._tick.common["control"], STOP, 1)
            self._thread.join()
            self._thread = None

    def _enter(self) -> None:
        self.refusal = None
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(self._priority))
        except OSError as error:
            self.refusal = os.strerror(error.errno or 0)
        with contextlib.suppress(OSError), open("/proc/thread-self/comm", "w") as name:
            name.write(_NAME)
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
        self._ready.set()
        run(self._tick)
