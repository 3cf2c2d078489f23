"""Contract routes of the streamer: AAC files of sinks, and a stream of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response

from aes67.control.control import Control
from aes67.services.streamer import Answer, StreamerGone
from aes67.session.model import SINKS
from aes67.session.view import NOT_IN_USE
from aes67.streamer import protocol
from aes67_api import schema
from aes67_api.answers import CORS, INVALID_ID, error, json, number
from aes67_api.compat.streams import NO_INT, Digits, digits
from aes67_api.deps import ControlDep
from aes67_api.relay import endless, whole

router = APIRouter(prefix="/api", tags=["contract"], default_response_class=Response)

NOT_ENABLED = "streamer not enabled"
NOT_COMPILED = "streamer support not compiled-in"
AAC = protocol.FORMATS["aac"]
MESSAGES = {
    protocol.NOT_RUNNING: "not running, check PTP lock",
    protocol.NOT_CAPTURED: "sink channel not captured",
    protocol.BUFFERING: "not enough samples buffered, retry later",
    protocol.NO_SINK: NOT_IN_USE,
    protocol.NO_FILE: "invalid file id",
    protocol.FULL: "too many listeners",
}
STATUS = {
    "": 0,
    protocol.NOT_RUNNING: 1,
    protocol.NOT_CAPTURED: 2,
    protocol.BUFFERING: 3,
    protocol.NO_SINK: 6,
}
OFF, INVALID = 4, 5
EMPTY = {
    "status": 0,
    "file_duration": 0,
    "files_num": 0,
    "player_buffer_files_num": 0,
    "start_file_id": 0,
    "current_file_id": 0,
    "channels": 0,
    "format": "",
    "rate": 0,
}


@router.get("/streamer/info/{id}", responses=schema.answer(schema.StreamerInfo))
async def streamer_info(id: Digits, control: ControlDep) -> Response:
    """State of the streamer for a sink, and where in the ring of files it is."""
    key = number(digits(id))
    if not control.streaming.enabled:
        return json(EMPTY | {"status": OFF})
    if not control.streaming.can_encode:
        raise HTTPException(404)
    if key is None or key >= SINKS:
        return json(EMPTY | {"status": INVALID})
    head = await _info(control, key)
    if head["error"]:
        return json(EMPTY | {"status": STATUS.get(head["error"], 1)})
    config = control.node.config
    return json(
        {
            "status": 0,
            "file_duration": config.streamer_file_duration,
            "files_num": config.streamer_files_num,
            "player_buffer_files_num": config.streamer_player_buffer_files_num,
            "start_file_id": head["start"],
            "current_file_id": head["current"],
            "channels": head["channels"],
            "format": "s16",
            "rate": head["rate"],
        }
    )


@router.get("/streamer/stream/{id}", responses=schema.answer(media_type=AAC))
async def stream(id: Digits, request: Request, control: ControlDep) -> Response:
    """The files of a sink as they are finished, without end."""
    answer = await _ask(control, "live", "failed to init streamer", id)
    return answer if isinstance(answer, Response) else endless(request, answer, AAC)


@router.get("/streamer/stream/{id}/{file}", responses=schema.answer(media_type=AAC))
async def stream_file(id: Digits, file: Digits, control: ControlDep) -> Response:
    """A file of a sink's ring."""
    answer = await _ask(control, "file", "failed to fetch stream", id, file)
    if isinstance(answer, Response):
        return answer
    head = answer.head
    headers = {
        "X-File-Count": str(head["count"]),
        "X-File-Current-Id": str(head["current"]),
        "X-File-Start-Id": str(head["start"]),
        "Content-Type": AAC,
    }
    return Response(await whole(answer), headers=CORS | headers)


async def _ask(control: Control, kind: str, what: str, id: str, *file: str) -> Answer | Response:
    """The worker's answer, or the refusal in the contract's words."""
    key, place = _numbers(id, *file)
    if not control.streaming.enabled:
        return error(NOT_ENABLED)
    if not control.streaming.can_encode:
        return error(NOT_COMPILED)
    if key is None or place is None:
        return error(NO_INT)
    if key not in control.node.sinks:
        reason = NOT_IN_USE if key < SINKS else INVALID_ID
        return error(f"failed to retrieve sink {key} : (daemon) {reason}")
    try:
        answer = await control.streaming.ask(protocol.Request(kind, key, place))
    except StreamerGone:
        return error(f"{what} {key} : (daemon) {MESSAGES[protocol.NOT_RUNNING]}")
    if answer.head["error"]:
        answer.close()
        reason = MESSAGES.get(answer.head["error"], answer.head["error"])
        return error(f"{what} {key} : (daemon) {reason}")
    return answer


def _numbers(*parts: str) -> Sequence[int | None]:
    """Sink and file of a path; 404 where one is no number."""
    found = [number(digits(part)) for part in parts]
    return found if len(found) == 2 else [*found, 0]


async def _info(control: Control, key: int) -> dict[str, Any]:
    if key not in control.node.sinks:
        return {"error": protocol.NO_SINK}
    try:
        answer = await control.streaming.ask(protocol.Request("info", key))
    except StreamerGone:
        return {"error": protocol.NOT_RUNNING}
    answer.close()
    return answer.head
