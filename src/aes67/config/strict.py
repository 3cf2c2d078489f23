"""Settings whose types are meant: our own interface takes no `"15"` for 15 and no unknown key.

The file and the contract's interface read them loosely (`config.reading`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aes67.config.model import KEYS, Config
from aes67.config.rules import rule
from aes67.config.tree import Number
from aes67.errors import Refused

NUMBER = "a whole number"
SWITCH = "true or false"
TEXT = "text"


def check_types(tree: Mapping[str, Any]) -> None:
    """Look at the keys and types of a request, as `config.tree.parse` has read it.

    Raises:
        Refused: a key that is no parameter, or a value of another type; the rule says of which.
    """
    for key, value in tree.items():
        if key not in KEYS:
            raise Refused(key, shown(value), "no such parameter")
        if not _fits(key, value):
            raise Refused(key, shown(value), _expected(key, value))


def shown(value: Any) -> str | int | float | bool | None:
    """A value of a tree in an error: numbers as numbers, objects and lists as JSON, cut short."""
    if isinstance(value, Number):
        try:
            found = json.loads(value[:80])
        except ValueError:  # cut in the middle of its exponent
            return str(value[:80])
        return found if isinstance(found, int | float) else None
    if isinstance(value, str):
        return value[:80]
    return value if value is None or isinstance(value, bool) else json.dumps(value)[:80]


def _kind(key: str) -> str:
    annotation = Config.model_fields[key].annotation
    if annotation is bool:
        return SWITCH
    return NUMBER if annotation in (int, int | None) else TEXT


def _fits(key: str, value: Any) -> bool:
    if value is None:
        return Config.model_fields[key].annotation == (int | None)
    if isinstance(value, Number):
        return _kind(key) == NUMBER and value.lstrip("-").isdecimal()
    if isinstance(value, bool):
        return _kind(key) == SWITCH
    return isinstance(value, str) and _kind(key) == TEXT


def _expected(key: str, value: Any) -> str:
    kind, limits = _kind(key), rule(Config, key)
    words = f"{kind}, {limits}" if limits else kind
    if kind == TEXT:
        return f"{words}: JSON text in quotes"
    if Config.model_fields[key].annotation == (int | None):
        words += ", or null"
    return f"{words}: without quotes" if quoted(value) else words


def quoted(value: Any) -> bool:
    """Whether a value is a number or a switch that was put in quotes."""
    if not isinstance(value, str) or isinstance(value, Number):
        return False
    return value in ("true", "false") or value.lstrip("-").isdecimal()
