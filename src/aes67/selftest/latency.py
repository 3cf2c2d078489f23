"""`aes67 latency`: the time from `snd_pcm_writei` of a frame to `snd_pcm_readi` of it.

A full-duplex client writes frames that carry their number, reads them back from the network, and
looks up when it wrote them. Exit code 0: measured without an xrun; 1: xruns or nothing came back;
2: could not run.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from aes67.errors import Aes67Error, Refused
from aes67.selftest import place
from aes67.selftest.alsalib import CAPTURE, PLAYBACK, AlsaError, AlsaLibrary, Geometry, Pcm
from aes67.selftest.audio import (
    CANNOT_RUN,
    FAILED,
    OK,
    case_options,
    losses,
    set_up,
    settings_for,
    wanted_case,
)
from aes67.selftest.master import Master
from aes67.selftest.node import Node
from aes67.selftest.plan import Case
from aes67.selftest.progress import Progress
from aes67.selftest.samples import SampleFormat, Samples, decode, encode
from aes67.selftest.tags import Latency, floor_ms, numbers_of, summary, tagged

PRIORITY = 45
WARM_UP_S = 0.5
MAX_XRUNS = 1000


@dataclass
class Run:
    """What the loop collected: when each chunk was written, what was read when.

    `read` holds the time, the newest frame written by then, and the bytes of channel 0.
    """

    written_ns: list[int] = field(default_factory=list)
    read: list[tuple[int, int, bytes]] = field(default_factory=list)
    xruns: int = 0


def become_real_time() -> bool:
    """Take SCHED_FIFO and lock memory where that is permitted; whether it was."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError:
        return False
    return True


def be_ordinary() -> None:
    """Back to the default scheduling class."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def loop(
    playback: Pcm, capture: Pcm, form: SampleFormat, seconds: float, progress: Progress
) -> Run:
    """Read a period, write a period, until the time is over; an xrun restarts both."""
    geometry = playback.geometry
    period, channels = geometry.period_frames, geometry.channels
    into = bytearray(period * channels * geometry.sample_bytes)
    first_channel = np.frombuffer(into, np.uint8).reshape(period, -1)[:, : geometry.sample_bytes]
    run = Run()
    end = time.monotonic_ns() + round(seconds * 1e9)
    _start(playback, capture)
    while time.monotonic_ns() < end and run.xruns < MAX_XRUNS:
        chunk = encode(tagged(len(run.written_ns) * period, period, channels), form)
        try:
            capture.wait()
            if capture.read(into, period) != period:
                capture.read(into, period)  # a short read hides an error, which this call tells
                continue
            now = time.monotonic_ns()
            run.read.append((now, len(run.written_ns) * period - 1, first_channel.tobytes()))
            run.written_ns.append(time.monotonic_ns())
            playback.write(chunk, period)
        except AlsaError as problem:
            if not problem.is_xrun:
                raise
            run.xruns += 1
            _start(playback, capture)
        progress.show(1 - (end - time.monotonic_ns()) / (seconds * 1e9))
    playback.drop()
    capture.drop()
    return run


def _start(playback: Pcm, capture: Pcm) -> None:
    """Fill the playback buffer with silence and start both."""
    geometry = playback.geometry
    for pcm in (playback, capture):
        pcm.drop()
        pcm.prepare()
    silence = bytes(geometry.buffer_frames * geometry.channels * geometry.sample_bytes)
    playback.write(silence, geometry.buffer_frames)
    playback.start()
    capture.start()


def latencies(run: Run, form: SampleFormat, period_frames: int) -> Latency | None:
    """Latency of every frame that came back, without the first half second."""
    written = np.array(run.written_ns, dtype=np.int64)
    found = []
    warm = run.read[0][0] + round(WARM_UP_S * 1e9) if run.read else 0
    for now, newest, data in run.read:
        if now < warm:
            continue
        samples: Samples = decode(data, form, 1)
        numbers = numbers_of(samples, newest)
        numbers = numbers[numbers >= 0]
        found.append(now - written[numbers // period_frames])
    return summary(np.concatenate(found) if found else np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class Measurement:
    """Result of a latency test."""

    case: Case
    geometry: Geometry
    delay_frames: int
    seconds: float
    latency: Latency | None
    xruns: int
    real_time: bool
    grown: dict[str, int]
    clock: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def floor_ms(self) -> float:
        """The physical limit for this geometry."""
        packet = self.case.frames_per_packet
        return floor_ms(self.case.rate, self.geometry.period_frames, packet)

    @property
    def ok(self) -> bool:
        """Frames came back and there was no xrun."""
        return self.latency is not None and self.xruns == 0

    def as_json(self) -> dict[str, Any]:
        """The measurement as plain data."""
        return {
            "ok": self.ok,
            "format": self.case.form.name,
            "rate": self.case.rate,
            "channels": self.case.channels,
            "codec": self.case.codec,
            "packet_frames": self.case.frames_per_packet,
            "buffer_frames": self.geometry.buffer_frames,
            "period_frames": self.geometry.period_frames,
            "sink_delay_frames": self.delay_frames,
            "seconds": self.seconds,
            "floor_ms": round(self.floor_ms, 3),
            "latency": None if self.latency is None else {
                name: round(value, 3) for name, value in asdict(self.latency).items()
            },
            "xruns": self.xruns,
            "real_time": self.real_time,
            "counters": self.grown,
            "clock": self.clock,
            "warnings": list(self.warnings),
        }  # fmt: skip


def measure(node: Node, wanted: Case, geometry: Geometry, delay: int, seconds: float,
            shown: bool) -> Measurement:  # fmt: skip
    """Set the streams up on a running node and measure."""
    set_up(node, wanted, delay)
    os.environ.update(node.environment)
    alsa = AlsaLibrary()
    before = losses(node.status())
    progress = Progress("measuring", 1.0, shown)
    with (
        Pcm(alsa, "aes67", CAPTURE, geometry) as capture,
        Pcm(alsa, "aes67", PLAYBACK, geometry) as playback,
    ):
        gc.collect()
        gc.disable()
        real_time = become_real_time()
        try:
            run = loop(playback, capture, wanted.form, seconds + WARM_UP_S, progress)
        finally:
            if real_time:
                be_ordinary()
            gc.enable()
            progress.end()
    status = node.status()
    after = losses(status)
    grown = {name: after[name] - before[name] for name in after if after[name] > before[name]}
    result = latencies(run, wanted.form, geometry.period_frames)
    return Measurement(
        wanted, geometry, delay, seconds, result, run.xruns, real_time, grown, status["clock"],
        tuple(status["engine"].get("warnings") or ()),
    )  # fmt: skip


def report(found: Measurement, where: str) -> str:
    """The measurement for people."""
    geometry = found.geometry
    lines = [
        f"{found.case.name()}, buffer {geometry.buffer_frames}, period {geometry.period_frames} "
        f"frames, sink delay {found.delay_frames} frames, {found.seconds:g} s, in {where}"
    ]
    if not found.real_time:
        lines.append("note: no right to real-time scheduling; expect a longer tail")
    lines += [f"note: {text}" for text in found.warnings]
    if found.latency is None:
        lines.append("FAILED: no frame came back")
    else:
        value = found.latency
        lines.append(
            f"latency  min {value.min_ms:.3f}  median {value.median_ms:.3f}  "
            f"p99 {value.p99_ms:.3f}  max {value.max_ms:.3f} ms   over {value.frames} frames"
        )
    lines.append(f"floor    {found.floor_ms:.3f} ms   (playback period + packet + capture period)")
    why = "   (dropouts: the buffer is too small for this machine as busy as it is)"
    lines.append(f"xruns    {found.xruns}{why if found.xruns else ''}")
    lines += [f"counter  {name} grew by {count}" for name, count in found.grown.items()]
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line of the latency test."""
    options = argparse.ArgumentParser(
        prog=os.environ.get("AES67_PROGRAM", "aes67 latency"),
        description="Measure from writing a frame to the ALSA device to reading it back from the "
        "network. Uses a daemon of its own; exit code 0: no xrun, 1: xruns, 2: could not run.",
    )
    case_options(options)
    options.add_argument("--frames", type=int, default=96, help="ALSA buffer (default 96)")
    options.add_argument("--period", type=int, default=48, help="ALSA period (default 48)")
    options.add_argument("--duration", type=float, default=10.0, help="seconds (default 10)")
    return options


