"""What `make validate` tries, in which order and with how much room, and what came of it.

Pure. A machine that stands still for 30 ms breaks a stream with 10 ms buffers, whatever runs on it;
so such a case is tried again with larger buffers, and its row says with which it passed. What was
heard with the smaller ones is judged by its instants: a fault of ours would also come at others
than those at which the machine stood still.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aes67.shm.layout import delay_limit_frames
from standstill import STALL_NS

WIRES = (
    ("S16_LE", "L16"), ("S16_LE", "L24"), ("S24_3LE", "L24"), ("S24_3LE", "L16"),
    ("S32_LE", "L24"), ("S32_LE", "AM824"),
)  # fmt: skip
"""Format and codec: equal widths, a wider codec, and a narrower one that cuts bits."""

SIZES = tuple(itertools.product(("2", "8", "64"), ("48000", "96000")))
"""Channels and rate."""

WAYS = tuple(itertools.product(("1ms", "125us"), ((), ("--ptp4l",))))
"""Packet time and grandmaster: our own, or a real ptp4l."""

LATENCIES = (
    ("48000", "48", "96", "1ms"), ("48000", "48", "144", "1ms"), ("48000", "12", "24", "125us"),
    ("48000", "24", "48", "250us"), ("96000", "96", "192", "1ms"),
)  # fmt: skip
"""Rate, period, buffer, packet time."""

BEFORE = 3
"""When so many cases, one after the other, needed more room, the next one begins there."""
REACH_NS = 60_000_000
"""What a stall breaks is recorded so much later at most: sink delay, ALSA buffers, the pipe."""
LOOK_AGAIN = 10
"""Of so many cases one begins with the least room all the same: the machine may be quieter now."""


@dataclass(frozen=True)
class Room:
    """How much a stream bears: the ALSA buffer in ms, and whether the sink's delay is the most."""

    buffer_ms: int
    most_delay: bool = False

    @property
    def name(self) -> str:
        """As the report has it."""
        return f"{self.buffer_ms} ms"

    def options(self, rate: int, channels: int) -> list[str]:
        """Options of `aes67 selftest`: four periods a buffer.

        A device of a fixed number of channels permits larger buffers.
        """
        period = rate * self.buffer_ms // 4000
        options = ["--period", str(period), "--buffer", str(4 * period)]
        if self.most_delay:
            options += ["--delay", str(delay_limit_frames(rate)), "--device", f"aes67:{channels}"]
        return options


ROOMS = (Room(10), Room(40), Room(200, most_delay=True))
NAMES = tuple(room.name for room in ROOMS)


@dataclass(frozen=True)
class Try:
    """One run of a case.

    `worst_ms` is how late a bare real-time timer ever was meanwhile, `lost_ms` for how long one
    was late in all; None where there is no right to such timers. `stalls` are from when until when
    one was late by more than streams bear (ns of CLOCK_MONOTONIC).
    """

    room: str
    result: dict[str, Any]
    worst_ms: float | None
    lost_ms: float | None
    load: float
    stalls: tuple[tuple[int, int], ...] = ()
    awake: bool = False
    """Idle processors polled."""

    @property
    def ok(self) -> bool:
        """Nothing was wrong."""
        return bool(self.result["ok"])

    @property
    def ran(self) -> bool:
        """Whether the test came to a verdict; else `problems` says why it could not be run."""
        return "format" in self.result

    @property
    def stood_still(self) -> bool:
        """Whether the machine stood still for longer than streams bear."""
        return self.worst_ms is not None and self.worst_ms * 1e6 > STALL_NS

    @property
    def excused(self) -> bool:
        """Failed, and the machine stood still: more room may show who is to blame."""
        return not self.fine and self.ran and self.stood_still

    @property
    def fine(self) -> bool:
        """Nothing was wrong but what the machine did."""
        return self.ok or self.explained

    @property
    def places(self) -> int:
        """At so many places the recording differs."""
        return int(self.result.get("places", 0))

    @property
    def covered(self) -> float:
        """Seconds within `REACH_NS` of a stall: the smaller a part of the test, the more it says
        that all places are there."""
        total, until = 0, 0
        for begin, end in sorted(self.stalls):
            total += max(0, end + REACH_NS - max(begin, until))
            until = max(until, end + REACH_NS)
        return total / 1e9

    @property
    def explained(self) -> bool:
        """Whether nothing was wrong but at stalls: each place came within `REACH_NS` of one."""
        instants = [each["monotonic_ns"] for each in self.result.get("differences", ())]
        return (
            self.places == len(instants) > 0
            and not self.result.get("otherwise")
            and all(
                any(begin <= instant <= end + REACH_NS for begin, end in self.stalls)
                for instant in instants
            )
        )


