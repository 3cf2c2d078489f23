"""Messages of the ALSA socket: bytes to values and back, as `shm.layout` states them.

Pure; what a request means and whether it is granted is decided in `engine.alsa`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aes67.errors import WireError
from aes67.shm.layout import (
    CAPS,
    CTL,
    EVENT,
    HELLO,
    MAX_RATES,
    MESSAGE_MAGIC,
    MSG_CAPS,
    MSG_CTL_READ,
    MSG_CTL_VALUE,
    MSG_CTL_WRITE,
    MSG_EVENT,
    MSG_FREE,
    MSG_HELLO,
    MSG_SETUP,
    MSG_STREAM,
    SETUP,
    STREAM_REPLY,
    VERSION_MAJOR,
    VERSION_MINOR,
    Struct,
)

HEAD_BYTES = 24
"""magic to status: what every message begins with."""
MESSAGE_BYTES_MAX = 1024
"""Longest message accepted: ours are up to 192 bytes, a later minor version may add to them."""

REPLY_TYPES = {
    MSG_HELLO: MSG_CAPS,
    MSG_SETUP: MSG_STREAM,
    MSG_FREE: MSG_FREE,
    MSG_CTL_READ: MSG_CTL_VALUE,
    MSG_CTL_WRITE: MSG_CTL_VALUE,
}
_REQUESTS = {MSG_HELLO: HELLO, MSG_SETUP: SETUP, MSG_CTL_READ: CTL, MSG_CTL_WRITE: CTL}
_REPLIES = {MSG_CAPS: CAPS, MSG_STREAM: STREAM_REPLY, MSG_FREE: EVENT, MSG_CTL_VALUE: CTL}


@dataclass(frozen=True)
class Head:
    """The common head of a request."""

    type: int
    serial: int
    major: int


@dataclass(frozen=True)
class Hello:
    """What an application opens. `direction` and `is_control` are as sent, unchecked."""

    direction: int
    first: int
    channels: int
    exclusive: bool
    pid: int
    is_control: bool
    device: str
    application: str


@dataclass(frozen=True)
class Setup:
    """The hardware parameters an application chose, unchecked."""

    rate: int
    channels: int
    format: int
    period_frames: int
    buffer_frames: int


@dataclass(frozen=True)
class Caps:
    """What the device offers one client; meanings and units as in `layout.CAPS`."""

    generation: int
    rates: tuple[int, ...]
    bus_channels: int
    channels_min: int
    channels_max: int
    period_frames_min: int
    quantum_ns: int
    buffer_bytes_max: int
    tick_ns: int
    delay_ns: int
    grid_ns: int


@dataclass(frozen=True)
class Stream:
    """The memory of a PCM that was set up: fields of STREAM, and the descriptor sent with it."""

    stream_id: int
    size: int
    ring_frames: int
    channels: int
    descriptor: int


@dataclass(frozen=True)
class Control:
    """A read or write of one element of the control device."""

    element: int
    channel: int
    value: int


def parse_head(data: bytes) -> Head:
    """The head of a request of any version.

    Raises:
        WireError: shorter than a head, another magic, or a size that is not the message's own.
    """
    if len(data) < HEAD_BYTES:
        raise WireError("message is shorter than its head", len(data))
    # HELLO, SETUP, CTL and EVENT all begin with the same head.
    head = np.frombuffer(data[:HEAD_BYTES], dtype=_HEAD)[0]
    if int(head["magic"]) != MESSAGE_MAGIC:
        raise WireError("magic is not MESSAGE_MAGIC", 0)
    if int(head["size"]) != len(data):
        raise WireError("size is not that of the message", 12)
    return Head(int(head["type"]), int(head["serial"]), int(head["major"]))


def _head_dtype() -> np.dtype[np.void]:
    fields = [field for field in EVENT.fields if field.offset < HEAD_BYTES]
    return Struct("head", HEAD_BYTES, "", tuple(fields)).dtype


_HEAD = _head_dtype()


def parse_hello(data: bytes) -> Hello:
    """Raises WireError when it is too short; text that is no UTF-8 is shown as far as it can be."""
    record = _record(data, MSG_HELLO)
    return Hello(
        direction=int(record["direction"]),
        first=int(record["first"]),
        channels=int(record["channels"]),
        exclusive=int(record["exclusive"]) != 0,
        pid=int(record["pid"]),
        is_control=int(record["is_control"]) != 0,
        device=_text(record["device"]),
        application=_text(record["application"]),
    )


def parse_setup(data: bytes) -> Setup:
    """Raises WireError when it is too short."""
    record = _record(data, MSG_SETUP)
    return Setup(
        rate=int(record["rate"]),
        channels=int(record["channels"]),
        format=int(record["format"]),
        period_frames=int(record["period_frames"]),
        buffer_frames=int(record["buffer_frames"]),
    )


def parse_control(data: bytes) -> Control:
    """Raises WireError when it is too short."""
    record = _record(data, MSG_CTL_READ)
    return Control(int(record["element"]), int(record["channel"]), int(record["value"]))


def build_caps(serial: int, caps: Caps) -> bytes:
    """CAPS, the reply to HELLO."""
    record = _blank(MSG_CAPS, serial)
    for name, value in vars(caps).items():
        if name != "rates":
            record[name] = value
    record["rate_count"] = len(caps.rates)
    record["rates"] = caps.rates + (0,) * (MAX_RATES - len(caps.rates))
    return bytes(record.tobytes())


def build_stream(serial: int, stream: Stream) -> bytes:
    """STREAM, the reply to SETUP."""
    record = _blank(MSG_STREAM, serial)
    record["stream_id"] = stream.stream_id
    record["bytes"] = stream.size
    record["ring_frames"] = stream.ring_frames
    record["channels"] = stream.channels
    return bytes(record.tobytes())


def build_control_value(serial: int, control: Control) -> bytes:
    """CTL_VALUE, the reply to CTL_READ and CTL_WRITE."""
    record = _blank(MSG_CTL_VALUE, serial)
    record["element"] = control.element
    record["channel"] = control.channel
    record["value"] = control.value
    return bytes(record.tobytes())


def build_event(kind: int) -> bytes:
    """EVENT, sent unasked; `kind` is EVENT_RECONFIGURED or EVENT_CONTROL."""
    record = _blank(MSG_EVENT, 0)
    record["kind"] = kind
    return bytes(record.tobytes())


def build_reply(head: Head, error: int = 0) -> bytes:
    """A reply without content: of full size, zeros but for its head, status 0 or -`error`."""
    record = _blank(REPLY_TYPES.get(head.type, MSG_FREE), head.serial)
    record["status"] = -error
    return bytes(record.tobytes())


def _record(data: bytes, kind: int) -> Any:
    struct = _REQUESTS[kind]
    if len(data) < struct.size:
        raise WireError(f"{struct.name} has {struct.size} bytes, not {len(data)}", len(data))
    return np.frombuffer(data[: struct.size], dtype=struct.dtype)[0]


def _blank(kind: int, serial: int) -> Any:
    struct = EVENT if kind == MSG_EVENT else _REPLIES[kind]
    record = np.zeros(1, dtype=struct.dtype)[0]
    record["magic"] = MESSAGE_MAGIC
    record["major"] = VERSION_MAJOR
    record["minor"] = VERSION_MINOR
    record["type"] = kind
    record["size"] = struct.size
    record["serial"] = serial
    return record


def _text(field: Any) -> str:
    """A NUL-padded name as printable text: it ends up in logs and in the browser."""
    text = bytes(field).split(b"\0", 1)[0].decode("utf-8", errors="replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
