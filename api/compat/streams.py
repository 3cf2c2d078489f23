"""Contract routes of sources and sinks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response

from aes67.config.tree import TreeError, parse
from aes67.errors import Refused
from aes67.session.contract import read_sink, read_source, sink_object, source_object
from aes67.session.model import SINKS, SOURCES
from aes67.session.view import NOT_IN_USE
from aes67_api import schema
from aes67_api.answers import INVALID_ID, done, error, json, number, refused, text
from aes67_api.deps import Body, ControlDep

router = APIRouter(prefix="/api", tags=["contract"], default_response_class=Response)

Digits = Annotated[str, Path(json_schema_extra={"pattern": "^[0-9]+$"}, description="a number")]
NO_INT = "failed to convert id"
NO_INT_PUT = "error parsing JSON: number conversion out of range"


def digits(text: str) -> str:
    """An id as the contract's paths know them, `[0-9]+`.

    Raises:
        HTTPException: 404, since such a path does not exist.
    """
    if not text.isascii() or not text.isdigit():
        raise HTTPException(404)
    return text


@router.get("/sources", responses=schema.answer(schema.Sources))
async def sources(control: ControlDep) -> Response:
    """All sources."""
    node = control.node
    return json({"sources": [source_object(s, node.config) for s in node.sources.values()]})


@router.get("/sinks", responses=schema.answer(schema.Sinks))
async def sinks(control: ControlDep) -> Response:
    """All sinks."""
    return json({"sinks": [sink_object(each) for each in control.node.sinks.values()]})


@router.get("/streams", responses=schema.answer(schema.Streams))
async def streams(control: ControlDep) -> Response:
    """All sources and sinks."""
    node = control.node
    return json(
        {
            "sources": [source_object(each, node.config) for each in node.sources.values()],
            "sinks": [sink_object(each) for each in node.sinks.values()],
        }
    )


@router.put(
    "/source/{id}",
    responses=schema.answer(),
    openapi_extra=schema.body_of(schema.ContractSource),
)
async def put_source(id: Digits, control: ControlDep, body: Body) -> Response:
    """Add or replace a source."""
    key = number(digits(id))
    if key is None:
        return error(NO_INT_PUT)
    what = f"failed to add source {key}"
    try:
        tree = parse(body)
        before = control.node.sources.get(key)
        source = read_source(key, tree, before)
        await control.node.put_source(source)
    except TreeError as problem:
        return error(problem.text)
    except Refused as refusal:
        return refused(what, refusal)
    return done()


@router.delete("/source/{id}", responses=schema.answer())
async def delete_source(id: Digits, control: ControlDep) -> Response:
    """Remove a source."""
    key = number(digits(id))
    if key is None:
        return error(NO_INT)
    try:
        if key >= SOURCES:
            raise Refused("id", key, INVALID_ID)
        await control.node.delete_source(key)
    except Refused as refusal:
        return refused(f"failed to remove source {key}", refusal)
    return done()


@router.get("/source/sdp/{id}", responses=schema.answer(media_type="application/sdp"))
async def source_sdp(id: Digits, control: ControlDep) -> Response:
    """The session description of a source."""
    key = number(digits(id))
    if key is None:
        return error(NO_INT)
    try:
        return text(control.node.description(key), "application/sdp")
    except Refused:
        return error(f"get source {key} failed : (daemon) {NOT_IN_USE}")


@router.put(
    "/sink/{id}",
    responses=schema.answer(),
    openapi_extra=schema.body_of(schema.ContractSink),
)
async def put_sink(id: Digits, control: ControlDep, body: Body) -> Response:
    """Add or replace a sink."""
    key = number(digits(id))
    if key is None:
        return error(NO_INT_PUT)
    what = f"failed to add sink {key}"
    try:
        tree = parse(body)
        await control.put_sink(read_sink(key, tree, control.node.sinks.get(key)))
    except TreeError as problem:
        return error(problem.text)
    except Refused as refusal:
        return refused(what, refusal)
    return done()


@router.delete("/sink/{id}", responses=schema.answer())
async def delete_sink(id: Digits, control: ControlDep) -> Response:
    """Remove a sink."""
    key = number(digits(id))
    if key is None:
        return error(NO_INT)
    try:
        if key >= SINKS:
            raise Refused("id", key, INVALID_ID)
        await control.node.delete_sink(key)
    except Refused as refusal:
        return refused(f"failed to remove sink {key}", refusal)
    return done()


@router.get("/sink/status/{id}", responses=schema.answer(schema.SinkStatus))
async def sink_status(id: Digits, control: ControlDep) -> Response:
    """Flags of a sink, latched since they were last read, and its least arrival time in ms."""
    key = number(digits(id))
    if key is None:
        return error(NO_INT)
    try:
        if key >= SINKS:
            raise Refused("id", key, INVALID_ID)
        return json(control.views.sink_status(key))
    except Refused as refusal:
        return refused(f"failed to get sink {key} status", refusal)
