"""The page that `make validate` prints: what came of each case, with which buffer, beside what."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from aes67.selftest.plan import case, frames_per_packet, packet_time
from e2e.validate_plan import NAMES, REACH_NS, ROOMS, Row, Try, counts, is_open, verdict
from standstill import STALL_NS

SAID = 200
"""Characters of what went wrong in a cell."""

EXPLANATION = f"""\
Every sample of the given time is compared between a real aplay and a real arecord, with no counter
of loss grown and no xrun. A case is tried with ALSA buffers of {NAMES[0]} first (sink delay 20 ms).
Bare real-time timers, none of our code and above all its threads, run beside each whole test;
*stood still* is how late one of them ever was, and for how long one was late in all; a *stall* is a
moment at which one was late by more than {STALL_NS // 10**6} ms. What differs is judged by its
instant: *only at stalls* means that each place was recorded within {REACH_NS // 10**6} ms of a
stall, and that all the rest is identical, down to the last sample. A case that fails otherwise
while the machine stood still is tried again with buffers of {NAMES[1]}, then of {NAMES[2]} and the
largest sink delay; one that fails while the machine runs is not. *Buffer* is the one of the last
try; what came of the ones before it stands in the last column.

Where *polling* stands beside the stalls, idle processors polled instead of halting
(`/dev/cpu_dma_latency` held at 0, as cyclictest does): a virtual processor that halts is given back
by a busy host 10 to 30 ms late. Older tries were without, and the instants of what differed were
not kept."""


def report(done: Mapping[str, Row], every: Sequence[Sequence[str]], facts: Sequence[str]) -> str:
    """The report as a page: of every case, in their order, what has been done of it."""
    planned = sum(each[0] == "selftest" for each in every)
    rows = [done[name] for name in map(" ".join, every) if name in done]
    samples = [row for row in rows if row.is_samples]
    delays = [row for row in rows if not row.is_samples]
    lines = [
        "# Validation",
        "",
        "Printed by `make validate`. Machine: " + "; ".join(facts) + ".",
        "The load average stands beside each case: what else the machine was doing.",
        "",
        "## Every sample identical",
        "",
        *(f"* {words}" for words in summary(samples, planned)),
        "",
        EXPLANATION,
        "",
        *head("format codec rate channels packet streams clock s result buffer stood-still load "
              "earlier"),
        *(sample_line(row) for row in samples),
        "",
        "## Latency from writing a frame to reading it",
        "",
        "In ms; period, buffer and packet in frames. Each is tried once: an xrun while the machine "
        "stood still says nothing about the buffer.",
        "",
        *head("rate period buffer packet clock floor min median p99 max xruns stood-still load"),
        *(delay_line(row) for row in delays),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def summary(samples: Sequence[Row], planned: int) -> list[str]:
    """Sentences that count the verdicts; the ones nobody needs are left out."""
    found = counts(samples)
    lines = [f"{len(samples)} of {planned} cases run."]
    lines += [
        f"{words}: {count}"
        for words, count in found.items()
        if count or words in (f"identical at {room.name}" for room in ROOMS)
    ]
    if explained := [row.least for row in samples if row.least and row.least.explained]:
        lines.append(
            f"at {NAMES[0]} identical but only at stalls of the machine: {len(explained)}, with "
            f"{sum(each.places for each in explained)} places and "
            f"{sum(len(each.stalls) for each in explained)} stalls; "
            f"{sum(each.covered for each in explained):.0f} of "
            f"{sum(each.result['seconds'] for each in explained):.0f} s were near one"
        )
    if unknown := sum(map(is_open, samples)):
        lines.append(
            f"not tried at {NAMES[0]}, or differing there for a reason that is not known: "
            f"{unknown} (`--again` repeats them)"
        )
    return lines


def head(words: str) -> list[str]:
    """The first two lines of a table with these columns."""
    names = [word.replace("-", " ") for word in words.split()]
    return [line(names), "|" + "---|" * len(names)]


def line(cells: Iterable[object]) -> str:
    """A line of a table."""
    return "| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |"


def sample_line(row: Row) -> str:
    """A self-test as a line of the table."""
    last = row.last
    words = "identical" if last.ok else f"{verdict(row)}: {said(last)}"
    if last.explained:
        words = f"identical but: {said(last)}"
    wanted = case(
        row.option("format"), int(row.option("rate")), int(row.option("channels")),
        row.option("codec"), row.option("packet-time"),
    )  # fmt: skip
    cells = [
        wanted.form.name, wanted.codec, wanted.rate, wanted.channels, wanted.frames_per_packet,
        wanted.streams, master_of(row), row.option("duration"), words, last.room,
        stood_still(last), last.load, earlier(row),
    ]  # fmt: skip
    return line(cells)


def earlier(row: Row) -> str:
    """What became of the tries before the last one, and why there was none where there was none."""
    words = [
        f"{each.room}: stood still {stood_still(each)}, {said(each)}" for each in row.tries[:-1]
    ]
    if row.before:
        stalls = ", ".join(f"{stall:.0f}" for stall in row.before)
        words.insert(0, f"not tried at {NAMES[0]}: the machine stood still for {stalls} ms in the "
                        "cases before")  # fmt: skip
    return "; ".join(words)


def said(each: Try) -> str:
    """What was wrong in a try, cut to what a cell holds."""
    if each.explained:
        wrong = f"{each.result['differing_frames']} frames in {each.places} places"
        near = f"{len(each.stalls)}, {each.covered:.1f} s were near one"
        return f"{wrong} differ, only at stalls ({near})"
    return "; ".join(each.result.get("problems", ()))[:SAID]


def stood_still(each: Try) -> str:
    """`34.2 ms, 120 ms in all`."""
    if each.worst_ms is None or each.lost_ms is None:
        return "not known"
    polling = ", polling" if each.awake else ""
    return f"{each.worst_ms:.1f} ms, {each.lost_ms:.0f} ms in all{polling}"


def delay_line(row: Row) -> str:
    """A latency test as a line of the table."""
    result = row.last.result
    found = result.get("latency") or {}
    rate = int(row.option("rate"))
    packet = frames_per_packet(rate, packet_time(row.option("packet-time")))
    cells = [
        rate, row.option("period"), row.option("frames"), packet, master_of(row),
        result.get("floor_ms", ""),
        *(found.get(key, "") for key in ("min_ms", "median_ms", "p99_ms", "max_ms")),
        result.get("xruns", said(row.last)), stood_still(row.last), row.last.load,
    ]  # fmt: skip
    return line(cells)


def master_of(row: Row) -> str:
    """Who is the grandmaster of a case."""
    return "ptp4l" if "--ptp4l" in row.arguments else "own"


def machine() -> list[str]:
    """Facts about this machine, a sentence each."""
    model = "unknown processor"
    for text in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        if text.startswith("model name"):
            model = text.split(":", 1)[1].strip()
            break
    memory = next(
        int(text.split()[1]) // 1024
        for text in Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        if text.startswith("MemTotal")
    )
    virtual = subprocess.run(
        ["systemd-detect-virt"], capture_output=True, text=True, check=False
    ).stdout.strip() if Path("/usr/bin/systemd-detect-virt").exists() else ""  # fmt: skip
    return [
        f"{os.cpu_count()} x {model}, {memory} MiB{f', {virtual}' if virtual else ''}",
        f"Linux {platform.release()}, {platform.machine()}, Python {platform.python_version()}",
    ]
