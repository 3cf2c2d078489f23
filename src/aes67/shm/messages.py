"""Messages of the ALSA socket, between the plugin and the engine."""

from __future__ import annotations

from aes67.shm.constants import MAX_RATES, NAME_BYTES
from aes67.shm.schema import I32, I64, U16, U32, Field, Struct

__all__ = ["CAPS", "CTL", "EVENT", "HELLO", "SETUP", "STREAM_REPLY"]

_MESSAGE_HEAD = (
    Field("magic", U32, 0, "MESSAGE_MAGIC"),
    Field("major", U16, 4, "VERSION_MAJOR; another one is refused with a clear text"),
    Field("minor", U16, 6, "VERSION_MINOR; unknown trailing bytes are ignored"),
    Field("type", U32, 8, "MSG_..."),
    Field("size", U32, 12, "bytes of the whole message"),
    Field("serial", U32, 16, "of a request; its reply carries the same"),
    Field("status", I32, 20, "reply: 0 or -errno"),
)

HELLO = Struct(
    "msg_hello",
    192,
    "Client to engine at open. Reply: CAPS with the clock page's descriptor.",
    (
        *_MESSAGE_HEAD,
        Field("direction", U32, 24, "PLAYBACK or CAPTURE"),
        Field("first", U32, 28, "FIRST parameter"),
        Field("channels", U32, 32, "CHANNELS parameter, 0: any"),
        Field("exclusive", U32, 36, "EXCLUSIVE parameter: 1 refuses when its channels are in use"),
        Field("pid", U32, 40, "of the application, for logs only"),
        Field("is_control", U32, 44, "1: a control device, no PCM"),
        Field("device", "u1", 48, "PCM name, NUL padded", NAME_BYTES),
        Field("application", "u1", 112, "process name, NUL padded", NAME_BYTES),
    ),
)

CAPS = Struct(
    "msg_caps",
    192,
    "Engine to client: what the device is.",
    (
        *_MESSAGE_HEAD,
        Field("generation", I64, 24, "engine start, as in the clock page"),
        Field("rate_count", U32, 32, "valid entries of rates"),
        Field("bus_channels", U32, 36, "device channels of this direction"),
        Field("channels_min", U32, 40, ""),
        Field("channels_max", U32, 44, ""),
        Field("period_frames_min", U32, 48, "6 at 48 kHz, scaled with the rate"),
        Field("quantum_ns", U32, 52, "step of hw_ptr: 125000"),
        Field(
            "rates", U32, 56, "rates the device can run at; one, unless rate_follows_app", MAX_RATES
        ),
        Field(
            "buffer_bytes_max", I64, 88, "largest ALSA buffer in bytes of the application's format"
        ),
        Field("tick_ns", I64, 96, "nominal distance of ticks"),
        Field("delay_ns", I64, 104, "added to delay: playback_delay of the configuration"),
        Field("grid_ns", I64, 112, "start rounds the anchor up to a multiple of this media time"),
    ),
)

SETUP = Struct(
    "msg_setup",
    64,
    "Client to engine at hw_params. Reply: STREAM with one descriptor (stream or bus memory).",
    (
        *_MESSAGE_HEAD,
        Field("rate", U32, 24, "frames per second"),
        Field("channels", U32, 28, ""),
        Field("format", U32, 32, "index in FORMATS; information only"),
        Field("period_frames", U32, 36, ""),
        Field("buffer_frames", I64, 40, ""),
    ),
)

STREAM_REPLY = Struct(
    "msg_stream",
    64,
    "Engine to client: the memory of a set-up PCM.",
    (
        *_MESSAGE_HEAD,
        Field("stream_id", I64, 24, "playback: of the stream; capture: 0"),
        Field("bytes", I64, 32, "size of the memory behind the descriptor"),
        Field("ring_frames", I64, 40, "playback: of the stream's ring; capture: of the bus"),
        Field("channels", I64, 48, "playback: of the ring; capture: of the bus"),
    ),
)

EVENT = Struct(
    "msg_event",
    32,
    "Engine to client, unasked; also FREE (client to engine), which has no payload.",
    (*_MESSAGE_HEAD, Field("kind", U32, 24, "EVENT_...")),
)

CTL = Struct(
    "msg_ctl",
    40,
    "CTL_READ and CTL_WRITE from a control device, CTL_VALUE as reply.",
    (
        *_MESSAGE_HEAD,
        Field("element", U32, 24, "CTL_..."),
        Field("channel", U32, 28, "0 or 1; reserved, all device channels share one gain"),
        Field("value", I64, 32, "volume in dB (-99 is mute), switch 0 or 1"),
    ),
)
