"""JSON as the contract reads it: a tree of texts, so that types are loose, and its pretty printer.

Numbers keep the digits they were written with (`Number`), so a value nobody here knows survives a
rewrite of the file unchanged. What a field means is decided by whoever asks for it: a quoted number
is a number, `0`, `1`, `true` and `false`, quoted or not, are booleans.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from aes67.errors import Aes67Error

INDENT = "  "
MAX_DEPTH = 50
"""Deepest nesting read; the objects of the contract need three levels."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_PREFIX = "error parsing JSON: "


class TreeError(Aes67Error):
    """Text that is no JSON, or a key that is missing or of another type; `text` as answered."""

    def __init__(self, text: str, key: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.key = key

    @property
    def bare(self) -> str:
        """The text without its prefix, as the PTP configuration route answers it."""
        return self.text.removeprefix(_PREFIX)


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


def parse(text: str | bytes) -> dict[str, Any]:
    """Read one JSON object.

    Bytes that are no UTF-8 are taken as Latin-1. The first of two equal keys counts.

    Raises:
        TreeError: with the line, when it is no JSON object.
    """
    try:
        tree = json.loads(
            _decoded(text) if isinstance(text, bytes) else text,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_first_wins,
        )
    except json.JSONDecodeError as error:
        reason = error.msg.replace("Expecting", "expected").lower()
        raise TreeError(f"error parsing JSON at line {error.lineno} :{reason}") from None
    except RecursionError:
        raise TreeError("error parsing JSON at line 1 :nested too deeply") from None
    if not isinstance(tree, dict):
        raise TreeError("error parsing JSON at line 1 :expected an object")
    _check(tree, 0)
    return tree


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in pairs:
        tree.setdefault(key, value)
    return tree


def _refuse_constant(name: str) -> Any:
    raise TreeError(f"error parsing JSON at line 1 :{name} is no JSON value")


def _check(value: Any, depth: int) -> None:
    """Refuse what could not be written again: lone surrogates, bottomless nesting."""
    if depth > MAX_DEPTH:
        raise TreeError("error parsing JSON at line 1 :nested too deeply")
    if isinstance(value, dict):
        for key, each in value.items():
            _check(key, depth)
            _check(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            _check(each, depth + 1)
    elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise TreeError(_PREFIX + "a lone surrogate is no character")


def as_text(value: Any) -> str:
    """A scalar as text; an object or a list has none and gives the empty text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def as_integer(value: Any, letter: str = "i") -> int:
    """A whole number, quoted or not; `letter` names its type in the message.

    Raises:
        TreeError: no whole number of at most 18 digits.
    """
    text = as_text(value).strip()
    if isinstance(value, bool) or not _INTEGER.fullmatch(text):
        raise TreeError(f'{_PREFIX}conversion of data to type "{letter}" failed')
    return int(text)


def as_boolean(value: Any) -> bool:
    """`true`, `false`, `1` or `0`, quoted or not.

    Raises:
        TreeError: anything else.
    """
    text = as_text(value).strip()
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise TreeError(f'{_PREFIX}conversion of data to type "b" failed')


def as_integers(value: Any) -> list[int]:
    """A list of whole numbers that fit 32 bits; the empty text is an empty list.

    Raises:
        TreeError: an entry is no number, or too large for an int.
    """
    if value == "":
        return []
    if not isinstance(value, list):
        raise TreeError(_PREFIX + "cannot perform number conversion")
    numbers = []
    for each in value:
        text = as_text(each).strip()
        if isinstance(each, bool) or not re.fullmatch("[+-]?[0-9]+", text):
            raise TreeError(_PREFIX + "cannot perform number conversion")
        if len(text) > 11 or not -(2**31) <= int(text) < 2**31:
            raise TreeError(_PREFIX + "number conversion out of range")
        numbers.append(int(text))
    return numbers


def require(tree: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Check that all keys are there.

    Raises:
        TreeError: naming the first one missing, in the order given.
    """
    for key in keys:
        if key not in tree:
            raise TreeError(f"{_PREFIX}No such node ({key})", key)


def to_text(value: Any, indent: str = "") -> str:
    """Pretty-printed JSON: objects over lines, lists of scalars as `[ 0, 1 ]`."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Mapping):
        if not value:
            return "{}"
        inner = indent + INDENT
        rows = [f"{inner}{json.dumps(k, ensure_ascii=False)}: {to_text(v, inner)}"
                for k, v in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, list | tuple):
        if not value:
            return "[]"
        if any(isinstance(each, Mapping | list | tuple) for each in value):
            inner = indent + INDENT
            return "[\n" + ",\n".join(inner + to_text(v, inner) for v in value) + f"\n{indent}]"
        return "[ " + ", ".join(to_text(each) for each in value) + " ]"
    return json.dumps(value, ensure_ascii=False)


def to_line(value: Mapping[str, Any]) -> str:
    """A small object on one line: `{ "domain": 0, "dscp": 46 }`."""
    rows = (f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in value.items())
    return "{ " + ", ".join(rows) + " }"
