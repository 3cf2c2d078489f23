"""A page of docs/validation out of benchmarks: verdicts as a table, then each line as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Line = dict[str, Any]


def verdicts(value: object, name: str) -> Iterator[tuple[str, Line]]:
    """Every figure with a limit in a benchmark's line, and what it is called."""
    if isinstance(value, dict):
        if "met" in value:
            yield name, value
        for key, each in value.items():
            yield from verdicts(each, f"{name}, {key.replace('_', ' ')}")
    elif isinstance(value, list):
        for each in value:
            words = each.get("buffer_frames") if isinstance(each, dict) else None
            yield from verdicts(each, name if words is None else f"{name}, {words} frames")


def row(name: str, found: Line) -> str:
    """A figure as a line of the table."""
    goal = "" if "goal" not in found else f"{found['goal']}"
    said = "met" if found["met"] else "MISSED"
    if found["met"] and found.get("goal_met") is False:
        said = "limit met, goal MISSED"
    extent = f" ({found['least']} to {found['most']})" if "least" in found else ""
    return f"| {name} | {found['value']}{extent} | {found['limit']} | {goal} | {said} |"


def page(lines: list[Line], command: str) -> str:
    """The report in Markdown."""
    machine = lines[0]["machine"] if lines else {}
    parts = [
        "# Benchmarks", "",
        f"`{command}` on {machine.get('date', '?')}: {machine.get('cores', '?')} cores of "
        f"{machine.get('cpu', '?')}, Linux {machine.get('kernel', '?')}, Python "
        f"{machine.get('python', '?')}. Ratios are to a frozen C loop that does the same work in "
        "the same run, by turns; the median of the rounds is judged. `stolen ms` is processor time "
        "that the host of this virtual machine took away during the benchmark.", "",
        "| figure | measured | limit | goal | |", "|---|---|---|---|---|",
        *(row(*each) for line in lines for each in verdicts(line, line["benchmark"])), "",
        "| benchmark | load before | load after | stolen ms |", "|---|---|---|---|",
        *("| {} | {load_before} | {load_after} | {stolen_ms} |".format(
            line["benchmark"], **line["disturbance"]) for line in lines),
        "", "Everything that was measured:", "", "```json",
        *(json.dumps(line) for line in lines), "```",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"
