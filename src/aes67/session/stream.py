"""What a sink's session description means to us: the first audio stream, judged.

Reading is `wire.sdp`'s; here a readable description is refused when this device cannot receive it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

from aes67.errors import Refused, WireError
from aes67.session.model import SINKS, Sink
from aes67.shm.layout import (
    CODEC_AM824,
    CODEC_AM824_AES3,
    CODEC_L16,
    CODEC_L24,
    MAX_LEGS,
    MAX_STREAM_CHANNELS,
)
from aes67.wire import sdp
from aes67.wire.payload import MAX_PAYLOAD_BYTES
from aes67.wire.sdp_media import audio_streams
from aes67.wire.sdp_stream import AudioStream, Leg
from aes67.wire.sdp_timing import timing_advice

CODECS = {"L16": (CODEC_L16, 2), "L24": (CODEC_L24, 3), "AM824": (CODEC_AM824, 4)}
"""Codec name: number in the tables, bytes a sample."""


@dataclass(frozen=True)
class SinkStream:
    """A receivable stream.

    `frames_per_packet` is 0 when the description does not say; `timing` is direct, latched or
    async with the reason in words; `offset` the RTP timestamp at the epoch of the media clock.
    """

    audio: AudioStream
    legs: tuple[Leg, ...]
    codec: int
    frames_per_packet: int
    timing: str
    timing_reason: str
    offset: int
    origin: sdp.Origin | None
    session_name: str


def codec_number(name: str, framing: str) -> int:
    """Number of a codec in the tables; `framing` decides for AM824."""
    if name == "AM824" and framing == "aes3":
        return CODEC_AM824_AES3
    return CODECS[name][0]


def interpret(sink: Sink) -> SinkStream:
    """The stream a sink's description speaks of.

    Raises:
        Refused: on field `sdp`, when it has no reading or names a stream we cannot receive.
    """
    return _interpret(sink.sdp, sink.timing, sink.framing)


@lru_cache(maxsize=4 * SINKS)
def _interpret(text: str, wanted_timing: str, framing: str) -> SinkStream:
    """The same for the fields that count: a plan asks for all sinks, of which one has changed."""
    try:
        description = sdp.parse(text)
        streams = audio_streams(description)
    except WireError as error:
        place = f"line {error.offset}: " if error.offset else ""
        raise Refused("sdp", _short(text), place + error.reason) from None
    if not streams:
        raise Refused("sdp", _short(text), "no m=audio line")
    audio = streams[0]
    _check(audio)
    advice = timing_advice(audio)
    timing, reason = str(advice.timing), advice.reason
    if wanted_timing != "auto":
        timing, reason = wanted_timing, "set by hand"
    return SinkStream(
        audio=audio,
        legs=tuple(audio.legs[:MAX_LEGS]),
        codec=codec_number(audio.encoding, framing),
        frames_per_packet=audio.frames_per_packet or 0,
        timing=timing,
        timing_reason=reason,
        offset=audio.timestamp_offset or 0,
        origin=description.origin,
        session_name=description.name,
    )


def _check(audio: AudioStream) -> None:
    if audio.encoding not in CODECS:
        known = ", ".join(CODECS)
        raise Refused("sdp", audio.encoding, f"line {audio.number}: codec is none of {known}")
    if audio.channels > MAX_STREAM_CHANNELS:
        raise Refused("sdp", audio.channels, f"at most {MAX_STREAM_CHANNELS} channels")
    frames, sample = audio.frames_per_packet or 1, CODECS[audio.encoding][1]
    size = frames * audio.channels * sample
    if size > MAX_PAYLOAD_BYTES:
        raise Refused(
            "sdp",
            frames,
            f"{frames} samples x {audio.channels} channels x {sample} bytes = {size} bytes, but a "
            f"packet carries at most {MAX_PAYLOAD_BYTES}",
        )
    for leg in audio.legs:
        if leg.address_type != "IP4":
            raise Refused("sdp", leg.address, "only IPv4 streams can be received")
        if leg.port == 0:
            raise Refused("sdp", leg.port, "port 0 says that the stream is not sent")
        address = ipaddress.IPv4Address(leg.address)
        if address.is_unspecified or leg.address == "255.255.255.255":
            raise Refused("sdp", leg.address, "no address a stream can be sent to")
        for source in leg.included:
            if ":" in source:
                raise Refused("sdp", source, "source-filter: only IPv4 senders")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "..."