def check(arguments: argparse.Namespace) -> tuple[Case, Geometry]:
    """What the options ask for; Refused when it cannot be."""
    wanted = wanted_case(arguments)
    if not 0.5 <= arguments.duration <= 600:
        raise Refused("duration", arguments.duration, "0.5 to 600 seconds")
    period = arguments.period
    if period < 1:
        raise Refused("period", period, "at least 1 frame")
    if not 2 * period <= arguments.frames <= wanted.rate:
        rule = f"at least two periods ({2 * period} frames), at most a second ({wanted.rate})"
        raise Refused("frames", arguments.frames, rule)
    form = wanted.form
    geometry = Geometry(
        form.name, wanted.rate, wanted.channels, period, arguments.frames, form.sample_bytes
    )
    return wanted, geometry


def run_test(
    arguments: argparse.Namespace, wanted: Case, geometry: Geometry, where: str
) -> int:
    """The latency test proper, already in its place."""
    delay = arguments.delay or wanted.least_delay()
    settings = settings_for(wanted, arguments.ptp4l, arguments.cpu_latency)
    with ExitStack() as stack:
        if arguments.ptp4l:
            stack.enter_context(Master("lo"))
        node = stack.enter_context(Node(settings))
        found = measure(node, wanted, geometry, delay, arguments.duration, not arguments.json)
    if arguments.json:
        print(json.dumps(found.as_json() | {"where": where}))
    else:
        print(report(found, where))
    return OK if found.ok else FAILED


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = parser().parse_args(given)
    try:
        with place.cleaning_up():
            wanted, geometry = check(arguments)
            where = place.enter("aes67.selftest.latency", given)
            return run_test(arguments, wanted, geometry, where)
    except Aes67Error as problem:
        print(f"{parser().prog}: {problem}", file=sys.stderr)
        return CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main())
