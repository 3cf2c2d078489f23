"""Answers as the contract words them: empty 200s, plain-text errors, pretty-printed JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi import Response

from aes67.config.tree import to_text
from aes67.errors import Refused
from aes67.session.checks import NAME_RULE
from aes67.session.view import NOT_IN_USE

CORS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "x-user-id",
}
"""On every handled answer of the contract's routes, success or error."""

INVALID_ID = "invalid stream id"


def done() -> Response:
    """Success without a word: 200, no body, no type."""
    return Response(headers=CORS)


def text(body: str, media_type: str) -> Response:
    """200 with exactly this body and type."""
    return Response(body.encode(), headers=CORS | {"Content-Type": media_type})


def json(value: Mapping[str, Any]) -> Response:
    """200 with pretty-printed JSON."""
    return text(to_text(value), "application/json")


def error(body: str, status: int = 400) -> Response:
    """A plain-text error."""
    return Response(body.encode(), status, headers=CORS | {"Content-Type": "text/plain"})


def refused(what: str, refusal: Refused) -> Response:
    """A refusal in the shape `<what failed> : (<category>) <message>`.

    Where the contract's message is only a general one, our reason follows it after a colon.
    """
    message, status = _message(refusal)
    return error(f"{what} : {message}", status)


def _message(refusal: Refused) -> tuple[str, int]:
    field, rule = refusal.field, refusal.rule
    if field == "id":
        return f"(daemon) {rule if rule == NOT_IN_USE else INVALID_ID}", 400
    if rule == NAME_RULE:
        return f"(daemon) {rule}", 400
    if field == "source":
        return f"(daemon) {rule}", 400
    if field == "sdp":
        return f"(daemon) cannot parse SDP: {rule}", 400
    if field == "engine":
        return f"(daemon) failed to send command to driver: {rule}", 500
    value = re.sub(r"\s+", " ", str(refusal.value))[:80]
    return f"(driver) command failed: {field} = {value}: {rule}", 400


def number(text: str) -> int | None:
    """An id from a path: None when it does not fit an int; digits only, leading zeros allowed."""
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) <= 10 and int(digits) < 2**31 else None
