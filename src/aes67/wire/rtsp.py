"""RTSP messages (RFC 2326) over a stream of bytes: DESCRIBE, ANNOUNCE, OPTIONS and their answers.

Only messages: who answers what is `services.rtsp`'s. The reader is fed bytes as they come and gives
whole messages; it takes LF line ends and folded headers, passes over interleaved RTP (10.12), and
bounds everything. A request with another protocol name or version is a value too, so that a server
can answer 400 to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from aes67.errors import WireError

VERSION = "RTSP/1.0"
DEFAULT_PORT = 554
MAX_HEAD_BYTES = 8_192
"""Start line and headers together."""
MAX_HEADERS = 64
MAX_BODY_BYTES = 65_536

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_STATUS = re.compile(r"(RTSP/[0-9]\.[0-9]) +([1-5][0-9]{2})(?: +(.*))?")
_REQUEST = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) +(\S.*?) +(\S+/[0-9]\.[0-9])")
"""The URL may hold spaces, as a client that forgot to encode them writes."""
_URL = re.compile(
    r"rtsp://(?:[^@/?#\s]*@)?(\[[0-9A-Fa-f:.]+\]|[^:/?#\[\]\s]+)(?::([0-9]{1,5}))?([/?][^#\s]*)?",
    re.IGNORECASE,
)

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RtspMessage:
    """What requests and responses share: headers in their order, and a body."""

    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Value of the first header of this name in any case, None without one."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    @property
    def cseq(self) -> int | None:
        """Sequence number that joins a response to its request; None when missing or no number."""
        value = self.header("CSeq") or ""
        return int(value) if re.fullmatch("[0-9]{1,10}", value) else None

    def _pack(self, start: str) -> bytes:
        lines = [start]
        for name, value in self.headers:
            if not _TOKEN.fullmatch(name) or "\r" in value or "\n" in value:
                raise WireError(f"header {name[:40]!r} cannot be written")
            lines.append(f"{name}: {value}")
        if self.body and self.header("Content-Length") is None:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join((*lines, "", "")).encode("utf-8", "surrogateescape") + self.body


@dataclass(frozen=True)
class RtspRequest(RtspMessage):
    """A request. `version` is what the peer wrote, `RTSP/1.0` if it speaks RTSP."""

    method: str = "DESCRIBE"
    url: str = "*"
    version: str = VERSION

    def pack(self) -> bytes:
        """The request's bytes; Content-Length is added when there is a body.

        Raises:
            WireError: method, URL or a header would break the message.
        """
        if not _TOKEN.fullmatch(self.method) or not self.url or re.search(r"\s", self.url):
            raise WireError(f"request line {self.method[:20]!r} {self.url[:60]!r} is malformed")
        return self._pack(f"{self.method} {self.url} {self.version}")


@dataclass(frozen=True)
class RtspResponse(RtspMessage):
    """A response; `status` 100 to 599."""

    status: int = 200
    reason: str = "OK"
    version: str = VERSION

    def pack(self) -> bytes:
        """The response's bytes; Content-Length is added when there is a body.

        Raises:
            WireError: the reason or a header would break the message.
        """
        if "\r" in self.reason or "\n" in self.reason or not 100 <= self.status <= 599:
            raise WireError(f"status line {self.status} {self.reason[:40]!r} is malformed")
        return self._pack(f"{self.version} {self.status} {self.reason}")


@dataclass(frozen=True)
class RtspUrl:
    """`rtsp://host[:port]/path`: host without brackets, path percent-decoded with its slash."""

    host: str
    port: int = DEFAULT_PORT
    path: str = "/"

    @property
    def text(self) -> str:
        """The URL with the path percent-encoded; the port is always written."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp://{host}:{self.port}{quote(self.path, errors='surrogateescape')}"


