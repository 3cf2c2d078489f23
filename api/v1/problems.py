"""Errors of /api/v1 as problem+json (RFC 9457) with the field, its value and the rule it breaks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from aes67.config import rules
from aes67.config.strict import NUMBER, SWITCH, TEXT, quoted
from aes67.config.tree import TreeError
from aes67.errors import Refused
from aes67.session.view import NOT_IN_USE

KINDS = {
    "int_type": NUMBER,
    "bool_type": SWITCH,
    "string_type": f"{TEXT}, in quotes",
    "list_type": "a list in brackets",
    "missing": "is needed",
    "extra_forbidden": "no such key",
    "model_attributes_type": "a JSON object, with Content-Type: application/json",
}
"""Errors of pydantic in words that say what is wanted."""


class Problem(BaseModel):
    """Why a request was refused; nothing has changed."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    field: str = ""
    value: Any = None
    rule: str = ""


def problem(status: int, title: str, field: str, value: object, rule: str) -> Response:
    """A problem as an answer."""
    shown = value if isinstance(value, str | int | float | bool | None) else str(value)[:200]
    body = Problem(
        title=title,
        status=status,
        detail=f"{field} = {shown!r}: {rule}" if field else rule,
        field=field,
        value=shown,
        rule=rule,
    ).model_dump()
    text = json.dumps(body, ensure_ascii=True, allow_nan=True)
    return Response(text, status, media_type="application/problem+json")


def of_refusal(request: Request, error: Exception) -> Response:
    """404 for what does not exist, 503 without an engine, else 400."""
    assert isinstance(error, Refused)
    if error.field == "id" and error.rule == NOT_IN_USE:
        return problem(404, "Not found", error.field, error.value, error.rule)
    status = 503 if error.field == "engine" else 400
    return problem(status, "Refused", error.field, error.value, error.rule)


def of_validation(request: Request, error: Exception) -> Response:
    """400 for a body or a path of a wrong type."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    value = None if first["type"] == "missing" else first.get("input")
    return problem(400, "Malformed request", field, value, _expected(request, first))


def _expected(request: Request, error: Mapping[str, Any]) -> str:
    """What a field takes, in words for whoever wrote the request."""
    model = _body_model(request) if error["loc"][0] == "body" else None
    kind = error["type"]
    if kind not in KINDS:
        return str(error["msg"]).removeprefix("Value error, ")
    if model is None or len(error["loc"]) < 2:
        return KINDS[kind]
    if kind == "missing":
        return KINDS[kind]
    if kind == "extra_forbidden":
        return f"{KINDS[kind]}; there are {', '.join(model.model_fields)}"
    _, key, *entry = error["loc"]
    limits = rules.rule(model, key + "".join(f"[{number}]" for number in entry))
    words = ", ".join(filter(None, (KINDS[kind], limits)))
    in_quotes = kind in ("int_type", "bool_type") and quoted(error.get("input"))
    return f"{words}: without quotes" if in_quotes else words


def _body_model(request: Request) -> type[BaseModel] | None:
    """What the route's body is read as."""
    body = getattr(request.scope.get("route"), "body_field", None)
    model = getattr(getattr(body, "field_info", None), "annotation", None)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def of_tree(request: Request, error: Exception) -> Response:
    """400 for a value of a wrong type in a loosely typed body."""
    assert isinstance(error, TreeError)
    return problem(400, "Malformed request", error.key, None, error.text)


def said(description: str) -> dict[str, Any]:
    """OpenAPI of a problem as an answer."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


RESPONSES: dict[int | str, dict[str, Any]] = {
    400: said("refused: field, value and rule"),
    404: said("there is no such stream"),
    503: said("the engine does not answer"),
}
"""OpenAPI of the errors."""
REFUSED_WRITES: dict[int | str, dict[str, Any]] = {
    403: said("a page of another origin, or a foreign Host"),
    408: said("the body did not come in time"),
    413: said("the body is too large"),
}
"""OpenAPI of what stands before every write."""
