"""Contract routes of the node itself: version, configuration, PTP."""

from __future__ import annotations

from fastapi import APIRouter, Response

from aes67.config.reading import contract_report
from aes67.config.tree import TreeError, as_integer, parse, require, to_line
from aes67.errors import Refused
from aes67_api import schema
from aes67_api.answers import done, error, json, text
from aes67_api.deps import Body, ControlDep

VERSION = "bondagit-4.0.0"
"""The version whose contract this is; clients of the daemon read it. Ours is in /api/v1/status."""

router = APIRouter(prefix="/api", tags=["contract"], default_response_class=Response)


@router.get("/version", responses=schema.answer(schema.Version))
async def version() -> Response:
    """The contract's version."""
    return text(to_line({"version": VERSION}), "application/json")


@router.get("/config", responses=schema.answer(schema.ContractConfig))
async def config(control: ControlDep) -> Response:
    """All 37 parameters."""
    return json(contract_report(control.node.config, control.node.computed))


@router.post(
    "/config",
    responses=schema.answer(),
    openapi_extra=schema.body_of(schema.ContractConfig),
)
async def set_config(control: ControlDep, body: Body) -> Response:
    """Merge: only the keys present change; the file is rewritten before the answer."""
    try:
        await control.node.change_config(parse(body))
    except TreeError as problem:
        return error(problem.text)
    except Refused as refusal:
        return error(f"failed to set config : (daemon) {refusal}")
    except OSError as problem:
        return error(f"failed to save config: {problem.strerror or problem}", 500)
    return done()


@router.get("/ptp/config", responses=schema.answer(schema.PtpConfig))
async def ptp_config(control: ControlDep) -> Response:
    """PTP domain and DSCP."""
    current = control.node.config
    values = {"domain": current.ptp_domain, "dscp": current.ptp_dscp}
    return text(to_line(values) + "\n", "application/json")


@router.post(
    "/ptp/config",
    responses=schema.answer(),
    openapi_extra=schema.body_of(schema.PtpConfig),
)
async def set_ptp_config(control: ControlDep, body: Body) -> Response:
    """Set PTP domain and DSCP; the configuration file is rewritten before the answer."""
    try:
        tree = parse(body)
        values = {}
        for key in ("domain", "dscp"):
            require(tree, (key,))
            values[f"ptp_{key}"] = as_integer(tree[key], "h")
        await control.node.change_config(values)
    except TreeError as problem:
        return error(problem.bare)
    except Refused as refusal:
        return error(f"failed to set ptp config : (daemon) {refusal}")
    except OSError as problem:
        return error(f"failed to save config: {problem.strerror or problem}", 500)
    return done()


@router.get("/ptp/status", responses=schema.answer(schema.PtpStatus))
async def ptp_status(control: ControlDep) -> Response:
    """State of the clock, grandmaster, jitter in us."""
    return text(to_line(control.views.ptp_status()) + "\n", "application/json")