def parse_url(text: str) -> RtspUrl:
    """Read an RTSP URL; a query stays part of the path.

    Raises:
        WireError: not an rtsp URL, or port 0 or above 65535.
    """
    match = _URL.fullmatch(text)
    if match is None:
        raise WireError(f"{text[:80]!r} is no rtsp URL")
    port = int(match[2] or DEFAULT_PORT)
    if not 0 < port < 65_536:
        raise WireError(f"port {port} is not 1 to 65535", match.start(2))
    path = unquote(match[3] or "/", errors="surrogateescape")
    return RtspUrl(match[1].strip("[]"), port, path if path.startswith("/") else f"/{path}")


class RtspReader:
    """Cuts a stream of bytes into messages.

    After a WireError the stream has lost its frame: close the connection.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._consumed = 0

    def receive(self, data: bytes) -> list[RtspRequest | RtspResponse]:
        """Take bytes; give the messages that are complete now.

        Raises:
            WireError: no RTSP message, or one beyond the bounds; `offset` counts from the first
                byte of the stream. Messages completed by the same call are lost with it.
        """
        self._buffer += data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    @property
    def pending(self) -> int:
        """Bytes of an unfinished message held."""
        return len(self._buffer)

    def _next(self) -> RtspRequest | RtspResponse | None:
        self._drop_between_messages()
        if self._buffer[:1] == b"$":
            return None
        end = _head_end(self._buffer)
        if end is None:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise WireError(f"headers of more than {MAX_HEAD_BYTES} octets", self._consumed)
            return None
        if end > MAX_HEAD_BYTES:
            raise WireError(f"headers of more than {MAX_HEAD_BYTES} octets", self._consumed)
        start, headers = _head(bytes(self._buffer[:end]), self._consumed)
        size = _body_size(headers, self._consumed)
        if len(self._buffer) < end + size:
            return None
        body = bytes(self._buffer[end : end + size])
        message = _message(start, headers, body, self._consumed)
        self._drop(end + size)
        return message

    def _drop_between_messages(self) -> None:
        """Empty lines (RFC 2326, 4.1) and interleaved binary data: `$`, channel, length, data."""
        while self._buffer:
            if self._buffer[0] in b"\r\n":
                self._drop(1)
            elif self._buffer[0] == ord("$") and len(self._buffer) >= 4:
                size = 4 + int.from_bytes(self._buffer[2:4], "big")
                if len(self._buffer) < size:
                    return
                self._drop(size)
            else:
                return

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._consumed += count


def _head_end(buffer: bytearray) -> int | None:
    """Position after the empty line that ends the headers."""
    match = re.search(rb"\r?\n\r?\n", buffer[: MAX_HEAD_BYTES + 4])
    return None if match is None else match.end()


def _head(data: bytes, offset: int) -> tuple[str, Headers]:
    lines = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n").rstrip("\n").split("\n")
    headers: list[tuple[str, str]] = []
    for line in lines[1:]:
        if line[:1] in (" ", "\t") and headers:
            name, value = headers[-1]
            headers[-1] = (name, f"{value} {line.strip()}")
            continue
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name.strip()):
            raise WireError(f"{line[:60]!r} is no header", offset)
        headers.append((name.strip(), value.strip()))
        if len(headers) > MAX_HEADERS:
            raise WireError(f"more than {MAX_HEADERS} headers", offset)
    return lines[0].strip(), tuple(headers)


def _body_size(headers: Headers, offset: int) -> int:
    text = RtspMessage(headers).header("Content-Length") or "0"
    if not re.fullmatch("[0-9]{1,9}", text):
        raise WireError(f"Content-Length {text[:40]!r} is no number", offset)
    if int(text) > MAX_BODY_BYTES:
        raise WireError(f"body of {text} octets is larger than {MAX_BODY_BYTES}", offset)
    return int(text)


def _message(start: str, headers: Headers, body: bytes, offset: int) -> RtspRequest | RtspResponse:
    status = _STATUS.fullmatch(start)
    if status is not None:
        return RtspResponse(headers, body, int(status[2]), status[3] or "", status[1])
    request = _REQUEST.fullmatch(start)
    if request is None:
        raise WireError(f"{start[:60]!r} starts no RTSP message", offset)
    return RtspRequest(headers, body, request[1], request[2], request[3])
