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


def row(name: str, found: Line) -> tuple[str, ...]:
    """A figure as a row of the table."""
    goal = "" if "goal" not in found else f"{found['goal']}"
    said = "met" if found["met"] else "MISSED"
    if found["met"] and found.get("goal_met") is False:
        said = "limit met, goal MISSED"
    extent = f" ({found['least']} to {found['most']})" if "least" in found else ""
    return name, f"{found['value']}{extent}", str(found["limit"]), goal, said


def markdown(cells: list[tuple[str, ...]]) -> list[str]:
    """The lines of a table; the first row is its head."""
    lines = ["| " + " | ".join(each) + " |" for each in cells]
    return [lines[0], "|" + "---|" * len(cells[0]), *lines[1:]]


def measured_on(lines: list[Line], command: str) -> str:
    """A sentence: what was typed, when, on which machine."""
    machine = lines[0]["machine"] if lines else {}
    return (
        f"`{command}` on {machine.get('date', '?')}: {machine.get('cores', '?')} cores of "
        f"{machine.get('cpu', '?')}, Linux {machine.get('kernel', '?')}, Python "
        f"{machine.get('python', '?')}."
    )


def disturbances(lines: list[Line]) -> list[str]:
    """A table of what else the machine did during each benchmark."""
    names = ("load_before", "load_after", "stolen_ms")
    rows = [
        (line["benchmark"], *(str(line["disturbance"][name]) for name in names)) for line in lines
    ]
    return markdown([("benchmark", *(name.replace("_", " ") for name in names)), *rows])


def page(lines: list[Line], command: str) -> str:
    """The report in Markdown."""
    parts = [
        "# Benchmarks", "",
        f"{measured_on(lines, command)} Ratios are to a frozen C loop that does the same work in "
        "the same run, by turns; the median of the rounds is judged. `stolen ms` is processor time "
        "that the host of this virtual machine took away during the benchmark.", "",
        *markdown([
            ("figure", "measured", "limit", "goal", ""),
            *(row(*each) for line in lines for each in verdicts(line, line["benchmark"])),
        ]), "",
        *disturbances(lines),
        "", "Everything that was measured:", "", "```json",
        *(json.dumps(line) for line in lines), "```",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"