@dataclass(frozen=True)
class Row:
    """A case and its tries; `before` holds the stalls (ms) that made it begin with more room."""

    arguments: tuple[str, ...]
    tries: tuple[Try, ...]
    before: tuple[float, ...] = ()

    @property
    def last(self) -> Try:
        """The try that counts."""
        return self.tries[-1]

    @property
    def least(self) -> Try | None:
        """The try with the least room; None where that was left out."""
        return self.tries[0] if self.is_samples and self.tries[0].room == NAMES[0] else None

    @property
    def name(self) -> str:
        """What it is known by."""
        return " ".join(self.arguments)

    def option(self, name: str) -> str:
        """What the case has behind `--name`."""
        return self.arguments[self.arguments.index(f"--{name}") + 1]

    @property
    def is_samples(self) -> bool:
        """A self-test; else a latency test."""
        return self.arguments[0] == "selftest"

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def of(cls, data: dict[str, Any]) -> Row:
        """From plain data; KeyError or TypeError when it is not such a row."""
        tries = tuple(
            Try(**each | {"stalls": tuple(tuple(pair) for pair in each.get("stalls", ()))})
            for each in data["tries"]
        )
        return cls(tuple(data["arguments"]), tries, tuple(data["before"]))


def cases(seconds: int) -> Iterator[tuple[str, ...]]:
    """Arguments of every test, without its room, in an order an early end does little harm to.

    The first 36 have each format and codec with each number of channels and rate, then come the
    latency tests, then the other packet times and grandmasters of the 36.
    """
    length = ("--duration", str(seconds))
    for turn in range(len(WAYS)):
        for step, (number, (form, codec)) in itertools.product(range(len(SIZES)), enumerate(WIRES)):
            channels, rate = SIZES[(number + step) % len(SIZES)]
            packet, master = WAYS[(number + 2 * step + step // 2 + turn) % len(WAYS)]
            yield (
                "selftest", "--format", form, "--rate", rate, "--channels", channels,
                "--codec", codec, "--packet-time", packet, *length, *master,
            )  # fmt: skip
        if turn:
            continue
        for (rate, period, buffer, packet), master in itertools.product(
            LATENCIES, ((), ("--ptp4l",))
        ):
            yield (
                "latency", "--rate", rate, "--period", period, "--frames", buffer,
                "--packet-time", packet, *length, *master,
            )  # fmt: skip


def options(arguments: Sequence[str], room: Room) -> list[str]:
    """The command line of a case with a room; a latency test brings its own geometry."""
    if arguments[0] != "selftest":
        return list(arguments)
    rate = int(arguments[arguments.index("--rate") + 1])
    channels = int(arguments[arguments.index("--channels") + 1])
    return [*arguments, *room.options(rate, channels)]


def first_room(rows: Sequence[Row]) -> tuple[int, tuple[float, ...]]:
    """Index of the room to begin with after these self-tests, and their stalls if it is not 0."""
    latest = rows[-BEFORE:]
    untried = all(row.before for row in rows[-LOOK_AGAIN + 1 :])
    if len(latest) < BEFORE or (untried and len(rows) >= LOOK_AGAIN - 1):
        return 0, ()
    room = min(NAMES.index(row.last.room) for row in latest)
    stalls = tuple(row.last.worst_ms or 0.0 for row in latest)
    return (room, stalls) if room else (0, ())


def is_due(row: Row | None, *, again: bool) -> bool:
    """Whether a case is to be run: it was not yet, or, if such are repeated, it failed, was not
    tried with the least room, or failed there for a reason that is not known."""
    return row is None or (again and (not row.last.fine or is_open(row)))


def urgency(row: Row | None) -> int:
    """What is run first: what was not run, what failed, then what is only not known of the least
    room."""
    return 0 if row is None else 2 if row.last.fine else 1


def is_open(row: Row) -> bool:
    """Whether it is not known what the least room would do on a machine that keeps running."""
    least = row.least
    return row.is_samples and (least is None or not least.fine)


def with_least(row: Row, least: Try) -> Row:
    """The row with another try of the least room in the place of what was known of it."""
    tries = (least, *(each for each in row.tries if each.room != NAMES[0]))
    return Row(row.arguments, (least,) if least.ok else tries)


def verdict(row: Row) -> str:
    """What a self-test comes to: one of `VERDICTS`."""
    last = row.last
    if last.ok:
        return f"identical at {last.room}"
    if last.explained:
        return f"identical at {last.room}{BUT_AT_STALLS}"
    if not last.ran:
        return COULD_NOT_RUN
    if last.worst_ms is None:
        return UNKNOWN
    return STOOD_STILL if last.stood_still else FAILED


BUT_AT_STALLS = " but at stalls of the machine"
COULD_NOT_RUN = "could not be run"
FAILED = "failed though the machine ran"
STOOD_STILL = "failed while the machine stood still"
UNKNOWN = "failed, stalls of the machine not known"
VERDICTS = (
    *(f"identical at {name}{but}" for name in NAMES for but in ("", BUT_AT_STALLS)),
    FAILED, STOOD_STILL, UNKNOWN, COULD_NOT_RUN,
)  # fmt: skip


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """How many self-tests came to which verdict."""
    found = dict.fromkeys(VERDICTS, 0)
    for row in rows:
        found[verdict(row)] += 1
    return found


def time_text(seconds: float) -> str:
    """`45 s`, `12 min`, `2 h 05 min`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def rest_of(elapsed_s: float, finished: int, left: int) -> float:
    """Seconds that the cases left will take if they are like the finished ones."""
    return elapsed_s / finished * left
