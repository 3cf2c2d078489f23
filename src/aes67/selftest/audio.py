"""`aes67 selftest`: play and record through the network and compare every sample.

An own daemon, real aplay and arecord, a source and a sink for each stream, and nothing of the
user's touched. Exit code 0: all samples identical and nothing lost; 1: not so; 2: could not run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from aes67.errors import Aes67Error, Refused
from aes67.selftest import place
from aes67.selftest.carry import Carried, Clients, carry
from aes67.selftest.master import Master
from aes67.selftest.node import Node, Settings, SetupFailed
from aes67.selftest.plan import Case, case, sink, source
from aes67.selftest.progress import Progress
from aes67.selftest.samples import FORMATS

OK, FAILED, CANNOT_RUN = 0, 1, 2

CPU_LATENCY_MOST_US = 10_000
"""Of `cpu_latency_us`."""

LOSS_COUNTERS = (
    "lost", "late", "early", "duplicate", "reordered", "wrong_ssrc", "wrong_payload_type",
    "wrong_length", "malformed", "silent_frames", "sequence_errors", "timestamp_errors", "slips",
)  # fmt: skip
"""Counters of a sink that must not grow during the test."""


@dataclass(frozen=True)
class Outcome:
    """Result of one run."""

    case: Case
    seconds: float
    delay_frames: int
    lock_s: float
    clock: dict[str, Any]
    carried: Carried
    grown: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    skipped_ticks: int = 0
    late_ns: int = 0
    """The engine's greatest lateness since it started."""
    late_grew: bool = False
    """Whether that was during the test."""
    awake: bool = False
    """Whether idle processors were asked to wake up in time."""

    @property
    def ok(self) -> bool:
        """All samples identical, no counter of loss grew, no program complained."""
        return self.carried.ok and not self.grown

    def problems(self) -> list[str]:
        """What went wrong, in words."""
        words = [] if self.carried.verdict.ok else [self.carried.verdict.reason]
        words += self.carried.complaints
        words += [f"{name} grew by {count}" for name, count in self.grown.items()]
        if words and self.skipped_ticks:
            words.append(self._lateness())
        return words

    def _lateness(self) -> str:
        """How the engine was held up."""
        most = f"{'up to' if self.late_grew else 'less than'} {self.late_ns / 1e6:.1f} ms"
        return (
            f"the engine was kept from running for {most} at a time and did {self.skipped_ticks} "
            "ticks together with later ones: something else holds its processors, or the case is "
            "more than they can carry"
            + ("" if self.awake else "; --cpu-latency 0 rules out that idle ones wake up late")
        )

    def as_json(self) -> dict[str, Any]:
        """The outcome as plain data."""
        verdict = self.carried.verdict
        return {
            "ok": self.ok,
            "problems": self.problems(),
            "format": self.case.form.name,
            "rate": self.case.rate,
            "channels": self.case.channels,
            "codec": self.case.codec,
            "packet_frames": self.case.frames_per_packet,
            "streams": self.case.streams,
            "seconds": self.seconds,
            "frames": verdict.frames,
            "differing_frames": verdict.differing_frames,
            "places": verdict.places,
            "otherwise": verdict.otherwise,
            "differences": [
                {"frame": each.frame, "monotonic_ns": each.at_ns, "words": each.words}
                for each in verdict.differences
            ],
            "sink_delay_frames": self.delay_frames,
            "lock_s": round(self.lock_s, 2),
            "skipped_ticks": self.skipped_ticks,
            "engine_late_ms": round(self.late_ns / 1e6, 3),
            "clock": self.clock,
            "warnings": list(self.warnings),
        }


def losses(status: dict[str, Any]) -> dict[str, int]:
    """The counters of loss of all sinks, and the engine's and sources' of not sending."""
    found: dict[str, int] = {}
    for row in status["sinks"]:
        for name in LOSS_COUNTERS:
            found[f"sink {row['id']} {name}"] = int(row["counters"][name])
    for row in status["sources"]:
        for name in ("send_errors", "skipped_packets"):
            found[f"source {row['id']} {name}"] = int(row["counters"][name])
    return found


