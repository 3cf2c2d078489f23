"""The streamer's answers as HTTP: bytes passed on as they come, and hung up when nobody is left."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from aes67.services.streamer import Answer
from aes67_api.guard import HEAD_ONLY


class Relay(StreamingResponse):
    """What follows the first line of an answer, until either side ends."""

    def __init__(self, answer: Answer, headers: Mapping[str, str]) -> None:
        super().__init__(answer.chunks(), headers=headers)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; the worker hears of the end, whatever ended it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.close()


def endless(request: Request, answer: Answer, media_type: str) -> Response:
    """A live stream; to HEAD only its headers."""
    headers = {"Content-Type": media_type, "Cache-Control": "no-store"}
    if request.scope.get(HEAD_ONLY):
        answer.close()
        return Response(headers=headers)
    return Relay(answer, headers)


async def whole(answer: Answer) -> bytes:
    """What follows the first line, of an answer that ends."""
    return b"".join([chunk async for chunk in answer.chunks()])
