"""`ptp-second-clock`: what a second clock costs beside the first, in CPU time and memory.

One process has the clocks an engine has and nothing else, each a slave of a ptp4l of its own that
sends 8 Sync/s and allows 8 Delay_Req/s; the second one is there by turns.

    python -m bench.ptp.second --rounds 4 --seconds 20 --out FILE
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from aes67.engine.clock_page import ClockPage
from aes67.engine.plan import ClockSpec
from aes67.engine.second_clock import Hooks, SecondClock
from aes67.engine.timekeeper import Timekeeper
from aes67.shm.layout import PAGE_BYTES
from aes67.shm.region import create
from bench.ptp.lab import COMPILING_S, INTERFACE, lab
from bench.rounds import Effort, verdict

SECOND_INTERFACE = "p1"
LIMIT_PERCENT = 0.5
"""Of a core, as for the first one."""
SETTLED_S = 5.0
"""After a lock, until what goes with locking is over."""
PATIENCE_S = 60.0
SLACK_S = 120.0


def measure(effort: Effort) -> dict[str, Any]:
    """Medians over the rounds; the memory is that of the first time, later ones find it there."""
    with lab() as place:
        here = place.plug("br0")
        place.plug("br1", here, SECOND_INTERFACE)
        for bridge in ("br0", "br1"):
            place.ptp4l(place.plug(bridge), master=True)
        out = place.folder / "second.json"
        program = place.start(here, [
            sys.executable, "-m", "bench.ptp.second", "--out", str(out),
            "--rounds", str(effort.rounds), "--seconds", str(effort.seconds),
        ])  # fmt: skip
        each_s = 2 * effort.seconds + 2 * (SETTLED_S + PATIENCE_S)
        program.wait(COMPILING_S + SLACK_S + effort.rounds * each_s)
        place.check()
        found = json.loads(out.read_text(encoding="utf-8"))
    alone, both = (statistics.median(found[name]) * 100 for name in ("alone", "both"))
    return {
        "first_percent_of_a_core": round(alone, 3),
        "both_percent_of_a_core": round(both, 3),
        "second_percent_of_a_core": verdict(both - alone, LIMIT_PERCENT),
        "second_to_first": round((both - alone) / alone, 3),
        "second_memory_kb": found["memory_kb"],
    }


def _spec(interface: str) -> ClockSpec:
    return ClockSpec.from_json(
        {"mode": "ptp-slave", "interface": interface, "domain": 0, "dscp": 46, "priority1": 250,
         "priority2": 128, "sync_interval": None, "announce_interval": None,
         "ports": [{"interface": interface, "profile": "aes67"}]}
    )  # fmt: skip


def _memory_kb() -> int:
    """Memory of this process that no file is behind: its heaps and stacks."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon:"))


async def _locked(clock: Timekeeper | SecondClock) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while (clock.snapshot() or {}).get("state") != "locked":
        if time.monotonic() > deadline:
            raise RuntimeError(f"no lock: {clock.snapshot()}")
        await asyncio.sleep(0.2)
    await asyncio.sleep(SETTLED_S)


async def _share(seconds: float) -> float:
    """Of a core, that this process takes."""
    cpu, wall = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    return (time.process_time() - cpu) / (time.monotonic() - wall)


async def _run(options: argparse.Namespace) -> None:
    page = ClockPage(create("bench-clock", PAGE_BYTES, read_only_for_others=True), os.getpid())
    first = Timekeeper(page.publish_media, lambda snapshot: None)
    second = SecondClock(page.media, os.getpid(), Hooks(lambda: None, lambda snapshot: None))
    await first.configure(_spec(INTERFACE))
    await _locked(first)
    shares: dict[str, list[float]] = {"alone": [], "both": []}
    memory_kb = None
    for number in range(options.rounds):
        for name in ("alone", "both") if number % 2 == 0 else ("both", "alone"):
            before = _memory_kb()
            await second.configure(_spec(SECOND_INTERFACE) if name == "both" else None, "second")
            await _locked(second if name == "both" else first)
            shares[name].append(await _share(options.seconds))
            if name == "both" and memory_kb is None:
                memory_kb = _memory_kb() - before
    await second.close()
    await first.close()
    result = {**shares, "memory_kb": memory_kb}
    Path(options.out).write_text(json.dumps(result), encoding="utf-8")  # noqa: ASYNC240 (the end)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    asyncio.run(_run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
