"""Pages: the user's web directory or ours, and Swagger with assets from a package, never a CDN."""

from __future__ import annotations

import mimetypes
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI, HTTPException, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from aes67_api.deps import ControlDep

INDEX = "index.html"
OURS = Path(__file__).resolve().parent.parent / "web"
"""Our page in a checkout; installed it is the package `aes67_web`."""

router = APIRouter(include_in_schema=False)


def web_directory(configured: str) -> Path | None:
    """Where pages are served from: the configured directory, else ours.

    Only a directory with an index.html counts, so that `/` or `/etc` can never be served.
    """
    candidates = [Path(configured)] if configured else []
    try:
        candidates.append(Path(str(files("aes67_web"))))
    except ModuleNotFoundError:
        candidates.append(OURS)
    for directory in candidates:
        try:
            if (directory / INDEX).is_file():
                return directory.resolve()
        except OSError:
            continue
    return None


def file_in(directory: Path, name: str) -> Path | None:
    """The file `name` under `directory`, or None: never above it, no hidden file, no Python."""
    parts = [part for part in name.split("/") if part]
    if not parts or "\0" in name or any(part.startswith(".") for part in parts):
        return None
    if parts[-1].endswith((".py", ".pyc")):
        return None
    try:
        found = directory.joinpath(*parts).resolve()
        return found if found.is_relative_to(directory) and found.is_file() else None
    except OSError:
        return None


@router.get("/")
@router.get("/Config")
@router.get("/PTP")
@router.get("/Sources")
@router.get("/Sinks")
@router.get("/Browser")
async def index(control: ControlDep) -> Response:
    """The page; 200 without a body where there is none, as the contract has it."""
    directory = web_directory(control.node.config.http_base_dir)
    if directory is None:
        return Response(headers={"Content-Type": "text/html"})
    return FileResponse(directory / INDEX, headers={"Cache-Control": "no-cache"})


@router.get("/{name:path}")
async def file(name: str, control: ControlDep) -> Response:
    """A file of the web directory."""
    directory = web_directory(control.node.config.http_base_dir)
    found = file_in(directory, name) if directory else None
    if found is None:
        raise HTTPException(404)
    return FileResponse(found, media_type=mimetypes.guess_type(found.name)[0] or "text/plain")


def add_documentation(app: FastAPI) -> None:
    """Add /docs with its assets, so that it works without any network."""
    assets = Path(str(files("fastapi_offline") / "static"))
    served = {"swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"}

    def page(document: str, title: str) -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=document,
            title=title,
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="/docs/favicon.png",
            swagger_ui_parameters={"validatorUrl": None},
        )

    @app.get("/docs", include_in_schema=False)
    async def native() -> HTMLResponse:
        return page("/api/v1/openapi.json", "AES67 node")

    @app.get("/docs/contract", include_in_schema=False)
    async def contract() -> HTMLResponse:
        return page("/api/openapi.json", "AES67 node, interface of the AES67 daemon")

    @app.get("/docs/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        if name not in served:
            raise HTTPException(404)
        return FileResponse(assets / name)
