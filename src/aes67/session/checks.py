"""What is refused of a source or a sink, each rule in the words the user reads."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from aes67.config.model import Config
from aes67.errors import Refused
from aes67.session.model import Sink, Source
from aes67.session.network import Network
from aes67.session.reference_clock import OtherClock
from aes67.session.stream import CODECS, SinkStream
from aes67.shm.layout import delay_limit_frames
from aes67.wire.payload import MAX_PAYLOAD_BYTES
from aes67.wire.sdp_attributes import RefClock

NO_GRANDMASTER = "00-00-00-00-00-00-00-00"
NAME_RULE = "stream name is in use"


def effective_address(source: Source, config: Config) -> str:
    """Where a source is sent to: its own address, else rtp_mcast_base + id."""
    if source.address:
        return source.address
    return str(ipaddress.IPv4Address(config.rtp_mcast_base) + source.id)


def is_multicast(address: str) -> bool:
    """Whether this IPv4 address is a group."""
    return ipaddress.IPv4Address(address).is_multicast


def check_source(source: Source, config: Config) -> None:
    """Whether this node can send it.

    Raises:
        Refused: the field that forbids it.
    """
    check_map(source.map, config)
    frames, channels = source.max_samples_per_packet, len(source.map)
    sample = CODECS[source.codec][1]
    size = frames * channels * sample
    if size > MAX_PAYLOAD_BYTES:
        raise Refused(
            "max_samples_per_packet",
            frames,
            f"{frames} samples x {channels} channels x {sample} bytes = {size} bytes, but a packet "
            f"carries at most {MAX_PAYLOAD_BYTES}: at most "
            f"{MAX_PAYLOAD_BYTES // (channels * sample)} samples",
        )
    address = ipaddress.IPv4Address(effective_address(source, config))
    if address.is_unspecified or int(address) == 2**32 - 1:
        raise Refused("address", str(address), "no address a stream can be sent to")
    if address.is_multicast and source.ttl == 0:
        raise Refused("ttl", 0, "1 to 255: with 0 a multicast packet never leaves")


def check_source_name(source: Source, others: Iterable[Source]) -> None:
    """Whether its name is free among the other enabled sources.

    Raises:
        Refused: on field `name`.
    """
    if any(each.enabled and each.name == source.name for each in others if each.id != source.id):
        raise Refused("name", source.name, NAME_RULE)


def check_sink_name(sink: Sink, others: Iterable[Sink]) -> None:
    """Whether its name is free among the other sinks.

    Raises:
        Refused: on field `name`.
    """
    if any(each.name == sink.name for each in others if each.id != sink.id):
        raise Refused("name", sink.name, NAME_RULE)


def check_sink(sink: Sink, stream: SinkStream, config: Config) -> None:
    """Whether this node can receive it.

    The largest delay is the engine's (`shm.layout.delay_limit_frames`).

    Raises:
        Refused: the field that forbids it.
    """
    check_map(sink.map, config)
    if sink.delay < stream.frames_per_packet:
        raise Refused(
            "delay", sink.delay, f"at least one packet, {stream.frames_per_packet} samples"
        )
    most = delay_limit_frames(stream.audio.rate)
    if sink.delay > most:
        raise Refused("delay", sink.delay, f"at most {most} samples at {stream.audio.rate} Hz")


def check_map(channels: tuple[int, ...], config: Config) -> None:
    """Whether all channels of a map exist.

    Raises:
        Refused: on field `map`.
    """
    for channel in channels:
        if channel >= config.device_channels:
            raise Refused(
                "map", channel, f"0 to {config.device_channels - 1} (device_channels of the "
                "configuration, less one)"
            )


def check_reference_clock(
    sink: Sink, stream: SinkStream, config: Config, gmid: str, other: OtherClock | None = None
) -> None:
    """Whether the stream's clock is ours, unless the sink ignores it.

    Only a clock given with grandmaster and domain is compared, as the contract does; `gmid` is
    ours, empty or all zeros while there is none, `other` the second clock: sinks do not run on it.

    Raises:
        Refused: on field `sdp`.
    """
    if sink.ignore_refclk_gmid:
        return
    ours = gmid.upper() or NO_GRANDMASTER
    for clock in stream.audio.ref_clocks:
        if clock.kind != "ptp" or clock.gmid is None or clock.domain is None:
            continue
        if clock.gmid != ours or clock.domain != config.ptp_domain:
            raise Refused(
                "sdp",
                f"{clock.gmid}:{clock.domain}",
                f"clocked by grandmaster {clock.gmid} in domain {clock.domain}"
                f"{_as_other(clock, other)}, ours is {ours} in domain {config.ptp_domain} "
                "(ignore_refclk_gmid accepts it)",
            )


def _as_other(clock: RefClock, other: OtherClock | None) -> str:
    if other is None or (clock.gmid, clock.domain) != (other.gmid, other.domain):
        return ""
    return f", our clock {other.name}, to which sinks cannot keep yet"


def check_interfaces(config: Config, before: Config, network: Network) -> None:
    """Whether the interfaces a request names exist; those already configured may be missing.

    Raises:
        Refused: on the field that names one that does not exist.
    """
    named = (
        ("interface_name", config.interfaces[:2], before.interfaces),
        ("ptp_interfaces", config.timed_on, before.timed_on + config.interfaces),
        ("discovery_interfaces", config.registered_on, before.registered_on + config.interfaces),
        ("control_interfaces", config.controlled_on, before.controlled_on),
    )
    for field, names, known in named:
        if field == "interface_name" and config.interfaces == before.interfaces:
            continue
        for name in names:
            if network.find(name) is None and (field == "interface_name" or name not in known):
                there = ", ".join(each.name for each in network.interfaces)
                raise Refused(field, name, f"no such interface; there are {there}")
