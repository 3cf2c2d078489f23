"""From a source to its session description, line by line as the contract's clients expect it."""

from __future__ import annotations

from dataclasses import dataclass

from aes67.config.model import Config
from aes67.session import identity
from aes67.session.checks import NO_GRANDMASTER, effective_address, is_multicast
from aes67.session.model import Source
from aes67.session.network import Network
from aes67.session.plan import State
from aes67.wire import sdp
from aes67.wire.sdp_attributes import ptime_text


@dataclass(frozen=True)
class Clock:
    """State of the clock as far as sessions care: status, grandmaster (`AA-..`, "" unknown)."""

    status: str = ""
    gmid: str = ""


@dataclass(frozen=True)
class Circumstances:
    """What a description depends on beside the source.

    `gmid` is the grandmaster as eight upper-case hex pairs joined with `-`, empty if unknown;
    `version` the session version, 32 bits.
    """

    config: Config
    network: Network
    rate: int
    gmid: str
    version: int


def describe(source: Source, now: Circumstances) -> str:
    """The description, LF line ends.

    The packet time is a decimal of the exact fraction, so 10 ms is `10` (the contract's own
    implementation loses the zero).
    """
    config, address = now.config, now.network.address(now.config) or "0.0.0.0"
    destination = effective_address(source, config)
    ttl = f"/{source.ttl}" if is_multicast(destination) else ""
    kind = f"{source.payload_type} {source.codec}/{now.rate}/{len(source.map)}"
    clock = f"{now.gmid or NO_GRANDMASTER}:{config.ptp_domain}"
    if source.refclk_ptp_traceable:
        clock = "traceable"
    session = identity.session_id(address, source.id)
    lines = [
        ("v", "0"),
        ("o", f"- {session} {now.version} IN IP4 {address}"),
        ("s", f"{now.network.node_id(config)} {source.name}"),
        ("t", "0 0"),
        ("m", f"audio {config.rtp_port} RTP/AVP {source.payload_type}"),
        ("c", f"IN IP4 {destination}{ttl}"),
        ("a", f"source-filter: incl IN IP4 {destination} {address}"),
        ("a", f"rtpmap:{kind}"),
        ("a", "sync-time:0"),
        ("a", f"framecount:{source.max_samples_per_packet}"),
        ("a", f"ptime:{ptime_text(source.max_samples_per_packet, now.rate)}"),
        ("a", "mediaclk:direct=0"),
        ("a", f"clock-domain:PTPv2 {config.ptp_domain}"),
        ("a", f"ts-refclk:ptp=IEEE1588-2008:{clock}"),
        ("a", "recvonly"),
    ]
    return sdp.build(lines).render()


def describes(before: State, after: State) -> bool:
    """Whether the descriptions of sources differ between two states."""
    keys = ("rtp_port", "rtp_mcast_base", "ptp_domain", "custom_node_id")
    return (
        before.rate != after.rate
        or before.network.address(before.config) != after.network.address(after.config)
        or any(getattr(before.config, key) != getattr(after.config, key) for key in keys)
    )
