"""`make demo`: the whole way of the sound, told as it happens, in under a minute.

aplay -> ALSA device "aes67" -> RTP over the network stack -> ALSA device "aes67" -> arecord, and a
proof that every sample is the same. Exit codes as the self-test's.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Any

from aes67.errors import Aes67Error
from aes67.selftest import place
from aes67.selftest.alsalib import Geometry
from aes67.selftest.audio import (
    CANNOT_RUN,
    FAILED,
    OK,
    Outcome,
    check_duration,
    require_programs,
    run_case,
    settings_for,
)
from aes67.selftest.carry import Clients, command
from aes67.selftest.latency import Measurement, measure
from aes67.selftest.node import Node
from aes67.selftest.plan import Case, case

SECONDS = 10.0
LATENCY_SECONDS = 5.0
TRIES = 3
"""A virtual machine may stand still for longer than the sink's delay; that is no fault of ours."""


def step(number: int, text: str) -> None:
    """Announce a step."""
    print(f"\n{number}. {text}", flush=True)


def tell(text: str) -> None:
    """Say something about the step."""
    print(f"   {text}", flush=True)


def demonstrate(wanted: Case, seconds: float, where: str) -> int:
    """The story; returns the exit code."""
    clients = Clients(period_frames=480, buffer_frames=1920)
    print("aes67: from one program to another over the network, and nothing is changed on the way.")
    print(f"This runs in {where} with a daemon of its own; your own set-up is not touched.")

    settings = settings_for(wanted, with_master=False)
    role = "as PTP grandmaster (a lone box has nobody else to follow)"
    if settings.clock_mode == "free":
        role = "on the local clock (PTP's ports need root)"
    step(1, f"Start aes67-daemon {role}.")
    begun = time.monotonic()
    with Node(settings) as node:
        node.wait_locked()
        tell(f"running and locked after {time.monotonic() - begun:.1f} s")

        step(2, f"Create a source and a sink: {wanted.name()}.")
        tell(f"aplay   {shlex.join(command('aplay', wanted, clients)[2:])}")
        tell("   -> ALSA device -> RTP packets on the network -> ALSA device ->")
        tell(f"arecord {shlex.join(command('arecord', wanted, clients)[2:])}")

        step(3, f"Play {seconds:g} s of noise that uses every bit, record it, compare.")
        for remaining in reversed(range(TRIES)):
            outcome = run_case(node, wanted, seconds, clients, wanted.relaxed_delay(), shown=True)
            tell_outcome(outcome, node.status())
            if outcome.ok or not outcome.skipped_ticks or not remaining:
                break
            tell("This machine stood still meanwhile, so once more:")

        step(4, "Measure the time from writing a frame to reading it back (2 ms buffers).")
        geometry = Geometry(
            wanted.form.name, wanted.rate, wanted.channels, 48, 96, wanted.form.sample_bytes
        )
        found = measure(node, wanted, geometry, wanted.least_delay(), LATENCY_SECONDS, shown=True)
        tell_latency(found)

        step(5, "The clock.")
        tell_clock(node.status()["clock"])

    print()
    if outcome.ok:
        frames = outcome.carried.verdict.frames
        print(f"OK: {frames} frames x {wanted.channels} channels, every sample identical.")
        print("Next: make run, and play something of your own.")
        return OK
    print("FAILED: not every sample arrived; the lines with ! say why.")
    if outcome.skipped_ticks:
        print("Something else keeps this machine from real-time work. Try again when it is quiet;")
        print('"When it fails" in docs/selftest.md says what to look for.')
    return FAILED


def tell_outcome(outcome: Outcome, status: dict[str, Any]) -> None:
    """What the comparison found, and what went over the wire."""
    verdict = outcome.carried.verdict
    source, sink = status["sources"][0], status["sinks"][0]["counters"]
    tell(f"{verdict.frames} frames compared: {verdict.reason if verdict.ok else 'not all alike'}")
    tell(
        f"{sink['packets']} packets from {source['address']}: "
        f"lost {sink['lost']}, late {sink['late']}, reordered {sink['reordered']}"
    )
    for problem in outcome.problems():
        tell(f"! {problem}")


def tell_latency(found: Measurement) -> None:
    """The latency beside its floor."""
    if found.latency is None:
        tell("! no frame came back")
        return
    value = found.latency
    tell(
        f"median {value.median_ms:.2f} ms, p99 {value.p99_ms:.2f} ms, max {value.max_ms:.2f} ms; "
        f"the floor of this geometry is {found.floor_ms:.2f} ms"
    )
    if found.xruns:
        words = "busy machine" if found.real_time else "no right to real-time scheduling here"
        tell(f"{found.xruns} xruns at this tight buffer ({words}); larger buffers have none")


def tell_clock(clock: dict[str, Any]) -> None:
    """State and figures of the clock."""
    tell(f"{clock['state']} ({clock['mode']}), grandmaster {clock.get('gmid') or 'none'}")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = argparse.ArgumentParser(prog="make demo", description=__doc__)
    options.add_argument("--duration", type=float, default=SECONDS, help="seconds of audio")
    arguments = options.parse_args(given)
    try:
        with place.cleaning_up():
            check_duration(arguments.duration)
            require_programs("aplay", "arecord")
            where = place.enter("aes67.selftest.demo", given)
            return demonstrate(case("S24_3LE", 48000, 2, "L24", "1ms"), arguments.duration, where)
    except Aes67Error as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main())
