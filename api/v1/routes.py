"""Routes of /api/v1."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from aes67.config.model import Config
from aes67.config.reading import full_report, rows
from aes67.config.rules import rule
from aes67.config.strict import check_types, shown
from aes67.config.tree import TreeError, parse
from aes67.errors import Refused
from aes67.session.model import SINKS, SOURCES, Sink, Source
from aes67.session.view import NOT_IN_USE
from aes67_api.deps import Body, ControlDep
from aes67_api.v1.models import ConfigChange, SinkBody, SinkView, SourceBody, SourceView, Status
from aes67_api.v1.problems import REFUSED_WRITES, RESPONSES, problem, said

router = APIRouter(prefix="/api/v1", tags=["v1"], responses=RESPONSES)

SourceId = Annotated[int, Path(ge=0, lt=SOURCES, description="0 to 63")]
SinkId = Annotated[int, Path(ge=0, lt=SINKS, description="0 to 63")]


def own_version() -> str:
    """The version of this package."""
    try:
        return version("aes67")
    except PackageNotFoundError:
        return "0"


@router.get("/status", response_model=Status)
async def status(control: ControlDep) -> dict[str, Any]:
    """Everything at one moment: engine, clock, sources, sinks, applications."""
    return control.views.status(own_version())


@router.get("/ptp")
async def ptp(control: ControlDep) -> dict[str, Any]:
    """The clock."""
    return control.views.clock()


@router.get("/config")
async def config(control: ControlDep) -> dict[str, Any]:
    """All parameters."""
    return full_report(control.node.config, control.node.computed)


@router.get("/config/schema")
async def config_schema() -> list[dict[str, Any]]:
    """Every parameter with default, range, unit, effect and help."""
    return rows()


@router.patch(
    "/config",
    responses=REFUSED_WRITES | {507: said("the file could not be written")},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {
                "schema": {"$ref": f"#/components/schemas/{ConfigChange.__name__}"}
            }},
        }
    },  # fmt: skip
)
async def patch_config(control: ControlDep, body: Body) -> Any:
    """Change the parameters named; the file is rewritten before the answer."""
    tree = parse(body)
    check_types(tree)
    try:
        await control.node.change_config(tree)
    except TreeError as error:  # a number of more digits than one of ours has
        raise Refused(error.key, shown(tree.get(error.key)), rule(Config, error.key)) from error
    except OSError as error:
        reason = f"the configuration file could not be written: {error.strerror or error}"
        return problem(507, "Not saved", "", None, reason)
    return full_report(control.node.config, control.node.computed)


@router.get("/sources", response_model=list[SourceView])
async def sources(control: ControlDep) -> list[dict[str, Any]]:
    """All sources with counters."""
    return control.views.sources()


@router.get("/sources/{id}", response_model=SourceView)
async def source(id: SourceId, control: ControlDep) -> dict[str, Any]:
    """A source with its counters."""
    return _one(control.views.sources(), id)


@router.put("/sources/{id}", response_model=SourceView, responses=REFUSED_WRITES)
async def put_source(id: SourceId, source: SourceBody, control: ControlDep) -> dict[str, Any]:
    """Add or replace a source."""
    await control.node.put_source(Source(**source.model_dump() | {"id": id}))
    return _one(control.views.sources(), id)


@router.delete("/sources/{id}", status_code=204, responses=REFUSED_WRITES)
async def delete_source(id: SourceId, control: ControlDep) -> Response:
    """Remove a source."""
    await control.node.delete_source(id)
    return Response(status_code=204)


@router.get("/sinks", response_model=list[SinkView])
async def sinks(control: ControlDep) -> list[dict[str, Any]]:
    """All sinks with flags and counters."""
    return control.views.sinks()


@router.get("/sinks/{id}", response_model=SinkView)
async def sink(id: SinkId, control: ControlDep) -> dict[str, Any]:
    """A sink with its flags and counters."""
    return _one(control.views.sinks(), id)


@router.put("/sinks/{id}", response_model=SinkView, responses=REFUSED_WRITES)
async def put_sink(id: SinkId, sink: SinkBody, control: ControlDep) -> dict[str, Any]:
    """Add or replace a sink; with `use_sdp` false its description is fetched from `source` now."""
    await control.put_sink(Sink(**sink.model_dump() | {"id": id}))
    return _one(control.views.sinks(), id)


@router.delete("/sinks/{id}", status_code=204, responses=REFUSED_WRITES)
async def delete_sink(id: SinkId, control: ControlDep) -> Response:
    """Remove a sink."""
    await control.node.delete_sink(id)
    return Response(status_code=204)


def _one(views: list[dict[str, Any]], number: int) -> dict[str, Any]:
    for view in views:
        if view["id"] == number:
            return view
    raise Refused("id", number, NOT_IN_USE)
