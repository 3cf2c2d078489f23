"""How the command line prints: aligned tables, facts, one JSON value, colour only on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence

GREEN, YELLOW, RED, BOLD = "32", "33", "31", "1"
STATE_COLOURS = {
    "locked": GREEN, "locking": YELLOW, "holdover": YELLOW, "unlocked": RED,
    "audio": GREEN, "sending": GREEN, "silence": YELLOW, "disabled": YELLOW,
    "no packets": RED, "not sending": RED,
}  # fmt: skip


def colours_wanted() -> bool:
    """Colour on a terminal, unless NO_COLOR is set (to anything) or the terminal is dumb."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout.isatty()


def paint(text: str, colour: str | None) -> str:
    """`text` in a colour, where colours are wanted."""
    if not colour or not colours_wanted():
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def state(word: str) -> str:
    """A state word in its colour."""
    return paint(word, STATE_COLOURS.get(word))


def print_json(value: object) -> None:
    """One JSON value on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under their heads, columns aligned; numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(head[i]), *(len(row[i]) for row in cells), 0) for i in range(len(head))]
    numeric = [bool(cells) and all(_is_number(row[i]) for row in cells) for i in range(len(head))]
    lines = [_line(head, widths, numeric, BOLD)]
    for row in cells:
        lines.append(_line(row, widths, numeric, None))
    return "\n".join(lines)


def _line(
    row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool], colour: str | None
) -> str:
    parts = []
    for text, width, right in zip(row, widths, numeric, strict=True):
        padded = text.rjust(width) if right else text.ljust(width)
        parts.append(paint(padded, colour or STATE_COLOURS.get(text)))
    return "  ".join(parts).rstrip()


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(".", "", 1).lstrip("-").isdigit()


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """Name and value, one a line, aligned."""
    pairs = [(name, _cell(value)) for name, value in rows]
    width = max((len(name) for name, _ in pairs), default=0)
    return "\n".join(f"{name.ljust(width)}  {state(value)}" for name, value in pairs)


def nanoseconds(value: object) -> str:
    """A time in the unit that reads best; "unknown" for none."""
    if not isinstance(value, int | float) or abs(value) > 1e15:
        return "unknown"
    size = abs(value)
    if size < 1e3:
        return f"{value:.0f} ns"
    if size < 1e6:
        return f"{value / 1e3:.2f} us"
    return f"{value / 1e6:.3f} ms"


def error(text: str) -> None:
    """One line on standard error, with the program's name."""
    print(f"aes67: {text}", file=sys.stderr)
