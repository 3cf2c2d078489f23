"""Listening to a sink in a browser or a player: live, from the capture bus, nobody's device."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from aes67.errors import Refused
from aes67.services.streamer import StreamerGone
from aes67.streamer import protocol
from aes67_api.deps import ControlDep
from aes67_api.relay import endless
from aes67_api.v1.problems import RESPONSES, problem, said
from aes67_api.v1.routes import SinkId

router = APIRouter(prefix="/api/v1", tags=["v1"], responses=RESPONSES)

AUDIO: dict[int | str, dict[str, Any]] = {
    409: said("there is nothing to hear it with: no streamer, no engine, no codec, no room"),
    200: {
        "description": "audio without end",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in protocol.FORMATS.values()
        },
    }
}
RULES = {
    protocol.NO_CHANNEL: "the sink has no such channels, or the format not so many",
    protocol.NO_CODEC: "the Python package av is not installed: only listen.wav is there",
    protocol.NO_ENGINE: "the engine is not running",
    protocol.FULL: "too many listeners",
}
CHANNEL_LIST = r"^\d{1,2}(,\d{1,2}){0,63}$"

Channels = Annotated[
    str,
    Query(
        description="channels of the sink from 0, such as `2,3`; absent: of WAV all, else the "
        "first two. Opus carries two, AAC eight.",
        pattern=CHANNEL_LIST,
    ),
]


@router.get("/sinks/{id}/listen.{format}", responses=AUDIO, response_class=Response)
async def listen(
    id: SinkId,
    format: Literal["opus", "wav", "aac"],
    request: Request,
    control: ControlDep,
    channels: Channels | None = None,
) -> Response:
    """What a sink receives, as it comes (needs `streamer_enabled`)."""
    control.node.sink(id)
    chosen = tuple(int(each) for each in (channels or "").split(",") if each)
    try:
        answer = await control.streaming.ask(
            protocol.Request("listen", id, format=format, channels=chosen)
        )
    except StreamerGone as gone:
        return problem(409, "No streamer", "", None, str(gone))
    reason = answer.head["error"]
    if not reason:
        return endless(request, answer, protocol.FORMATS[format])
    answer.close()
    if reason == protocol.NO_CHANNEL:
        raise Refused("channels", channels or "", RULES[reason])
    return problem(409, "Cannot be heard", "", None, RULES.get(reason, reason))
