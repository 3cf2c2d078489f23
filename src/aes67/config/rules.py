"""From a model's field row to the words of a refusal: which field, which value, which range."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from aes67.errors import Refused

Model = TypeVar("Model", bound=BaseModel)

LENGTH_WORDS = "characters"
"""End of a rule that is about nothing but the length of a text."""


def validated(model: type[Model], values: Mapping[str, Any]) -> Model:
    """An instance of `model` from `values`.

    Raises:
        Refused: for the first field that breaks its row.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise refusals(model, error)[0] from None


def refusals(model: type[BaseModel], error: ValidationError) -> list[Refused]:
    """Every field of a failed validation as a refusal, in the order of the fields."""
    found = []
    for each in error.errors(include_url=False, include_context=False):
        location = each["loc"]
        field = str(location[0]) if location else ""
        value = each["input"]
        if len(location) > 1:
            field += "".join(f"[{part}]" for part in location[1:])
        message = each["msg"].removeprefix("Value error, ")
        words = rule(model, field)
        if each["type"] == "value_error" and words.endswith(LENGTH_WORDS):
            words = f"{words}, {message}"  # the length may be right: say what its own check says
        found.append(Refused(field, value, words or message))
    return found


def rule(model: type[BaseModel], field: str) -> str:
    """What values a field takes, in words, from its row; empty when the row sets no limit."""
    row = _properties(model).get(field.partition("[")[0], {})
    choices = [row, *row.get("anyOf", [])]
    if "[" in field and "items" in row:
        choices = [row["items"]]
    for each in choices:
        words = _words(each)
        if words:
            return words + (f" {row['unit']}" if row.get("unit") else "")
    return ""


@cache
def _properties(model: type[BaseModel]) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = model.model_json_schema()["properties"]
    return properties


def _words(row: Mapping[str, Any]) -> str:
    if "rule" in row:
        return str(row["rule"])
    if "enum" in row:
        return "one of " + ", ".join(repr(e) if e == "" else str(e) for e in row["enum"])
    if "minimum" in row and "maximum" in row:
        return f"{row['minimum']} to {row['maximum']}"
    if "minimum" in row and "exclusiveMaximum" in row:
        return f"{row['minimum']} to {row['exclusiveMaximum'] - 1}"
    if "maxLength" in row:
        return f"at most {row['maxLength']} {LENGTH_WORDS}"
    if "minItems" in row and "maxItems" in row:
        return f"{row['minItems']} to {row['maxItems']} entries"
    return ""
