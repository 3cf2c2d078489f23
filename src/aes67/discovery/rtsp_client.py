"""The RTSP client that fetches a description and hears of its changes: no socket, no clock."""

from __future__ import annotations

from aes67.discovery.rtsp_server import USER_AGENT
from aes67.errors import WireError
from aes67.wire import rtsp
from aes67.wire.rtsp import RtspReader, RtspRequest, RtspResponse
from aes67.wire.sap import SDP_TYPE


class RtspClient:
    """One session with somebody's server: DESCRIBE, then wait for ANNOUNCE; no socket, no clock.

    Args:
        url: what to describe.
    """

    def __init__(self, url: rtsp.RtspUrl) -> None:
        self._reader = RtspReader()
        self._described = False
        headers = (("CSeq", "1"), ("User-Agent", USER_AGENT), ("Accept", "application/sdp"))
        self._out = RtspRequest(headers, b"", "DESCRIBE", url.text).pack()

    def receive(self, data: bytes) -> list[tuple[str, bytes]]:
        """Bytes of the server; gives (name, description): the first has an empty name, later ones
        that of the URL announced.

        Raises:
            WireError: the server speaks no RTSP, or does not give the description: disconnect.
        """
        found = []
        for message in self._reader.receive(data):
            if isinstance(message, RtspResponse):
                if not self._described and message.cseq == 1:
                    found.append(("", _body(message)))
                    self._described = True
            else:
                found += self._request(message)
        return found

    def outgoing(self) -> bytes:
        """Bytes to send now."""
        out, self._out = self._out, b""
        return out

    def _request(self, request: RtspRequest) -> list[tuple[str, bytes]]:
        cseq = () if request.cseq is None else (("CSeq", str(request.cseq)),)
        kind = (request.header("Content-Type") or SDP_TYPE).partition(";")[0].strip().lower()
        if request.method != "ANNOUNCE" or kind != SDP_TYPE or not request.body:
            self._out += RtspResponse(cseq, b"", 405, "Method Not Allowed").pack()
            return []
        self._out += RtspResponse(cseq).pack()
        try:
            path = rtsp.parse_url(request.url).path
        except WireError:
            path = ""
        return [(path.removeprefix("/by-name/") if "/by-name/" in path else "", request.body)]


def _body(answer: RtspResponse) -> bytes:
    kind = (answer.header("Content-Type") or SDP_TYPE).partition(";")[0].strip().lower()
    if answer.status != 200 or kind != SDP_TYPE or not answer.body:
        raise WireError(f"the server answers {answer.status} {kind} without a description")
    return answer.body
