"""One HTTP connection of uvicorn's, with an end to its patience.

uvicorn lets go of a client that is silent after an answer, but waits for ever for the first request
and for the rest of one that has begun. Nothing is counted as idle then, and a thousand such
connections would be all there may be.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 10.0
"""From a connection's beginning, or its last answer, until the next request must be there."""


class Connection(H11Protocol):
    """A connection that is closed when no request has come for REQUEST_SECONDS.

    Whole requests count, not bytes. While one is answered there is no limit: listening to a stream
    has no end (a body has `guard.BODY_SECONDS`).
    """

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._end_patience()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """A request has been answered."""
        self._wait()
        super().on_response_complete()

    def _wait(self) -> None:
        self._end_patience()
        self._patience = self.loop.call_later(REQUEST_SECONDS, self._overdue)

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _overdue(self) -> None:
        is_websocket = self.transport.get_protocol() is not self
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if not is_websocket and not is_answering:
            self.transport.close()
