"""Our timekeeper alone in a namespace, as the engine runs it; writes down all it published.

    python -m bench.ptp.ours --interface p0 --out FILE [--mode gm] [--profile gptp]

Runs until SIGTERM. Estimates are noted where they are made, since the media clock slews on purpose.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from aes67.clock.estimator import Estimator
from aes67.clock.measurement import DELAY, Measurement
from aes67.engine.clock_page import MediaRecord
from aes67.engine.plan import ClockSpec
from aes67.engine.timekeeper import Timekeeper
from aes67.net.timestamping import CrossClock, raw_now
from aes67.ptp.foreign import ForeignMaster
from aes67.wire.ptp_messages import Announce

WARM_UP_S = 15.0
READING_S = 5.0


class Notes:
    """Everything that is written down."""

    def __init__(self) -> None:
        self.published: list[tuple[int, ...]] = []
        self.estimated: list[tuple[int, int, int]] = []
        self.measured: list[tuple[int, int, int, int]] = []
        """Direction, instant, the master's time then, when the estimator got it."""
        self.readings: list[tuple[int, int]] = []
        self.first_sync_ns = 0
        self.qualified_ns = 0

    def publish(self, record: MediaRecord) -> None:
        """For the timekeeper."""
        self.published.append(
            (record.raw_ns, record.media_ns, record.rate_q40, record.state,
             record.uncertainty_ns, record.epoch, record.session_epoch)
        )  # fmt: skip

    def watch(self) -> None:
        """Note estimates, the first Sync and the first qualified master, where they happen."""
        add, announced = Estimator.add, ForeignMaster.announced

        def noted_add(estimator: Estimator, measurement: Measurement) -> bool:
            result = add(estimator, measurement)
            self.measured.append(
                (measurement.direction, measurement.raw_ns, measurement.master_ns, raw_now())
            )
            if measurement.direction != DELAY and not self.first_sync_ns:
                self.first_sync_ns = measurement.raw_ns
            if estimator.usable:
                line = estimator.line
                now_ns = raw_now()
                self.estimated.append((now_ns, line.at(now_ns), line.rate_q40))
            return result

        def noted_announced(master: ForeignMaster, announce: Announce, now_ns: int) -> None:
            announced(master, announce, now_ns)
            if not self.qualified_ns and master.qualified(now_ns):
                self.qualified_ns = now_ns

        Estimator.add = noted_add  # type: ignore[assignment,method-assign]
        ForeignMaster.announced = noted_announced  # type: ignore[assignment,method-assign]

    def write(self, path: Path, facts: dict[str, float]) -> None:
        """Everything into one file."""
        np.savez(
            path,
            published=np.array(self.published, dtype=np.int64).reshape(-1, 7),
            estimated=np.array(self.estimated, dtype=np.int64).reshape(-1, 3),
            measured=np.array(self.measured, dtype=np.int64).reshape(-1, 4),
            readings=np.array(self.readings, dtype=np.int64).reshape(-1, 2),
            names=np.array(list(facts)), values=np.array(list(facts.values()), dtype=np.float64),
        )  # fmt: skip


async def _run(options: argparse.Namespace) -> None:
    notes = Notes()
    clock = CrossClock()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    snapshots: list[dict[str, Any]] = []
    keeper = Timekeeper(notes.publish, snapshots.append)
    notes.readings.append(clock.read())
    await keeper.configure(
        ClockSpec.from_json(
            {"mode": options.mode, "interface": options.interface, "domain": options.domain,
             "dscp": 46, "priority1": 127, "priority2": 128, "sync_interval": options.sync,
             "announce_interval": options.announce,
             "ports": [{"interface": options.interface, "profile": options.profile}]}
        )
    )  # fmt: skip
    if not options.plain:
        notes.watch()  # not before: configuring warms an estimator
    _tell_ready(options.out)
    began, cpu, wall = time.monotonic(), 0.0, 0.0
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), READING_S)
        notes.readings.append(clock.read())
        snapshots.clear()
        if not wall and time.monotonic() - began >= WARM_UP_S:
            cpu, wall = time.process_time(), time.monotonic()
    share = (time.process_time() - cpu) / (time.monotonic() - wall) if wall else float("nan")
    timestamps = keeper.snapshot().get("timestamps", {})
    await keeper.close()
    notes.write(
        Path(options.out),
        {"cpu_share": share, "first_sync_ns": notes.first_sync_ns,
         "qualified_ns": notes.qualified_ns,
         "kernel_stamps": float(timestamps.get("rung") == "kernel")},
    )  # fmt: skip


def _tell_ready(out: str) -> None:
    """For `Lab.wait_ready`."""
    Path(f"{out}.ready").touch()


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interface", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--mode", default="ptp-slave")
    parser.add_argument("--profile", default="aes67")
    parser.add_argument("--domain", type=int, default=0)
    parser.add_argument("--sync", type=int)
    parser.add_argument("--announce", type=int)
    parser.add_argument("--plain", action="store_true", help="note no estimates: for CPU time")
    asyncio.run(_run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
