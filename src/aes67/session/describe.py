"""From a source to its session description, line by line as the contract's clients expect it."""

from __future__ import annotations

from dataclasses import dataclass

from aes67.config.model import Config
from aes67.session import identity
from aes67.session.checks import NO_GRANDMASTER, effective_address, is_multicast
from aes67.session.model import Source
from aes67.session.network import Network
from aes67.session.reference_clock import TRACEABLE, is_gptp, ptp_reference
from aes67.session.renderings import RENDERINGS, Facts, Rendering
from aes67.session.state import State
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


def describe(source: Source, now: Circumstances, rendering: Rendering = "contract") -> str:
    """The description, the contract's with LF line ends, the others (`renderings`) with CRLF.

    The packet time is a decimal of the exact fraction, so 10 ms is `10` (the contract's own
    implementation loses the zero).
    """
    if rendering != "contract":
        form, end = RENDERINGS[rendering]
        return sdp.build(form(_facts(source, now)), end).render()
    config, address = now.config, now.network.address(now.config) or "0.0.0.0"
    destination = effective_address(source, config)
    ttl = f"/{source.ttl}" if is_multicast(destination) else ""
    kind = f"{source.payload_type} {source.codec}/{now.rate}/{len(source.map)}"
    clock = ptp_reference(now.gmid or NO_GRANDMASTER, config.ptp_domain, gptp=is_gptp(config))
    if source.refclk_ptp_traceable:
        clock = TRACEABLE
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
        ("a", f"ts-refclk:{clock}"),
        ("a", "recvonly"),
    ]
    return sdp.build(lines).render()


def _facts(source: Source, now: Circumstances) -> Facts:
    config, address = now.config, now.network.address(now.config) or "0.0.0.0"
    destination = effective_address(source, config)
    session = identity.session_id(address, source.id)
    return Facts(
        origin=f"- {session} {now.version} IN IP4 {address}",
        name=f"{now.network.node_id(config)} {source.name}",
        address=address,
        destination=destination,
        ttl=source.ttl if is_multicast(destination) else 0,
        port=config.rtp_port,
        payload_type=source.payload_type,
        codec=source.codec,
        rate=now.rate,
        channels=len(source.map),
        frames=source.max_samples_per_packet,
        ptime=ptime_text(source.max_samples_per_packet, now.rate),
        gmid="" if now.gmid == NO_GRANDMASTER else now.gmid,
        domain=config.ptp_domain,
        mac=now.network.computed(config).mac_addr or "00:00:00:00:00:00",
        traceable=source.refclk_ptp_traceable,
        gptp=is_gptp(config),
    )


def describes(before: State, after: State) -> bool:
    """Whether the descriptions of sources differ between two states."""
    keys = (
        "rtp_port", "rtp_mcast_base", "ptp_domain", "custom_node_id", "clock_mode", "ptp_profile",
        "ptp_clocks",
    )  # fmt: skip
    return (
        before.rate != after.rate
        or before.network.address(before.config) != after.network.address(after.config)
        or any(getattr(before.config, key) != getattr(after.config, key) for key in keys)
    )
