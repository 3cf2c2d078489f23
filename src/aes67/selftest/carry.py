"""Play the test signal with a real aplay, record it with a real arecord, judge while it runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from aes67.selftest import child
from aes67.selftest.compare import Comparator, Verdict
from aes67.selftest.place import real_time_prefix, tied_prefix
from aes67.selftest.plan import Case
from aes67.selftest.signal import Signal, chunks

PIPE_BYTES = 1 << 20
LEAD_S = 0.2
TAIL_S = 0.2
SLACK_S = 10.0
SAID_LINES = 10
"""Of what a program complained about, so many kinds of lines are shown."""
_FIGURES = re.compile(r"[\d.]+")


@dataclass(frozen=True)
class Clients:
    """How the ALSA programs are started."""

    device: str = "aes67"
    period_frames: int = 480
    buffer_frames: int = 1920
    mmap: bool = False


@dataclass(frozen=True)
class Carried:
    """What came of it: the verdict on the samples, and what the programs complained about."""

    verdict: Verdict
    complaints: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Every sample identical and nobody complained."""
        return self.verdict.ok and not self.complaints


def carry(
    case: Case,
    seconds: float,
    clients: Clients,
    environment: Mapping[str, str],
    progress: Callable[[float], None] = lambda share: None,
    recorder_environment: Mapping[str, str] | None = None,
) -> Carried:
    """Carry `seconds` of the signal through the device; blocks until it is judged.

    The recorder may have an environment of its own, to record from another daemon's device.
    """
    signal = Signal(frames=round(seconds * case.rate), channels=case.channels)
    comparator = Comparator(signal, case.form, case.wire_bits)
    lead, tail = round(LEAD_S * case.rate), round(TAIL_S * case.rate)
    pieces = chunks(signal, case.form, lead, tail)
    prefix = [*tied_prefix(), *real_time_prefix()]
    recorder_environment = recorder_environment or environment
    recorder = _start([*prefix, *command("arecord", case, clients)], recorder_environment)
    player: subprocess.Popen[bytes] | None = None
    try:
        assert recorder.stdout is not None
        _await_first_bytes(recorder)
        player = _start([*prefix, *command("aplay", case, clients)], environment)
        threading.Thread(target=_feed, args=(player, pieces), daemon=True).start()
        _judge(recorder, player, comparator, signal.frames + tail, seconds + SLACK_S, progress)
    finally:
        complaints = [_end("arecord", recorder)]
        if player is not None:
            complaints.append(_end("aplay", player))
    return Carried(comparator.verdict(), tuple(text for text in complaints if text))


def command(program: str, case: Case, clients: Clients) -> list[str]:
    """The command line of aplay or arecord for a case, on standard input or output."""
    return [
        program, "-q", "-D", clients.device, "-t", "raw",
        "-f", case.form.name, "-r", str(case.rate), "-c", str(case.channels),
        f"--period-size={clients.period_frames}", f"--buffer-size={clients.buffer_frames}",
        *(["-M"] if clients.mmap else []),
    ]  # fmt: skip


def _start(command_line: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A player, fed through a pipe, or a recorder that writes into one."""
    feeds = "aplay" in command_line
    process = subprocess.Popen(
        command_line,
        stdin=subprocess.PIPE if feeds else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if feeds else subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        bufsize=0,
    )
    pipe = process.stdin if feeds else process.stdout
    if pipe is not None:
        with contextlib.suppress(OSError):  # over the user's pipe quota: less to spare, that's all
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return process


def _await_first_bytes(recorder: subprocess.Popen[bytes]) -> None:
    """Wait until the recorder runs: nothing may be played before that."""
    assert recorder.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(recorder.stdout, selectors.EVENT_READ)
        selector.select(SLACK_S)


def _feed(player: subprocess.Popen[bytes], pieces: Iterable[bytes]) -> None:
    """Write the signal to the player; it ends (drains) at the end of the pipe."""
    pipe = player.stdin
    assert pipe is not None
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[pipe.write(view) :]
    except (OSError, ValueError):
        pass  # the player died, or was ended: its own words are the complaint
    finally:
        pipe.close()


def _judge(
    recorder: subprocess.Popen[bytes],
    player: subprocess.Popen[bytes],
    comparator: Comparator,
    wanted_frames: int,
    timeout_s: float,
    progress: Callable[[float], None],
) -> None:
    """Read the recorder until the signal and the silence after it have been seen."""
    assert recorder.stdout is not None
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        selector.register(recorder.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if not selector.select(0.5):
                if recorder.poll() is not None:
                    return
                continue
            data = os.read(recorder.stdout.fileno(), PIPE_BYTES)
            if not data:
                return
            comparator.feed(data, time.monotonic_ns())
            verdict_frames = comparator.compared_frames + comparator.tail_frames
            progress(verdict_frames / wanted_frames)
            if verdict_frames >= wanted_frames:
                return
            if player.poll() not in (None, 0):
                return


def _end(name: str, process: subprocess.Popen[bytes]) -> str:
    """Stop a program; what it said and how it ended, empty when all was well."""
    expected = {0}
    if process.poll() is None:
        if name == "aplay":
            try:
                process.wait(2.0)
            except subprocess.TimeoutExpired:
                process.terminate()
        else:
            process.terminate()
            expected |= {1, -15, 143}  # arecord answers SIGTERM with any of these
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdin = None  # communicate() would trip over one that is closed
    try:
        _, said = process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill(process)
        return f"{name} did not end and was killed"
    if words := summary(said.decode("utf-8", "replace")):
        return f"{name}: {words}"
    return "" if process.returncode in expected else f"{name} ended with {process.returncode}"


def summary(said: str) -> str:
    """What a program said in one line: the first of each kind of line, and how many more came.

    Lines are of one kind when they differ in figures only: a buffer that is too small is said by
    each of thousands of underruns.
    """
    kinds: dict[str, tuple[str, int]] = {}
    for line in filter(_matters, said.splitlines()):
        kind = _FIGURES.sub("#", line)
        first, count = kinds.get(kind, (line, 0))
        kinds[kind] = first, count + 1
    lines = [
        first if count == 1 else f"{first} (and {count - 1} more)"
        for first, count in kinds.values()
    ]
    more = len(lines) - SAID_LINES
    return " / ".join([*lines[:SAID_LINES], *([f"{more} other lines"] if more > 0 else [])])


def _matters(line: str) -> bool:
    """Whether it is more than arecord's answer to the signal that ends it."""
    expected = ("Aborted by signal", "Interrupted system call")
    return bool(line.strip()) and not any(words in line for words in expected)
