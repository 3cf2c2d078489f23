"""The RTSP server that hands out descriptions, as sessions of bytes: no socket, no clock.

A session that has described a source is told of its later changes by ANNOUNCE and may stay silent
for ever, since its client only waits; one that has described nothing has IDLE_NS.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from aes67.discovery.remote import label
from aes67.discovery.rtsp_play import METHODS, Player
from aes67.errors import WireError
from aes67.wire import rtsp
from aes67.wire.rtsp import RtspReader, RtspRequest, RtspResponse

MAX_SESSIONS = 128
IDLE_NS = 60_000_000_000
USER_AGENT = "aes67-daemon"
"""The contract's name: clients may know it."""

Find = Callable[[str], "tuple[int, str] | None"]
"""From a decoded path to a source's id and description."""


@dataclass
class _Session:
    seen_ns: int
    player: Player
    reader: RtspReader = field(default_factory=RtspReader)
    described: dict[int, str] = field(default_factory=dict)
    """What it knows of each source."""
    announced: int = 0


@dataclass(frozen=True)
class Output:
    """Bytes for a session, which ends after them if `close`."""

    session: int
    data: bytes
    close: bool = False


class RtspServer:
    """All sessions of a server. `find` looks up what a DESCRIBE asks for."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._sessions: dict[int, _Session] = {}
        self._out: list[Output] = []

    def open(self, session: int, now_ns: int) -> None:
        """A client has connected; one too many ends the one idle longest, or itself."""
        self._sessions[session] = _Session(now_ns, Player(f"{session + 1:08d}", now_ns))
        if len(self._sessions) > MAX_SESSIONS:
            idle = [key for key, each in self._sessions.items() if not each.described]
            self._end(min(idle, key=lambda key: self._sessions[key].seen_ns))

    def closed(self, session: int) -> None:
        """The client has gone."""
        self._sessions.pop(session, None)

    def receive(self, session: int, data: bytes, now_ns: int) -> None:
        """Bytes of a session; whatever they are, this does not raise."""
        state = self._sessions.get(session)
        if state is None:
            return
        state.seen_ns = now_ns
        state.player.heard(now_ns)
        try:
            messages = state.reader.receive(data)
        except WireError:
            self._end(session, RtspResponse((), b"", 400, "Bad Request").pack())
            return
        for message in messages:
            if isinstance(message, RtspRequest):  # a response is one to our ANNOUNCE
                answer = self._answer(state, message)
                self._out.append(Output(session, answer.pack()))

    def changed(self, source: int, url: str, description: str) -> None:
        """Tell whoever described this source of its new description; `url` is its name now."""
        body = description.encode("utf-8", "surrogateescape")
        for key, session in self._sessions.items():
            if session.described.get(source, description) != description:
                session.described[source] = description
                headers = (
                    ("User-Agent", USER_AGENT),
                    ("connection", "Keep-Alive"),
                    ("CSeq", str(session.announced)),
                    ("Content-Length", str(len(body))),
                    ("Content-Type", "application/sdp"),
                )
                session.announced += 1
                request = RtspRequest(headers, body, "ANNOUNCE", url)
                self._out.append(Output(key, request.pack()))

    def outgoing(self) -> list[Output]:
        """What to send now."""
        out, self._out = self._out, []
        return out

    def handle_timer(self, now_ns: int) -> None:
        """End sessions that have asked for nothing for too long."""
        for key, session in list(self._sessions.items()):
            if not session.described and now_ns >= session.seen_ns + IDLE_NS:
                self._end(key)

    def next_deadline(self) -> int | None:
        """When `handle_timer` has something to do; None when never."""
        idle = [each.seen_ns + IDLE_NS for each in self._sessions.values() if not each.described]
        return min(idle, default=None)

    def _end(self, session: int, data: bytes = b"") -> None:
        self._out.append(Output(session, data, close=True))
        del self._sessions[session]

    def _answer(self, session: _Session, request: RtspRequest) -> RtspResponse:
        cseq = () if request.cseq is None else (("CSeq", str(request.cseq)),)
        if not cseq or request.version != rtsp.VERSION:
            return RtspResponse(cseq, b"", 400, "Bad Request")
        if request.method == "OPTIONS":
            return RtspResponse((*cseq, ("Public", METHODS)))
        if request.method not in METHODS.split(", "):
            return RtspResponse((*cseq, ("Allow", METHODS)), b"", 405, "Method Not Allowed")
        try:
            path = rtsp.parse_url(request.url).path
        except WireError:
            return RtspResponse(cseq, b"", 400, "Bad Request")
        found = self._find(path)
        if request.method != "DESCRIBE":
            return session.player.answer(request, cseq, found)
        if found is None:
            return RtspResponse(cseq, b"", 404, "Not found")
        session.described[found[0]] = found[1]
        body = found[1].encode("utf-8", "surrogateescape")
        headers = (
            *cseq,
            ("Content-Length", str(len(body))),
            ("Content-Type", "application/sdp"),
        )
        return RtspResponse(headers, body)


def by_path(path: str, node_id: str, sources: list[tuple[int, str, bool]]) -> int | None:
    """The source a path names, of (id, name, enabled): `/by-id/N` or `/by-name/NODE NAME`.

    Only enabled sources have names of their own, so they come first. A name may be cut to what mDNS
    can carry.
    """
    number = re.fullmatch("/by-id/([0-9]{1,4})/?", path)
    if number is not None:
        wanted = int(number[1])
        return next((key for key, _, _ in sources if key == wanted), None)
    wanted_name = path.removeprefix("/by-name/")
    if wanted_name == path:
        return None
    for enabled in (True, False):
        for key, name, is_enabled in sources:
            full = f"{node_id} {name}"
            if is_enabled is enabled and wanted_name in (full, label(full)):
                return key
    return None
