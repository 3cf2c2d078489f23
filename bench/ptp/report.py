"""The goals of the clock and what was measured, as a table and as a page of docs/validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.page import disturbances, markdown, measured_on

Line = dict[str, Any]

GOALS: tuple[tuple[str, str, str, Callable[[Line], Any]], ...] = (
    ("true rms error / ptp4l's, geometric mean", "<= 0.35", "ptp-contest",
     lambda x: x["ratio_geometric_mean"]),
    ("the same, worst of the runs", "<= 1.2", "ptp-contest", lambda x: x["ratio_worst"]),
    ("rms error at 8 Sync/s over a bridge, us", "<= 0.8", "ptp-bridge",
     lambda x: x["rms_8_sync_us"]),
    ("99 % of it below, us", "<= 2", "ptp-bridge", lambda x: x["p99_8_sync_us"]),
    ("8 Sync/s, quiet: first Sync to < 10 us, s", "<= 2", "ptp-bridge",
     lambda x: x["first_sync_to_10_us_s"]),
    ("the same: first Sync to < 1 us, s", "<= 20", "ptp-bridge",
     lambda x: x["first_sync_to_1_us_s"]),
    ("the same: locked later than due (*), s", "<= 0", "ptp-bridge", lambda x: x["locked_late_s"]),
    ("step of 300 us: estimate < 2 us again, s", "<= 2", "ptp-accidents",
     lambda x: x["step_to_2_us_s"]),
    ("the same: jumps of the media clock", "0", "ptp-accidents", lambda x: x["epochs_by_step"]),
    ("without a master: largest error, us", "<= 5", "ptp-accidents",
     lambda x: x["silence_max_us"]),
    ("without a master: unlocks", "0", "ptp-accidents", lambda x: x["silence_unlocks"]),
    ("20 % loss and spikes: unlocks", "0", "ptp-loss", lambda x: x["unlocks"]),
    ("error of ptp4l following us / following ptp4l", "<= 1.25", "ptp-master",
     lambda x: x["ratio"]),
    ("gPTP: true rms error, us", "<= 3", "ptp-gptp", lambda x: x["rms_us"]),
    ("the same / ptp4l's", "<= 1.2", "ptp-gptp", lambda x: x["ratio"]),
    ("BMCA contests with ptp4l's winner", "all, >= 30", "ptp-bmca", lambda x: x["same_winner"]),
    ("clock page read + RTP timestamp, ns", "<= 20", "ptp-read", lambda x: x["ns_each"]),
    ("torn reads", "0", "ptp-read", lambda x: x["torn"]),
    ("PTP's share of a core at 8 Sync/s, %", "<= 0.5", "ptp-cpu",
     lambda x: x["percent_of_a_core"]),
    ("the same of a second clock, %", "<= 0.5", "ptp-second-clock",
     lambda x: x["second_percent_of_a_core"]),
)  # fmt: skip
DUE = "(*) due: 0.5 s after the master qualifies or 2 s after its first Sync, whichever is later."
PATHS = (
    "(**) Half of what the median packet to the master truly took longer than the one from it: "
    "an error that end-to-end measurements do not show."
)
COLUMNS = (
    ("load", "load"), ("rate", "rate"), ("ours, rms us", "ours_rms_us"),
    ("ptp4l, rms us", "ptp4l_rms_us"), ("ratio", "ratio"), ("ours, p99 us", "ours_p99_us"),
    ("ptp4l, p99 us", "ptp4l_p99_us"), ("ours < 10 us, s", "ours_to_10_us_s"),
    ("ptp4l < 10 us, s", "ptp4l_to_10_us_s"), ("ours < 1 us, s", "ours_to_1_us_s"),
    ("ptp4l < 1 us, s", "ptp4l_to_1_us_s"), ("ours locked, s", "ours_locked_s"),
    ("ours, bias us", "ours_bias_us"), ("of our path (**)", "ours_path_bias_us"),
    ("ptp4l, bias us", "ptp4l_bias_us"), ("of its path (**)", "ptp4l_path_bias_us"),
)  # fmt: skip


def rows(lines: list[Line]) -> list[tuple[str, str, str, str]]:
    """(figure, goal, measured, met or missed) of every goal; "not measured" where nothing was."""
    by_name = {line["benchmark"]: line for line in lines}
    found = []
    for figure, goal, name, pick in GOALS:
        if name not in by_name:
            found.append((figure, goal, "not measured", ""))
            continue
        verdict = pick(by_name[name])
        found.append((figure, goal, str(verdict["value"]), "met" if verdict["met"] else "MISSED"))
    return found


def table(lines: list[Line]) -> str:
    """The goals for a terminal."""
    cells = [("figure", "goal", "measured", ""), *rows(lines)]
    widths = [max(len(row[i]) for row in cells) for i in range(4)]
    text = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
    return f"{text}\n{DUE}"


def page(lines: list[Line], command: str) -> str:
    """The report in Markdown."""
    parts = [
        "# The clock beside ptp4l", "",
        f"{measured_on(lines, command)} All errors are true ones: an unmodified `ptp4l` lives on a "
        "virtual clock with a known law, and as a rival slave it disciplines another one whose "
        "every segment is recorded. Rivals follow one master at one time, over a cable each. The "
        "system clock is only read.", "",
        *markdown([("figure", "goal", "measured", ""), *rows(lines)]), "", DUE,
    ]  # fmt: skip
    contest = next((line for line in lines if line["benchmark"] == "ptp-contest"), None)
    if contest is not None:
        head = tuple(title for title, _ in COLUMNS)
        body = [tuple(str(run[key]) for _, key in COLUMNS) for run in contest["runs"]]
        parts += ["", "## Contests", "", *markdown([head, *body]), "", PATHS]
    parts += ["", "## How disturbed the machine was", "", *disturbances(lines)]
    return "\n".join(parts) + "\n"
