"""SETUP, PLAY and TEARDOWN for players (RFC 2326, 10.4 to 10.7): no socket, no clock.

Our streams go to a group whether somebody listens or not, so a player that has set one up knows
where to listen and nothing else has happened: no packet is sent, stopped or moved for it. What it
has set up belongs to its connection, and is forgotten with it or after SESSION_SECONDS without a
request.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from aes67.errors import WireError
from aes67.wire import rtsp_transport, sdp
from aes67.wire.rtsp import Headers, RtspRequest, RtspResponse
from aes67.wire.rtsp_transport import Transport
from aes67.wire.sdp_media import audio_streams
from aes67.wire.sdp_stream import Leg

SESSION_SECONDS = 60
METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"


@dataclass
class Player:
    """What one connection has set up: sources by number."""

    name: str
    """Of the session, as the client has to give it back."""
    seen_ns: int
    sources: set[int] = field(default_factory=set)

    def heard(self, now_ns: int) -> None:
        """The connection has made a request, whichever."""
        if now_ns - self.seen_ns > SESSION_SECONDS * 1_000_000_000:
            self.sources.clear()
        self.seen_ns = now_ns

    def answer(
        self, request: RtspRequest, cseq: Headers, found: tuple[int, str] | None
    ) -> RtspResponse:
        """The answer to SETUP, PLAY or TEARDOWN of a source and its description."""
        given = (request.header("Session") or "").partition(";")[0].strip()
        if given and (given != self.name or not self.sources):
            return RtspResponse(cseq, b"", 454, "Session Not Found")
        if found is None:
            return RtspResponse(cseq, b"", 404, "Not found")
        if request.method == "SETUP":
            return self._set_up(request, cseq, *found)
        if not given or found[0] not in self.sources:
            return RtspResponse(cseq, b"", 454, "Session Not Found")
        if request.method == "TEARDOWN":
            self.sources.discard(found[0])
            return RtspResponse((*cseq, ("Session", self.name)))
        return RtspResponse((*cseq, ("Session", self.name), ("Range", "npt=now-")))

    def _set_up(
        self, request: RtspRequest, cseq: Headers, source: int, description: str
    ) -> RtspResponse:
        try:
            offers = rtsp_transport.parse(request.header("Transport") or "")
        except WireError:
            return RtspResponse(cseq, b"", 400, "Bad Request")
        leg = _group(description)
        if leg is None or not any(_fits(offer) for offer in offers):
            return RtspResponse(cseq, b"", 461, "Unsupported Transport")
        self.sources.add(source)
        session = f"{self.name};timeout={SESSION_SECONDS}"
        return RtspResponse((*cseq, ("Session", session), ("Transport", granted(leg).text)))


def granted(leg: Leg) -> Transport:
    """The transport of a stream that is sent to a group."""
    parameters: list[tuple[str, str | None]] = [("multicast", None), ("destination", leg.address)]
    if len(leg.included) == 1:
        parameters.append(("source", leg.included[0]))
    parameters += [("port", f"{leg.port}-{leg.port + 1}"), ("ttl", str(leg.ttl or 1))]
    return Transport("RTP/AVP", (*parameters, ("mode", '"PLAY"')))


def _fits(offer: Transport) -> bool:
    return offer.is_multicast and "record" not in (offer.get("mode") or "").lower()


def _group(description: str) -> Leg | None:
    """Where the first stream of a description is sent to; None when that is no group."""
    try:
        leg = audio_streams(sdp.parse(description))[0].legs[0]
        return leg if ipaddress.ip_address(leg.address).is_multicast else None
    except (WireError, IndexError):
        return None
