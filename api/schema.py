"""Types of the contract's bodies, for the OpenAPI document only: reading and writing is looser."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, create_model

from aes67.config.model import CONTRACT_KEYS, Config
from aes67.session.model import OWN_SOURCE_KEYS, Sink, Source

ContractSource = create_model(
    "ContractSource",
    **{
        key: (Source.model_fields[key].annotation, Source.model_fields[key])
        for key in Source.model_fields
        if key not in OWN_SOURCE_KEYS
    },  # type: ignore[call-overload]
)
ContractSink = create_model(
    "ContractSink",
    **{
        key: (Sink.model_fields[key].annotation, Sink.model_fields[key])
        for key in Sink.model_fields
        if key not in ("framing", "timing")
    },  # type: ignore[call-overload]
)
ContractConfig = create_model(
    "ContractConfig",
    **{
        key: (Config.model_fields[key].annotation, Config.model_fields[key])
        for key in CONTRACT_KEYS
    },  # type: ignore[call-overload]
)


class Version(BaseModel):
    """What the service calls itself towards clients of the daemon it stands in for."""

    version: str


class PtpConfig(BaseModel):
    """PTP settings."""

    domain: int = Field(ge=0, le=127)
    dscp: int = Field(ge=0, le=63)


class PtpStatus(BaseModel):
    """State of the clock; jitter in us."""

    status: str
    gmid: str
    jitter: int


class SinkFlags(BaseModel):
    """Latched until read."""

    rtp_seq_id_error: bool
    rtp_ssrc_error: bool
    rtp_payload_type_error: bool
    rtp_sac_error: bool
    receiving_rtp_packet: bool
    some_muted: bool
    all_muted: bool
    muted: bool


class SinkStatus(BaseModel):
    """Flags, and the least time in ms between a packet's arrival and its time due."""

    sink_flags: SinkFlags
    sink_min_time: int


class Sources(BaseModel):
    """All sources by ascending id."""

    sources: list[ContractSource]  # type: ignore[valid-type]


class Sinks(BaseModel):
    """All sinks by ascending id."""

    sinks: list[ContractSink]  # type: ignore[valid-type]


class Streams(BaseModel):
    """Sources and sinks."""

    sources: list[ContractSource]  # type: ignore[valid-type]
    sinks: list[ContractSink]  # type: ignore[valid-type]


class RemoteSource(BaseModel):
    """A source somebody announces."""

    source: str
    id: str
    name: str
    domain: str
    address: str
    sdp: str
    last_seen: int
    announce_period: int


class RemoteSources(BaseModel):
    """Remote sources by name."""

    remote_sources: list[RemoteSource]


class StreamerInfo(BaseModel):
    """State of the HTTP streamer for a sink: 0 ok, 4 not enabled."""

    status: int
    file_duration: int
    files_num: int
    player_buffer_files_num: int
    start_file_id: int
    current_file_id: int
    channels: int
    format: str
    rate: int


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """OpenAPI of a request body that is read by hand, whatever its Content-Type."""
    content = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


WRITES = {
    403: "a page of another origin, or a foreign Host",
    408: "the body did not come in time",
    413: "the body is too large",
    500: "the engine, or the file system",
}
"""What else may come of a change."""


def answer(model: type[BaseModel] | None = None, media_type: str = "") -> dict[int | str, Any]:
    """OpenAPI of the answers: this model, text of this type, or an empty 200; and the error."""
    ok: dict[str, Any] = {"description": "done"}
    if model is not None:
        ok = {"model": model, "description": "as the contract says"}
    elif media_type:
        ok = {"content": {media_type: {"schema": {"type": "string"}}}, "description": "text"}
    reason = {"text/plain": {"schema": {"type": "string"}}}
    found: dict[int | str, Any] = {200: ok}
    found[400] = {"description": "refused, with the reason", "content": reason}
    found[404] = {"description": "no such path"}
    if model is None and not media_type:
        for code, why in WRITES.items():
            found[code] = {"description": why, "content": reason}
    return found


BODIES: tuple[type[BaseModel], ...] = (ContractConfig, PtpConfig, ContractSource, ContractSink)
"""Models that only request bodies refer to: their schemas are added to the document."""
