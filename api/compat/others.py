"""Contract routes of browsing."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response

from aes67_api import schema
from aes67_api.answers import json
from aes67_api.deps import ControlDep

router = APIRouter(prefix="/api", tags=["contract"], default_response_class=Response)


Kind = Annotated[str, Path(json_schema_extra={"enum": ["all", "mdns", "sap"]})]


@router.get("/browse/sources/{kind}", responses=schema.answer(schema.RemoteSources))
async def browse(kind: Kind, control: ControlDep) -> Response:
    """Remote sources: all, or those announced by mdns or sap."""
    if kind not in ("all", "mdns", "sap"):
        raise HTTPException(404)
    return json({"remote_sources": control.discovery.sources(kind)})
