"""Contract routes of browsing, and of the streamer, which does not exist yet: it is off."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Response

from aes67_api import schema
from aes67_api.answers import error, json
from aes67_api.compat.streams import digits
from aes67_api.deps import ControlDep

router = APIRouter(prefix="/api", tags=["contract"], default_response_class=Response)

NOT_ENABLED = {
    "status": 4,
    "file_duration": 0,
    "files_num": 0,
    "player_buffer_files_num": 0,
    "start_file_id": 0,
    "current_file_id": 0,
    "channels": 0,
    "format": "",
    "rate": 0,
}


@router.get("/browse/sources/{kind}", responses=schema.answer(schema.RemoteSources))
async def browse(kind: str, control: ControlDep) -> Response:
    """Remote sources: all, or those announced by mdns or sap."""
    if kind not in ("all", "mdns", "sap"):
        raise HTTPException(404)
    return json({"remote_sources": control.discovery.sources(kind)})


@router.get("/streamer/info/{id}", responses=schema.answer(schema.StreamerInfo))
async def streamer_info(id: str) -> Response:
    """State of the streamer: not enabled."""
    digits(id)
    return json(NOT_ENABLED)


@router.get("/streamer/stream/{id}", responses=schema.answer())
async def stream(id: str) -> Response:
    """The live stream of a sink."""
    digits(id)
    return error("streamer not enabled")


@router.get("/streamer/stream/{id}/{file}", responses=schema.answer())
async def stream_file(id: str, file: str) -> Response:
    """A file of a sink's stream."""
    digits(id)
    digits(file)
    return error("streamer not enabled")
