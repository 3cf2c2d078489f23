"""The HTTP application: routes put together, errors worded, the guard in front."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from aes67.config.tree import TreeError
from aes67.control.control import Control
from aes67.errors import Refused
from aes67_api import documents, metrics, pages
from aes67_api.compat import others, settings, streamer, streams
from aes67_api.gaps import GapSums
from aes67_api.guard import Guard
from aes67_api.v1 import clock, events, listen, problems, routes

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def create(control: Control) -> ASGIApp:
    """The application over a control process."""
    app = FastAPI(
        title="AES67",
        version=routes.own_version(),
        description="Professional network audio without a kernel module. `contract` are the routes "
        "of the AES67 daemon, `v1` are ours.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.control = control
    app.state.watch = events.watch_of(control)
    app.state.gaps = GapSums()
    contract = (settings.router, streams.router, others.router, streamer.router)
    ours = (routes.router, clock.router, listen.router, events.router)
    for router in (*contract, *ours, metrics.router):
        app.include_router(router)
    documents.add_documents(app)
    pages.add_documentation(app)
    app.include_router(pages.router)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Refused, problems.of_refusal)
    app.add_exception_handler(TreeError, problems.of_tree)
    app.add_exception_handler(RequestValidationError, problems.of_validation)
    return Guard(app, lambda: control.node.config.http_allowed_hosts.split(","))


async def _no_route(request: Request, error: Exception) -> Response:
    """An unknown path or method: empty, as the contract has it; in /api/v1 a problem."""
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/api/v1/"):
        answer = problems.problem(error.status_code, str(error.detail), "", None, "no such route")
        if error.status_code == 405:
            answer.headers["Allow"] = documents.methods_at(request.app, request.url.path)
        return answer
    if request.method not in METHODS:
        return Response(status_code=400)
    has_body = request.headers.get("content-length", "0") != "0" or (
        "transfer-encoding" in request.headers
    )
    if request.method in ("POST", "PUT", "PATCH") and not has_body:
        return Response(status_code=400)
    return Response(status_code=404 if error.status_code == 405 else error.status_code)
