"""The OpenAPI documents: one of our own interface, one of the contract's.

Both are cut out of what FastAPI generates for all routes; each holds only the schemas it refers to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from aes67_api import schema
from aes67_api.v1.models import ConfigChange
from aes67_api.v1.problems import Problem

NATIVE_PREFIX = "/api/v1/"
REFERENCE = re.compile(r'"#/components/schemas/([^"]+)"')
NATIVE = (
    "AES67 node",
    "Professional network audio without a kernel module. Errors are problem+json (RFC 9457) that "
    "name field, value and rule. The websocket /api/v1/events tells what changes. The interface "
    "of the AES67 daemon is described in /api/openapi.json.",
)
CONTRACT = (
    "AES67 node, interface of the AES67 daemon",
    "Bodies are read whatever their Content-Type says, numbers and booleans may be quoted, errors "
    "are plain text. What differs from the daemon is listed in docs/compat.md. Our own interface "
    "is described in /api/v1/openapi.json.",
)
Document = dict[str, Any]


def add_documents(app: FastAPI) -> None:
    """Serve both documents; `/openapi.json` is the one of our own interface."""

    @cache
    def native() -> Document:
        return _part(app, *NATIVE, native=True)

    @cache
    def contract() -> Document:
        return _part(app, *CONTRACT, native=False)

    async def of_ours() -> JSONResponse:
        return JSONResponse(native())

    async def of_contract() -> JSONResponse:
        return JSONResponse(contract())

    for path, answer in (
        ("/openapi.json", of_ours),
        ("/api/v1/openapi.json", of_ours),
        ("/api/openapi.json", of_contract),
    ):
        app.add_api_route(path, answer, include_in_schema=False)


def methods_at(app: FastAPI, path: str) -> str:
    """What `Allow` says of a path: the methods its routes have, none when there is no such path."""
    found = set[str]()
    for template, operations in app.openapi()["paths"].items():
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path):
            found |= {method.upper() for method in operations}
    return ", ".join(sorted(found | {"HEAD", "OPTIONS"} if "GET" in found else found))


def _part(app: FastAPI, title: str, description: str, *, native: bool) -> Document:
    whole = app.openapi()
    schemas = dict(whole.get("components", {}).get("schemas", {})) | _hand_read()
    paths = {
        path: operations
        for path, operations in whole["paths"].items()
        if path.startswith(NATIVE_PREFIX) == native
    }
    for operations in paths.values():
        for operation in operations.values():
            operation.get("responses", {}).pop("422", None)  # ours are 400
    used = _reachable(json.dumps(paths), schemas)
    return {
        "openapi": whole["openapi"],
        "info": whole["info"] | {"title": title, "description": description},
        "servers": [{"url": "/"}],
        "tags": [{"name": "v1" if native else "contract"}],
        "paths": paths,
        "components": {"schemas": {name: schemas[name] for name in sorted(used)}},
    }


def _hand_read() -> dict[str, Any]:
    """Schemas that only bodies read by hand refer to."""
    found: dict[str, Any] = {}
    bodies: Iterable[type[BaseModel]] = (*schema.BODIES, ConfigChange, Problem)
    for model in bodies:
        described = model.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= described.pop("$defs", {})
        found[model.__name__] = described
    return found


def _reachable(text: str, schemas: dict[str, Any]) -> set[str]:
    """Names of the schemas that a text refers to, and those that these refer to."""
    waiting, used = set(REFERENCE.findall(text)), set[str]()
    while waiting:
        name = waiting.pop()
        used.add(name)
        waiting |= set(REFERENCE.findall(json.dumps(schemas[name]))) - used
    return used
