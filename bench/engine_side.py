"""The engine alone, without control and PTP, at work for some seconds; prints what its tick cost.

Runs in a namespace of `bench.network`. Media time is CLOCK_MONOTONIC, as in the C loop, so that its
packets are on time here: an ordinary thread renews the clock page's line as a timekeeper does.

    python -m bench.engine_side send|receive --interface va --address 10.77.0.1
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import threading
import time
from dataclasses import replace
from typing import Any

from aes67.engine.clock_page import MediaRecord
from aes67.engine.engine import Engine
from aes67.shm.layout import CLOCK_LOCKED
from aes67.shm.region import telemetry_views
from bench.clients import Client, Mover
from bench.profile import user_share
from bench.streams import RATE, planned

TICK_NAME = "aes67-tick"
RENEW_SECONDS = 0.1
WARM_UP_SECONDS = 1.0
PCM_CHANNELS = 64


class Clock(threading.Thread):
    """Keeps the clock page at CLOCK_MONOTONIC, locked."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(daemon=True)
        self._engine = engine
        self.renew()

    def renew(self) -> None:
        """Write the line that goes through now."""
        raw_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        media_ns = time.monotonic_ns()
        self._engine.clock_page.publish_media(
            MediaRecord(raw_ns, media_ns, 0, 1, CLOCK_LOCKED, 100, 0)
        )

    def run(self) -> None:
        """The thread's work."""
        while True:
            time.sleep(RENEW_SECONDS)
            self.renew()


def media_frame() -> int:
    """The media frame now."""
    return time.monotonic_ns() * RATE // 10**9


def open_clients(engine: Engine, count: int) -> list[Client]:
    """So many playback streams of PCM_CHANNELS channels, side by side, all running."""
    clients = []
    for number in range(count):
        stream = engine.open_playback(
            channels=PCM_CHANNELS, first=number * PCM_CHANNELS, buffer_frames=2880
        )
        clients.append(Client(stream.region, stream.ring_frames, PCM_CHANNELS, media_frame, 1))
    return clients


def tick_thread() -> threading.Thread:
    """The engine's real-time thread."""
    return next(each for each in threading.enumerate() if each.name == TICK_NAME)


def counters(engine: Engine) -> dict[str, int]:
    """What the tick has counted so far."""
    views = telemetry_views(engine.telemetry)
    row = views["engine"][0]
    found = {
        name: int(row[name])
        for name in (
            "ticks", "late_ticks", "skipped_ticks", "receive_calls", "received", "unmatched",
            "malformed", "send_calls", "sent", "send_errors", "busy_ns",
        )
    }  # fmt: skip
    for name in ("lost", "late", "early", "duplicate", "silent_frames"):
        found[name] = int(views["sinks"][name].sum())
    found["accepted"] = int(views["sinks"]["packets"].sum())
    found["skipped_packets"] = int(views["sources"]["skipped_packets"].sum())
    found["client_silence"] = int(views["pcms"]["silence_frames"].sum())
    return found


def measure(engine: Engine, options: argparse.Namespace) -> dict[str, Any]:
    """Let it run; the difference of everything over the seconds."""
    thread = tick_thread()
    assert thread.ident is not None
    assert thread.native_id is not None
    if options.core >= 0:
        os.sched_setaffinity(thread.native_id, {options.core})
    clock = time.pthread_getcpuclockid(thread.ident)
    time.sleep(WARM_UP_SECONDS)
    if options.announce:
        print("sending", flush=True)
    before, cpu = counters(engine), time.clock_gettime_ns(clock)
    if options.profile:
        share = user_share(thread.native_id, options.seconds, process=False)
    else:
        share = None
        time.sleep(options.seconds)
    cpu = time.clock_gettime_ns(clock) - cpu
    after = counters(engine)
    grown = {name: after[name] - before[name] for name in after}
    packets = grown["sent"] if options.role == "send" else grown["accepted"]
    return {
        "packets": packets,
        "cpu_ns": cpu,
        "ns_per_packet": cpu / packets if packets else 0.0,
        "user_share": share,
        "realtime": engine.realtime,
        "max_rss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "counters": grown,
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Engine up, plan in force, clients running, measured, down."""
    sends = options.role == "send"
    plan, tables = planned(
        options.interface, options.address,
        options.streams if sends else 0, 0 if sends else options.streams,
        options.channels, options.frames,
    )  # fmt: skip
    if options.tick_frames:
        plan = replace(plan, tick_frames=options.tick_frames)
    engine = Engine(priority=options.priority)
    Clock(engine).start()
    engine.start()
    try:
        engine.apply(plan, tables)
        pcms = -(-options.streams * options.channels // PCM_CHANNELS) if sends else 0
        mover = Mover(open_clients(engine, pcms))
        mover.start()
        try:
            return measure(engine, options)
        finally:
            mover.stop()
    finally:
        engine.stop()


def main() -> int:
    """Entry point: one JSON line."""
    parser = argparse.ArgumentParser(prog="bench.engine_side")
    parser.add_argument("role", choices=("send", "receive"))
    parser.add_argument("--interface", required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--priority", type=int, default=70)
    parser.add_argument("--tick-frames", type=int, default=0, help="0: as the plan has it")
    parser.add_argument("--core", type=int, default=-1)
    parser.add_argument("--profile", action="store_true", help="share of user space, by perf")
    parser.add_argument("--announce", action="store_true", help="say when it is at work")
    print(json.dumps(run(parser.parse_args())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
