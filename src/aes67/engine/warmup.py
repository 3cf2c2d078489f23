"""Compiles every kernel of the engine now, so that no start has to wait for it.

`aes67 warmup`, for installers and images: runs each compiled part once, with the real signatures
and without touching the network, and says how much was compiled and how much was there already.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """What one part took: machine code compiled and loaded, in functions, and seconds."""

    part: str
    compiled: int
    loaded: int
    seconds: float


def warm_clock() -> None:
    """The clock's estimator."""
    from aes67.clock.estimator import warm

    warm()


def warm_tick() -> None:
    """The tick with everything it calls: it runs for a moment, without a socket."""
    from aes67.engine.engine import Engine

    engine = Engine(lock_memory=False)
    engine.start()
    engine.stop()


PARTS: dict[str, Callable[[], None]] = {"clock": warm_clock, "tick": warm_tick}


def dispatchers() -> Iterator[Any]:
    """Every compiled function of the modules loaded so far, once each."""
    from numba.core.dispatcher import Dispatcher

    seen = set()
    for name, module in list(sys.modules.items()):
        if name == "aes67" or name.startswith("aes67."):
            for value in list(vars(module).values()):
                if isinstance(value, Dispatcher) and id(value) not in seen:
                    seen.add(id(value))
                    yield value


def counts() -> tuple[int, int]:
    """(compiled, loaded from the cache) so far in this process, over all functions."""
    compiled = loaded = 0
    for dispatcher in dispatchers():
        compiled += sum(dispatcher.stats.cache_misses.values())
        loaded += sum(dispatcher.stats.cache_hits.values())
    return compiled, loaded


class SignOfLife:
    """Says on standard error how far compiling has come: on a terminal in one line that is gone
    at the end, else in a line every `PERIOD_S` seconds."""

    PERIOD_S = 15.0

    def __init__(self, shown: bool) -> None:
        self._terminal = sys.stderr.isatty()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)
        if shown:
            self._thread.start()

    def end(self) -> None:
        """Say nothing more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
            self._print("\r\x1b[K" if self._terminal else "")

    def _tell(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(1.0 if self._terminal else self.PERIOD_S):
            words = f"compiling: {counts()[0]} functions, {time.monotonic() - began:.0f} s"
            self._print(f"\r{words}" if self._terminal else f"{words}\n")

    def _print(self, text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)


def run(report: Callable[[Step], None]) -> list[Step]:
    """Run all parts; `report` is called after each."""
    steps = []
    compiled, loaded = counts()
    for part, warm in PARTS.items():
        began = time.monotonic()
        warm()
        after = counts()
        step = Step(part, after[0] - compiled, after[1] - loaded, time.monotonic() - began)
        compiled, loaded = after
        report(step)
        steps.append(step)
    return steps


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 when what was compiled cannot be kept."""
    parser = argparse.ArgumentParser(
        prog=os.environ.get("AES67_PROGRAM", "aes67.engine.warmup"),
        description="Compile everything now, so that no start of the daemon waits for it.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    options = parser.parse_args(arguments)

    def report(step: Step) -> None:
        if not options.json:
            print(
                f"{step.part:8} compiled {step.compiled:3}, from cache {step.loaded:3},"
                f" {step.seconds:6.2f} s",
                flush=True,
            )

    from aes67 import jit

    if not options.json:
        print(f"cache    {jit.CACHE or 'none: no folder can be written'}", flush=True)
        if jit.is_empty():
            print("compiling the engine for this processor, once: a minute or two", flush=True)
    life = SignOfLife(jit.is_empty() and not options.json)
    steps = run(report)
    life.end()
    pruned = jit.prune(jit.CACHE) if jit.CACHE else []
    if options.json:
        result = {
            "cache": str(jit.CACHE or ""),
            "pruned": [str(path) for path in pruned],
            "compiled": sum(step.compiled for step in steps),
            "loaded": sum(step.loaded for step in steps),
            "seconds": round(sum(step.seconds for step in steps), 3),
            "parts": [asdict(step) for step in steps],
        }
        print(json.dumps(result))
    elif jit.UNKEPT:
        print(f"could not be kept: {jit.UNKEPT[0]}. Every start will compile anew: make room"
              " there, or name another folder in AES67_CACHE_DIR", file=sys.stderr)  # fmt: skip
    elif pruned:
        print(f"removed  {len(pruned)} older ones beside it", flush=True)
    return 1 if jit.UNKEPT else 0


if __name__ == "__main__":
    sys.exit(main())
