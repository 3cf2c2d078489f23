"""Bodies and answers of /api/v1."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from aes67.config.model import Config
from aes67.session.model import Channel, Sink, Source, ipv4
from aes67.shm.layout import MAX_STREAM_CHANNELS

STRICT = ConfigDict(strict=True, extra="forbid")
"""Of bodies: a number in quotes is no number, and a key nobody knows is a mistake."""


def _address(text: str) -> str:
    if text.strip() and not ipv4(text):
        raise ValueError("an IPv4 address, or empty: rtp_mcast_base + id")
    return ipv4(text)


Map = Annotated[list[Channel], Field(min_length=1, max_length=MAX_STREAM_CHANNELS)]


class SourceBody(Source):
    """A stream this node is to send.

    The contract takes any text that is no address for none; here it is refused, since it was meant.
    """

    model_config = STRICT

    map: Map = Field([0, 1], description="device playback channel of each stream channel")  # type: ignore[assignment]
    address: Annotated[str, AfterValidator(_address)] = Field(
        "", description="IPv4 destination; empty: rtp_mcast_base + id"
    )


class SinkBody(Sink):
    """A stream this node is to receive."""

    model_config = STRICT

    map: Map = Field([0, 1], description="device capture channel of each stream channel")  # type: ignore[assignment]


class ConfigChange(Config):
    """Parameters to change; those that are not named stay."""

    model_config = STRICT


class ReceiverView(BaseModel):
    """A receiver of a source that reports by RTCP."""

    address: str
    name: str = Field(description="its canonical name (CNAME)")
    lost: int = Field(description="packets, since it receives")
    lost_now: float = Field(description="share lost between its last two reports, 0 to 1")
    jitter_us: float
    age_s: float = Field(description="since its last report")


class SenderView(BaseModel):
    """What the sender of a stream says of itself by RTCP."""

    address: str
    name: str = Field(description="its canonical name (CNAME)")
    packets: int = Field(description="sent so far")
    octets: int
    age_s: float = Field(description="since its last report")


class SourceView(BaseModel):
    """A source as it is: the contract's object, what only we know, and its counters."""

    model_config = ConfigDict(extra="allow")

    id: int
    enabled: bool
    name: str
    io: str
    max_samples_per_packet: int
    codec: str
    address: str = Field(description="destination in effect")
    ttl: int
    payload_type: int
    dscp: int
    refclk_ptp_traceable: bool
    map: list[int]
    framing: str
    sdp_http: str = Field(description="form of its description over HTTP")
    sdp_sap: str = Field(description="form of its description by SAP")
    sdp_rtsp: str = Field(description="form of its description by RTSP")
    note: str = Field(description="what the user should know, in words")
    sending: bool = Field(description="its newest packet is of the last second")
    counters: dict[str, int] = Field(description="of the engine; empty without one")
    receivers: list[ReceiverView] = Field(description="who reports by RTCP, with rtcp_enabled")


class LegView(BaseModel):
    """What came by one way: a sink has two with ST 2022-7, else one."""

    interface: str
    address: str
    port: int
    source: str = Field(description="the only sender taken (source-filter); empty: any")
    ssrc: int | None = Field(description="of the sender heard; null: none yet")
    packets: int
    lost: int = Field(description="by sequence number, on this leg (RFC 3550, A.3)")
    late: int
    early: int
    duplicate: int = Field(description="packets that brought nothing new")
    reordered: int
    wrong_ssrc: int
    wrong_payload_type: int
    wrong_source: int
    wrong_length: int
    margin_us: float | None = Field(description="how long before its time the newest packet came")
    margin_min_us: float | None = Field(description="the least of these so far")
    jitter_us: float | None = Field(description="RFC 3550 interarrival jitter")
    gap_max_us: float | None = Field(description="longest time between two packets")
    gaps: list[int] = Field(
        description="times between packets, counted: less than 125 us, 250, 500, 1 ms, 2 ... "
        "128 ms, more"
    )


class SinkView(BaseModel):
    """A sink as it is: the contract's object, the stream it receives, flags and counters."""

    model_config = ConfigDict(extra="allow")

    id: int
    name: str
    io: str
    use_sdp: bool
    source: str
    sdp: str
    delay: int
    ignore_refclk_gmid: bool
    map: list[int]
    timing: str = Field(description="direct, latched or async: in effect")
    timing_reason: str
    framing: str
    note: str = Field(description="what the user should know, in words")
    flags: dict[str, bool]
    counters: dict[str, int] = Field(description="of the engine; empty without one")
    legs: list[LegView] = Field(description="each way it is received by")
    sender: SenderView | None = Field(description="its RTCP report, with rtcp_enabled")


class EngineView(BaseModel):
    """State of the engine process."""

    connected: bool
    realtime: bool = Field(description="the tick runs with real-time priority in locked memory")
    warnings: list[str]
    generation: int
    rate: int = Field(description="rate of the device in Hz")
    counters: dict[str, int]


class InterfaceView(BaseModel):
    """A network interface in use."""

    name: str
    roles: list[str] = Field(description="media, ptp, discovery, control")
    present: bool
    running: bool = Field(description="it is up and has a link")
    mac: str
    addresses: list[str] = Field(description="IPv4, the one used first")
    groups: int = Field(description="multicast groups that sinks have joined on it")
    rejoins: int = Field(description="times its link came back and the groups were joined again")
    querier: str = Field(
        description="IGMP querier: heard, none (for 130 s or more), waiting (less), or unknown: "
        "the engine may not listen"
    )
    querier_address: str
    querier_version: int
    querier_seconds: float = Field(description="since it was heard last, or since we listen")


class NetworkView(BaseModel):
    """The network as this node meets it."""

    interfaces: list[InterfaceView]
    udp_checksum_errors: int = Field(
        description="UDP packets the kernel dropped for a wrong checksum since the start"
    )
    udp_buffer_errors: int = Field(
        description="UDP packets the kernel had no room for since the start"
    )


class PcmView(BaseModel):
    """An application that has the device open."""

    model_config = ConfigDict(extra="allow")


class Status(BaseModel):
    """Everything at one moment."""

    version: str
    node_id: str
    engine: EngineView
    clock: dict[str, Any]
    network: NetworkView
    sources: list[SourceView]
    sinks: list[SinkView]
    pcms: list[PcmView]
