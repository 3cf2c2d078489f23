"""What control and the streamer's worker say to each other: settings, requests, first lines.

Messages are JSON objects over a SOCK_SEQPACKET pair:

    engine    control -> worker  two descriptors: clock page, capture bus; none: there is no engine
    settings  control -> worker  Settings
    open      control -> worker  Request, with one descriptor: the socket to answer on

The answer to `open` is one line of JSON (`error`, empty when all is well, and what else belongs to
the request), then the bytes of a file, or of a live stream until either side closes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from aes67.errors import WireError

MESSAGE_BYTES_MAX = 1 << 18
DESCRIPTORS_MAX = 2
HEAD_BYTES_MAX = 4096

KINDS = ("info", "file", "live", "listen")
FORMATS = {"aac": "audio/aac", "opus": "audio/ogg", "wav": "audio/wav"}
"""Formats of `listen` and their media types."""

NOT_RUNNING = "not running"
NOT_CAPTURED = "not captured"
BUFFERING = "buffering"
NO_SINK = "no sink"
NO_FILE = "no file"
NO_CODEC = "no codec"
NO_ENGINE = "no engine"
NO_CHANNEL = "no channel"
FULL = "full"
ERRORS = (
    NOT_RUNNING,
    NOT_CAPTURED,
    BUFFERING,
    NO_SINK,
    NO_FILE,
    NO_CODEC,
    NO_ENGINE,
    NO_CHANNEL,
    FULL,
)
"""Values of `error` in an answer's first line."""


@dataclass(frozen=True)
class Settings:
    """What to record, and for whom.

    `running`: files are recorded, since the clock is locked. `sinks`: device channels of each sink.
    """

    running: bool = False
    channels: int = 8
    files_num: int = 8
    file_seconds: int = 1
    player_files: int = 1
    sinks: dict[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One question about a sink: its info, a file, the files as they come, or a live stream.

    `channels` are indices into the sink's map, empty for all or the first two; `format` is one of
    FORMATS.
    """

    kind: str
    sink: int
    file: int = 0
    format: str = ""
    channels: tuple[int, ...] = ()


def settings_message(settings: Settings) -> bytes:
    """The `settings` message."""
    fields = asdict(settings)
    fields["sinks"] = {str(number): list(row) for number, row in settings.sinks.items()}
    return json.dumps({"type": "settings", **fields}).encode()


def request_message(request: Request) -> bytes:
    """The `open` message."""
    return json.dumps({"type": "open", **asdict(request)}).encode()


def read_message(data: bytes) -> tuple[str, Settings | Request | None]:
    """A message's type and content; None for `engine`.

    Raises:
        WireError: it is none of ours.
    """
    try:
        fields = json.loads(data)
        kind = fields["type"]
        if kind == "engine":
            return kind, None
        if kind == "settings":
            return kind, _settings(fields)
        if kind == "open":
            return kind, _request(fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WireError(f"not a message of the streamer: {error}") from error
    raise WireError(f"no message of the streamer has type {kind!r}")


def head(error: str = "", **fields: Any) -> bytes:
    """First line of an answer."""
    return json.dumps({"error": error, **fields}).encode() + b"\n"


def _settings(fields: dict[str, Any]) -> Settings:
    return Settings(
        bool(fields["running"]),
        int(fields["channels"]),
        int(fields["files_num"]),
        int(fields["file_seconds"]),
        int(fields["player_files"]),
        {int(key): tuple(int(each) for each in row) for key, row in fields["sinks"].items()},
    )


def _request(fields: dict[str, Any]) -> Request:
    if fields["kind"] not in KINDS:
        raise ValueError(f"kind {fields['kind']!r}")
    channels = tuple(int(each) for each in fields["channels"])
    return Request(
        fields["kind"], int(fields["sink"]), int(fields["file"]), str(fields["format"]), channels
    )
