# ruff: noqa: E501 - a parameter is one line, however long
"""Sources and sinks as users speak of them: the contract's objects, and what we add to them."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from aes67.session.renderings import Rendering
from aes67.shm.layout import MAX_DEVICE_CHANNELS, MAX_SINKS, MAX_SOURCES, MAX_STREAM_CHANNELS

SOURCES = MAX_SOURCES
SINKS = MAX_SINKS
"""Ids are 0 to one below these."""

NAME_BYTES = 63
"""A name is kept up to this many bytes of UTF-8, as the contract does."""

MAX_SDP_CHARACTERS = 65_536

Codec = Literal["L16", "L24", "AM824"]
Framing = Literal["raw", "aes3"]
Timing = Literal["auto", "direct", "latched", "async"]


def _name(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("no control characters")
    try:
        text = text.encode()[:NAME_BYTES].decode(errors="ignore")
    except UnicodeEncodeError:  # a lone surrogate: JSON can write one, no other text can
        raise ValueError("no characters outside Unicode, as bytes that are not UTF-8") from None
    if not text.strip():
        raise ValueError("not empty")
    return text


def ipv4(text: str) -> str:
    """The address in its usual spelling, empty when it is none."""
    try:
        return str(ipaddress.IPv4Address(text.strip()))
    except ValueError:
        return ""


Name = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, Field(max_length=1024)]
Channel = Annotated[int, Field(ge=0, lt=MAX_DEVICE_CHANNELS)]
Map = Annotated[tuple[Channel, ...], Field(min_length=1, max_length=MAX_STREAM_CHANNELS)]


class Source(BaseModel):
    """A stream this node sends."""

    model_config = ConfigDict(frozen=True)

    id: int = Field(0, ge=0, lt=MAX_SOURCES, description="number of the source")
    enabled: bool = Field(True, description="false: kept and described, but not sent")
    name: Name = Field(description="name, kept up to 63 bytes; no two enabled sources share one")
    io: Text = Field("Audio Device", description="free text, only kept")
    max_samples_per_packet: int = Field(48, ge=1, le=1460, description="frames in a packet")
    codec: Codec = Field("L24", description="sample format on the wire")
    address: Annotated[str, AfterValidator(ipv4)] = Field("", description="IPv4 destination; anything else: rtp_mcast_base + id")
    ttl: int = Field(15, ge=0, le=255, description="time to live of multicast packets")
    payload_type: int = Field(98, ge=0, le=127, description="RTP payload type")
    dscp: int = Field(34, ge=0, le=63, description="DSCP of the packets")
    refclk_ptp_traceable: bool = Field(False, description="describe the clock as traceable instead of naming the grandmaster")
    map: Map = Field((0, 1), description="device playback channel of each stream channel")
    framing: Framing = Field("raw", description="AM824 only: raw 32 bits as the contract, or AES3 labels as ST 2110-31")
    sdp_http: Rendering = Field("contract", description="form of the description served over HTTP: contract, st2110, dante")
    sdp_sap: Rendering = Field("contract", description="form of the description announced by SAP")
    sdp_rtsp: Rendering = Field("contract", description="form of the description served by RTSP, which mDNS leads to")


class Sink(BaseModel):
    """A stream this node receives."""

    model_config = ConfigDict(frozen=True)

    id: int = Field(0, ge=0, lt=MAX_SINKS, description="number of the sink")
    name: Name = Field(description="name, kept up to 63 bytes; no two sinks share one")
    io: Text = Field("Audio Device", description="free text, only kept")
    use_sdp: bool = Field(True, description="false: fetch the SDP from `source` now")
    source: Text = Field("", description="URL of the SDP, http or rtsp")
    sdp: str = Field("", max_length=MAX_SDP_CHARACTERS, description="session description in force")
    delay: int = Field(576, ge=0, le=192_000, description="a sample becomes audible this many samples after its timestamp")
    ignore_refclk_gmid: bool = Field(False, description="accept a stream of another grandmaster")
    map: Map = Field((0, 1), description="device capture channel of each stream channel")
    timing: Timing = Field("auto", description="how the stream's clock meets ours; auto: chosen from the SDP")
    framing: Framing = Field("raw", description="AM824 only: raw 32 bits as the contract, or AES3 labels as ST 2110-31")


OWN_SOURCE_KEYS = ("framing", "sdp_http", "sdp_sap", "sdp_rtsp")
"""Of a source, beyond the contract: kept when a client that does not know them replaces it."""

CONTRACT_SOURCE_KEYS = ("enabled", "name", "io", "map", "max_samples_per_packet", "codec", "address", "ttl", "payload_type", "dscp", "refclk_ptp_traceable")
"""Keys the contract requires in a source, in the order it misses them."""

CONTRACT_SINK_KEYS = ("name", "io", "source", "use_sdp", "sdp", "delay", "ignore_refclk_gmid", "map")
"""Keys the contract requires in a sink, in the order it misses them."""
