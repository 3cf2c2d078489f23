"""`media-send`, `media-receive`: CPU time per packet of the engine's tick against the C loop's.

In the ratio: everything the thread does in user space and in the kernel, with the network stack
down to the other end of the veth pair (its receive path runs in the sender's time), and all the
wake-ups. Not in it: other threads of the engine, control, PTP, the applications. The engine does
what the C loop does not: clock page, judging clients' headers, counters, meters, lookup in a table
that may change, losses and duplicates, silence for what is missing.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.network import Link, inside, link
from bench.profile import user_share
from bench.programs import HERE, program
from bench.rounds import Effort, Figures, alternate, median, ratios, spread, verdict

STREAMS, CHANNELS, FRAMES, RATE = 64, 8, 48, 48_000
RING_CHANNELS = 64
PRIORITY, GENERATOR_PRIORITY = 70, 60
LIMIT, GOAL = 1.25, 1.15
START_SECONDS = 120
PROFILE_SECONDS = 3


def core_for(role: str) -> int:
    """The core a thread is bound to, so that generator and receiver never share one; -1: any."""
    cores = sorted(os.sched_getaffinity(0))
    return -1 if len(cores) < 2 else cores[-1] if role == "measured" else cores[0]


def bound(role: str) -> list[str]:
    """Command prefix that binds a program to its core."""
    core = core_for(role)
    return [] if core < 0 else ["taskset", "-c", str(core)]


def c_loop(
    namespace: str, mode: str, interface: str, seconds: float, role: str = "measured"
) -> list[str]:
    """Command line of the C loop in a namespace."""
    priority = PRIORITY if role == "measured" else GENERATOR_PRIORITY
    numbers = [STREAMS, CHANNELS, FRAMES, RATE, max(1, round(seconds)), priority, RING_CHANNELS]
    words = [*bound(role), program("cloop"), mode, interface, *map(str, numbers)]
    return inside(namespace, *words)


def engine(namespace: str, mode: str, interface: str, address: str, seconds: float) -> list[str]:
    """Command line of the engine alone in a namespace."""
    return inside(
        namespace, sys.executable, "-m", "bench.engine_side", mode, "--interface", interface,
        "--address", address, "--streams", str(STREAMS), "--channels", str(CHANNELS),
        "--frames", str(FRAMES), "--seconds", str(seconds), "--priority", str(PRIORITY),
        "--core", str(core_for("measured")),
    )  # fmt: skip


def answer(
    command: list[str], timeout: float, accepted: tuple[int, ...] = (0,)
) -> dict[str, Any]:
    """Run a command and read the JSON line it prints; CalledProcessError on other exit codes."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=timeout, cwd=HERE.parent, check=False
    )
    if done.returncode not in accepted:
        raise subprocess.CalledProcessError(done.returncode, command)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


class Generator:
    """The C loop sending from the other end while the block runs."""

    def __init__(self, ends: Link, seconds: float) -> None:
        command = c_loop(ends.a, "send", ends.interface_a, seconds, "generator")
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def __enter__(self) -> None:
        time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def send_sides(ends: Link, seconds: float) -> tuple[Callable[[], Figures], Callable[[], Figures]]:
    """Measurements of both, sending."""
    place = (ends.a, "send", ends.interface_a)
    return (
        lambda: answer(engine(*place, "10.77.0.1", seconds), START_SECONDS + seconds),
        lambda: answer(c_loop(*place, seconds), START_SECONDS + seconds),
    )


def receive_sides(
    ends: Link, seconds: float
) -> tuple[Callable[[], Figures], Callable[[], Figures]]:
    """Measurements of both, receiving what the C loop sends from the other namespace."""
    place = (ends.b, "receive", ends.interface_b)

    def ours() -> Figures:
        with Generator(ends, START_SECONDS + seconds):
            return answer(engine(*place, "10.77.0.2", seconds), START_SECONDS + seconds)

    def theirs() -> Figures:
        with Generator(ends, START_SECONDS + seconds):
            return answer(c_loop(*place, seconds), START_SECONDS + seconds)

    return ours, theirs


def complaints(ours: list[dict[str, Any]], mode: str, seconds: float) -> list[str]:
    """What would make the comparison unfair: packets not sent, not received, not heard."""
    wanted = STREAMS * RATE // FRAMES * seconds
    found = []
    for each in ours:
        if each["packets"] < wanted * 0.98:
            found.append(f"{each['packets']} of {wanted:.0f} packets")
        grown = each["counters"]
        names = ("send_errors", "skipped_packets", "client_silence") if mode == "send" else (
            "lost", "late", "early", "unmatched", "malformed"
        )  # fmt: skip
        found += [f"{name} {grown[name]}" for name in names if grown[name]]
    return found


def without_kernel(ends: Link, mode: str) -> dict[str, object] | None:
    """Share of user space in both, from a profile of each; None where perf cannot profile."""
    namespace = ends.a if mode == "send" else ends.b
    interface = ends.interface_a if mode == "send" else ends.interface_b
    address = "10.77.0.1" if mode == "send" else "10.77.0.2"

    def both() -> tuple[float | None, float | None]:
        command = engine(namespace, mode, interface, address, PROFILE_SECONDS)
        mine = answer([*command, "--profile"], START_SECONDS)["user_share"]
        process = subprocess.Popen(
            c_loop(namespace, mode, interface, PROFILE_SECONDS + 2), stdout=subprocess.DEVNULL
        )
        try:
            time.sleep(1)
            return mine, user_share(process.pid, PROFILE_SECONDS, process=True)
        finally:
            process.kill()
            process.wait()

    if mode == "send":
        mine, theirs = both()
    else:
        with Generator(ends, 2 * START_SECONDS):
            mine, theirs = both()
    return None if mine is None or theirs is None else {"engine": mine, "c_loop": theirs}


def measure(mode: str, effort: Effort) -> dict[str, object]:
    """`send` or `receive`: medians, the ratio of each round, the verdict."""
    with link() as ends:
        sides = send_sides if mode == "send" else receive_sides
        answer(engine(ends.a, "send", ends.interface_a, "10.77.0.1", 0.1), START_SECONDS)  # warm
        ours, theirs = alternate(*sides(ends, effort.seconds), effort.rounds)
        shares = without_kernel(ends, mode)
    ratio = ratios(ours, theirs, "ns_per_packet")
    engine_ns, c_ns = median(ours, "ns_per_packet"), median(theirs, "ns_per_packet")
    result: dict[str, object] = {
        "streams": STREAMS, "channels": CHANNELS, "frames": FRAMES,
        "rounds": effort.rounds, "seconds": effort.seconds,
        "engine_ns_per_packet": round(engine_ns), "c_ns_per_packet": round(c_ns),
        "ratio": spread(ratio) | verdict(statistics.median(ratio), LIMIT, GOAL),
        "wakes_per_ms": round(statistics.median(
            each["counters"]["ticks"] for each in ours  # type: ignore[index]
        ) / effort.seconds / 1000, 2),
        "complaints": complaints(ours, mode, effort.seconds),  # type: ignore[arg-type]
    }  # fmt: skip
    if shares is not None:
        user = {
            "engine": engine_ns * shares["engine"],  # type: ignore[operator]
            "c_loop": c_ns * shares["c_loop"],  # type: ignore[operator]
        }
        result["user_ns_per_packet"] = {name: round(value) for name, value in user.items()}
        result["user_ratio"] = round(user["engine"] / user["c_loop"], 3)
    return result