def set_up(node: Node, wanted: Case, delay_frames: int, name: str = "selftest") -> float:
    """Create the streams of a case and wait until they flow; seconds until the clock locked."""
    begun = time.monotonic()
    node.wait_locked()
    lock_s = time.monotonic() - begun
    for index in range(wanted.streams):
        node.client.put(f"/api/v1/sources/{index}", source(wanted, index, name))
        sdp = str(node.client.get(f"/api/source/sdp/{index}"))
        node.client.put(f"/api/v1/sinks/{index}", sink(wanted, index, sdp, delay_frames, name))
    node.wait_receiving(wanted.streams)
    time.sleep(0.3)  # let the latched flags and counters of the set-up settle
    return lock_s


def run_case(
    node: Node, wanted: Case, seconds: float, clients: Clients, delay_frames: int, shown: bool
) -> Outcome:
    """Set a case up on a running node, carry the signal, compare counters before and after."""
    lock_s = set_up(node, wanted, delay_frames)
    status = node.status()
    before, engine_before = losses(status), status["engine"]["counters"]
    progress = Progress("comparing", 1.0, shown)
    carried = carry(wanted, seconds, clients, node.environment, progress.show)
    progress.end()
    status = node.status()
    after, engine = losses(status), status["engine"]["counters"]
    grown = {name: after[name] - before[name] for name in after if after[name] > before[name]}
    return Outcome(
        wanted, seconds, delay_frames, lock_s, status["clock"], carried, grown,
        tuple(status["engine"].get("warnings") or ()),
        engine["skipped_ticks"] - engine_before["skipped_ticks"], engine["late_max_ns"],
        engine["late_max_ns"] > engine_before["late_max_ns"],
        "cpu_latency_us" in dict(node.settings.extra),
    )  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The command line of the self-test."""
    options = argparse.ArgumentParser(
        prog=os.environ.get("AES67_PROGRAM", "aes67 selftest"),
        description="Play and record through the network and compare every sample. Uses a daemon "
        "of its own; exit code 0: identical, 1: not, 2: could not run.",
    )
    case_options(options)
    options.add_argument("--duration", type=float, default=10.0, help="seconds (default 10)")
    options.add_argument("--period", type=int, help="ALSA period in frames (10 ms)")
    options.add_argument("--buffer", type=int, help="ALSA buffer in frames (4 periods)")
    options.add_argument("--mmap", action="store_true", help="aplay and arecord use mmap access")
    options.add_argument("--device", default="aes67", help="ALSA device (default aes67)")
    return options


def case_options(options: argparse.ArgumentParser) -> None:
    """Options that name a case; shared with the latency test."""
    options.add_argument("--format", default="S24_3LE", help=f"{', '.join(FORMATS)}")
    options.add_argument("--rate", type=int, default=48000, help="Hz (default 48000)")
    options.add_argument("--channels", type=int, default=2, help="1 to 64 (default 2)")
    options.add_argument("--codec", default="L24", help="L16, L24 (default), AM824")
    options.add_argument("--packet-time", default="1ms", help="125us, 250us, 333us, 1ms, 2ms, 4ms")
    options.add_argument("--sources", type=int, help="streams to split the channels into")
    options.add_argument("--delay", type=int, help="sink delay in frames (default: chosen)")
    options.add_argument("--ptp4l", action="store_true", help="a real ptp4l as grandmaster")
    options.add_argument("--cpu-latency", type=int, metavar="US",
                         help="cpu_latency_us of the daemon; 0: idle processors poll")  # fmt: skip
    options.add_argument("--json", action="store_true", help="print the result as JSON")


def require_programs(*names: str) -> None:
    """Raise SetupFailed naming the package when a program is missing."""
    for name in names:
        if shutil.which(name) is None:
            raise SetupFailed(f"{name} is not installed; the package is called alsa-utils")


def settings_for(wanted: Case, with_master: bool, cpu_latency_us: int | None = None) -> Settings:
    """A daemon that fits a case; where PTP's ports are not permitted it runs on the local clock.

    Raises:
        SetupFailed: there is to be a PTP master all the same.
    """
    permitted = place.ptp_permitted()
    if with_master and not permitted:
        raise SetupFailed("ptp4l needs PTP's ports 319 and 320: run it as root")
    lone = "gm" if permitted else "free"
    return Settings(
        rate=wanted.rate,
        clock_mode="ptp-slave" if with_master else lone,
        device_channels=max(2, wanted.channels),
        extra=() if cpu_latency_us is None else (("cpu_latency_us", cpu_latency_us),),
    )


def report(outcome: Outcome, where: str) -> str:
    """The outcome for people."""
    clock = outcome.clock
    lines = [
        f"{outcome.case.name()}, {outcome.seconds:g} s, in {where}",
        f"clock {clock['state']} ({clock['mode']}) {outcome.lock_s:.1f} s after the start, "
        f"sink delay {outcome.delay_frames} frames",
        *(f"note: {text}" for text in outcome.warnings),
    ]
    if outcome.ok:
        size = f"{outcome.carried.verdict.frames} frames x {outcome.case.channels} channels"
        lines.append(f"OK: {size}, every sample identical")
    else:
        lines += [f"FAILED: {text}" for text in outcome.problems()]
    return "\n".join(lines)


def wanted_case(arguments: argparse.Namespace) -> Case:
    """The case the options name; Refused when there is none such."""
    found = case(
        arguments.format, arguments.rate, arguments.channels, arguments.codec,
        arguments.packet_time, arguments.sources,
    )  # fmt: skip
    if arguments.delay is not None and arguments.delay < found.frames_per_packet:
        rule = f"at least one packet, {found.frames_per_packet} frames"
        raise Refused("delay", arguments.delay, rule)
    if arguments.cpu_latency is not None and not 0 <= arguments.cpu_latency <= CPU_LATENCY_MOST_US:
        raise Refused("cpu-latency", arguments.cpu_latency, f"0 to {CPU_LATENCY_MOST_US} us")
    return found


def check_duration(seconds: float) -> None:
    """Whether a self-test may take so long; Refused when not."""
    if not 0.1 <= seconds <= 86400:
        raise Refused("duration", seconds, "0.1 to 86400 seconds")


def check(arguments: argparse.Namespace) -> tuple[Case, Clients]:
    """What the options ask for; Refused when it cannot be."""
    wanted = wanted_case(arguments)
    check_duration(arguments.duration)
    period = wanted.rate // 100 if arguments.period is None else arguments.period
    if period < 1:
        raise Refused("period", period, "at least 1 frame")
    buffer = 4 * period if arguments.buffer is None else arguments.buffer
    if not 2 * period <= buffer <= 4 * wanted.rate:
        rule = f"at least two periods ({2 * period} frames), at most 4 s ({4 * wanted.rate})"
        raise Refused("buffer", buffer, rule)
    require_programs("aplay", "arecord")
    return wanted, Clients(arguments.device, period, buffer, arguments.mmap)


def run(arguments: argparse.Namespace, wanted: Case, clients: Clients, where: str) -> int:
    """The self-test proper, already in its place."""
    delay = arguments.delay or wanted.relaxed_delay()
    settings = settings_for(wanted, arguments.ptp4l, arguments.cpu_latency)
    with ExitStack() as stack:
        if arguments.ptp4l:
            stack.enter_context(Master("lo"))
        node = stack.enter_context(Node(settings))
        outcome = run_case(node, wanted, arguments.duration, clients, delay, not arguments.json)
    if arguments.json:
        print(json.dumps(outcome.as_json() | {"where": where}))
    else:
        print(report(outcome, where))
    return OK if outcome.ok else FAILED


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = parser().parse_args(given)
    try:
        with place.cleaning_up():
            wanted, clients = check(arguments)
            return run(arguments, wanted, clients, place.enter("aes67.selftest.audio", given))
    except Aes67Error as problem:
        print(f"{parser().prog}: {problem}", file=sys.stderr)
        return CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main())
