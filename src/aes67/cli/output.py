"""How the command line prints: aligned tables, facts, one JSON value, colour only on a terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

LEAST_WIDTH = 8
"""No column of text is cut below this."""
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


def columns_shown() -> int:
    """How many columns the terminal has; 0 where the output is none, so that programs get all."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def rows_shown() -> int:
    """How many rows the terminal says it has; 0: unknown."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).lines
    except (OSError, ValueError):
        return 0


def wrapped(text: str, indent: int, columns: int) -> str:
    """`text` at a column, its further lines under its first; as it is when `columns` is 0."""
    if not columns or len(text) <= columns - indent:
        return text
    room = max(columns - indent, 20)
    lines = textwrap.wrap(text, room, break_on_hyphens=False)
    return ("\n" + " " * indent).join(lines)


def paint(text: str, colour: str | None) -> str:
    """`text` in a colour, where colours are wanted."""
    if not colour or not colours_wanted():
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def visible(text: str) -> str:
    """`text` as it may go to a terminal: what would steer one (ESC, a new line) is spelled out.

    Names and descriptions come from whoever announces a stream.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _spelled(each) for each in text)


def _spelled(character: str) -> str:
    if character.isspace() and ord(character) >= 0xA0 and character not in "\u2028\u2029":
        return " "  # one of the wide or narrow ones
    return character.encode("unicode_escape").decode("ascii")


def state(word: str) -> str:
    """A state word in its colour."""
    return paint(word, STATE_COLOURS.get(word))


def print_json(value: object) -> None:
    """One JSON value on standard output."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    print(re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))


def table(head: Sequence[str], rows: Iterable[Sequence[object]], columns: int = 0) -> str:
    """Rows under their heads, columns aligned; numbers to the right.

    With `columns` the widest texts are cut so that a row fits into so many.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(head[i]), *(len(row[i]) for row in cells), 0) for i in range(len(head))]
    numeric = [bool(cells) and all(_is_number(row[i]) for row in cells) for i in range(len(head))]
    if columns:
        _narrow(widths, numeric, columns)
    lines = [_line(head, widths, numeric, BOLD)]
    for row in cells:
        lines.append(_line(row, widths, numeric, None))
    return "\n".join(lines)


def _narrow(widths: list[int], numeric: Sequence[bool], columns: int) -> None:
    """Take from the widest column of text until all fit, or none has anything to give."""
    while sum(widths) + 2 * (len(widths) - 1) > columns:
        widest = max((w, i) for i, w in enumerate(widths) if not numeric[i] or w == 0)
        if widest[0] <= LEAST_WIDTH:
            return
        widths[widest[1]] -= 1


def _cut(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    return text[: width - 1] + ("…" if "utf" in (sys.stdout.encoding or "").lower() else "~")


def _line(
    row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool], colour: str | None
) -> str:
    parts = []
    for text, width, right in zip(row, widths, numeric, strict=True):
        shown = _cut(text, width)
        padded = shown.rjust(width) if right else shown.ljust(width)
        parts.append(paint(padded, colour or STATE_COLOURS.get(text)))
    return "  ".join(parts).rstrip()


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return visible(str(value))


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(".", "", 1).lstrip("-").isdigit()


def facts(rows: Iterable[tuple[str, object]], columns: int = 0) -> str:
    """Name and value, one a line, aligned; with `columns` long values go on under themselves."""
    pairs = [(name, _cell(value)) for name, value in rows]
    width = max((len(name) for name, _ in pairs), default=0)
    lines = [(name, wrapped(value, width + 2, columns)) for name, value in pairs]
    return "\n".join(f"{name.ljust(width)}  {state(value)}" for name, value in lines)


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
    print(f"aes67: {visible(text)}", file=sys.stderr)
