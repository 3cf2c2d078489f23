"""`/api/v1/events`: a websocket that begins with a snapshot and goes on with what changes."""

from __future__ import annotations

import asyncio
import contextlib
import json

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from aes67.config.reading import full_report
from aes67.control.control import Control
from aes67.control.watch import Watch, Watcher
from aes67_api.v1.routes import own_version

router = APIRouter(prefix="/api/v1")

WATCHERS_MAX = 64
PATIENCE_SECONDS = 20.0
"""A client that takes nothing for so long is let go."""
TRY_AGAIN_LATER = 1013
GOING_AWAY = 1001


def watch_of(control: Control) -> Watch:
    """The one look at a control process that serves all its watchers."""
    watch = Watch(
        lambda: control.views.status(own_version()),
        lambda: control.discovery.sources("all"),
        lambda: full_report(control.node.config, control.node.computed),
    )
    control.node.subscribe(watch.happened)
    return watch


@router.websocket("/events")
async def events(socket: WebSocket) -> None:
    """Serve one client; what it sends is not looked at."""
    watch = socket.app.state.watch
    assert isinstance(watch, Watch)
    if len(watch) >= WATCHERS_MAX:
        await socket.close(TRY_AGAIN_LATER)
        return
    await socket.accept()
    watcher = watch.begin()
    telling = asyncio.create_task(_tell(socket, watcher))
    hearing = asyncio.create_task(_hear(socket))
    try:
        await asyncio.wait({telling, hearing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watch.end(watcher)
        for task in (telling, hearing):
            task.cancel()
        await asyncio.wait({telling, hearing})
    if not telling.cancelled():
        telling.result()


async def _tell(socket: WebSocket, watcher: Watcher) -> None:
    with contextlib.suppress(WebSocketDisconnect, TimeoutError, RuntimeError):
        while True:
            for message in await watcher.next():
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await socket.send_text(json.dumps(message, ensure_ascii=False))
    with contextlib.suppress(Exception):
        await socket.close(GOING_AWAY)


async def _hear(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
