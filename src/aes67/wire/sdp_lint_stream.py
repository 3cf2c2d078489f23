"""Rules of the linter for one audio stream of a description: one function a subject.

A rule yields findings and knows nothing of other streams; `sdp_lint` runs them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aes67.wire.payload import CODECS, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES_ST2110
from aes67.wire.sdp import Attribute, MediaDescription, SessionDescription
from aes67.wire.sdp_attributes import RefClock, read_source_filter
from aes67.wire.sdp_stream import AudioStream

Severity = Literal["error", "warning", "note"]
Profile = Literal["aes67", "st2110", "dante"]

PACKET_TIMES = (6, 12, 16, 48, 192)
"""Frames in a packet at 44.1 and 48 kHz (AES67-2018, 7.2), times 2 at 88.2 and 96 kHz and so on."""
RATES = {"aes67": (44_100, 48_000, 96_000), "st2110": (44_100, 48_000, 96_000), "dante": (48_000,)}
GROUP_CHANNELS = {
    "M": 1, "DM": 2, "ST": 2, "LTRT": 2, "51": 6, "71": 8, "222": 24, "SGRP": 4, "AES3": 2,
}  # fmt: skip
"""Channels of ST 2110-30's group symbols (AES3: ST 2110-31); U01 to U64 besides."""
DANTE_CHANNELS = 8


@dataclass(frozen=True)
class Finding:
    """One objection: 1-based line, a rule's name to look up or to silence, and words."""

    line: int
    severity: Severity
    rule: str
    message: str


@dataclass(frozen=True)
class StreamView:
    """A stream read from one media part, and where its attributes stand."""

    stream: AudioStream
    part: MediaDescription
    description: SessionDescription

    def attribute(self, name: str) -> Attribute | None:
        """The attribute in force: of the media part, else of the session."""
        return self.part.find(name) or self.description.find(name)

    def line(self, name: str) -> int:
        """Line of the attribute in force, of the m= line without one."""
        attribute = self.attribute(name)
        return self.part.number if attribute is None else attribute.number

    @property
    def is_multicast(self) -> bool:
        """Whether it is sent to a group."""
        return ipaddress.ip_address(self.stream.legs[0].address).is_multicast


def stream_findings(view: StreamView, profile: Profile) -> Iterator[Finding]:
    """What the rules of a profile say of one stream."""
    for rule in (_media_line, _address, _format, _packet_time, _clocks, _filters, _channel_order):
        yield from rule(view, profile)
    if profile == "dante":
        yield from _dante(view)


def _media_line(view: StreamView, profile: Profile) -> Iterator[Finding]:
    part = view.part
    if part.port == 0:
        yield Finding(part.number, "error", "port", "port 0 says the stream is switched off")
    elif part.port % 2:
        message = f"port {part.port} is odd; RTP takes even ports (RFC 3550, 11)"
        yield Finding(part.number, "warning", "port", message)
    if part.protocol.upper() not in ("RTP/AVP", "RTP/AVPF"):
        message = f"protocol {part.protocol[:20]!r} is not RTP/AVP"
        yield Finding(part.number, "error", "protocol", message)
    payload_type = view.stream.payload_type
    if payload_type < 96 and payload_type not in (10, 11):
        message = f"payload type {payload_type} is not dynamic (96 to 127)"
        yield Finding(part.number, "warning", "payload-type", message)


def _address(view: StreamView, profile: Profile) -> Iterator[Finding]:
    connection = view.part.connection or view.description.connection
    if connection is None:
        return
    line = connection.number
    address = ipaddress.ip_address(connection.address)
    if connection.count > 1:
        yield Finding(line, "warning", "address", "only the first of several addresses is used")
    if connection.address_type != "IP4":
        return
    if not address.is_multicast:
        if connection.ttl is not None:
            yield Finding(line, "warning", "ttl", "a TTL belongs to multicast addresses only")
        return
    if connection.ttl is None:
        message = "a multicast address needs a TTL (RFC 8866, 5.7)"
        yield Finding(line, "error", "ttl", message)
    elif connection.ttl == 0:
        yield Finding(line, "error", "ttl", "TTL 0 does not leave the sender")
    if address in ipaddress.ip_network("224.0.0.0/24"):
        message = f"{address} is reserved for routing protocols (RFC 5771, 4)"
        yield Finding(line, "error", "address", message)


def _format(view: StreamView, profile: Profile) -> Iterator[Finding]:
    stream, line = view.stream, view.line("rtpmap")
    if stream.encoding not in CODECS:
        message = f"encoding {stream.encoding[:20]!r} is not L16, L24 or AM824"
        yield Finding(line, "error", "encoding", message)
    if stream.rate not in RATES[profile]:
        rates = ", ".join(str(rate) for rate in RATES[profile])
        message = f"rate {stream.rate} is none of {rates}"
        severity: Severity = "warning" if profile == "aes67" else "error"
        yield Finding(line, severity, "rate", message)
    for attribute in view.part.find_all("rtpmap"):
        if (attribute.value or "").count("/") < 2:
            message = "no channel count; one channel is meant, not every receiver takes that"
            yield Finding(attribute.number, "note", "channels", message)


def _packet_time(view: StreamView, profile: Profile) -> Iterator[Finding]:
    stream, line = view.stream, view.line("ptime")
    if stream.ptime is None:
        message = "no ptime, which AES67 requires (AES67-2018, 8.1)"
        yield Finding(line, "error" if profile == "st2110" else "warning", "ptime", message)
    frames = stream.frames_per_packet
    if frames is None:
        return
    scale = max(1, round(stream.rate / 48_000))
    if frames not in {each * scale for each in PACKET_TIMES}:
        message = f"{frames} frames a packet is no packet time of AES67 (7.2)"
        yield Finding(line, "warning", "packet-time", message)
    if stream.framecount is not None and stream.framecount != frames:
        message = f"framecount {stream.framecount} does not agree with ptime ({frames} frames)"
        yield Finding(view.line("framecount"), "warning", "framecount", message)
    if stream.maxptime is not None and stream.ptime is not None and stream.maxptime < stream.ptime:
        message = "maxptime is smaller than ptime"
        yield Finding(view.line("maxptime"), "error", "maxptime", message)
    codec = CODECS.get(stream.encoding)
    limit = MAX_PAYLOAD_BYTES_ST2110 if profile == "st2110" else MAX_PAYLOAD_BYTES
    if codec is not None and (size := frames * codec.frame_bytes(stream.channels)) > limit:
        message = f"{size} octets a packet do not fit; {limit} do"
        yield Finding(line, "error", "packet-size", message)


def _clocks(view: StreamView, profile: Profile) -> Iterator[Finding]:
    stream = view.stream
    missing: Severity = "error" if profile == "st2110" else "warning"
    if not stream.ref_clocks:
        message = "no ts-refclk: receivers cannot tell the sender's clock (AES67-2018, 8.2)"
        yield Finding(view.part.number, missing, "ts-refclk", message)
    for clock in stream.ref_clocks:
        line = view.line("ts-refclk")
        if clock.kind == "ptp" and not clock.traceable and clock.gmid is None:
            message = "ts-refclk names no grandmaster of eight octets (RFC 7273, 4.8)"
            yield Finding(line, "error", "ts-refclk", message)
        elif clock.kind == "ptp" and clock.gmid == "-".join(["00"] * 8):
            message = "ts-refclk names the empty grandmaster: the sender is not locked"
            yield Finding(line, "warning", "ts-refclk", message)
        elif clock.kind == "ptp" and clock.gmid is not None and _without_domain(clock):
            message = "ts-refclk names no PTP domain"
            yield Finding(line, "warning", "ts-refclk", message)
        elif clock.kind == "localmac":
            message = "ts-refclk is the sender's own clock (localmac): it follows no PTP"
            yield Finding(line, "note", "ts-refclk", message)
    clock_kind = None if stream.media_clock is None else stream.media_clock.kind
    if clock_kind is None:
        message = "no mediaclk: the timestamp offset is not known (AES67-2018, 8.3)"
        yield Finding(view.part.number, missing, "mediaclk", message)
    elif clock_kind == "direct" and stream.timestamp_offset is None:
        message = "mediaclk:direct without an offset"
        yield Finding(view.line("mediaclk"), "warning", "mediaclk", message)
    elif profile == "st2110" and clock_kind == "direct" and stream.timestamp_offset:
        message = "the offset of mediaclk must be 0 (ST 2110-10, 7.3)"
        yield Finding(view.line("mediaclk"), "error", "mediaclk", message)
    if stream.sync_time is not None and stream.sync_time != stream.timestamp_offset:
        message = f"sync-time {stream.sync_time} does not agree with mediaclk, which counts"
        yield Finding(view.line("sync-time"), "warning", "sync-time", message)
    if profile == "st2110":
        for name in ("ts-refclk", "mediaclk"):
            if view.part.find(name) is None and view.description.find(name) is not None:
                message = f"{name} must stand in the media part (ST 2110-10, 8)"
                yield Finding(view.line(name), "error", name, message)


def _without_domain(clock: RefClock) -> bool:
    """Whether the PTP domain is missing; a clock of 802.1AS has none (RFC 7273, 4.8)."""
    return clock.domain is None and not (clock.version or "").upper().startswith("IEEE802.1AS")


def _filters(view: StreamView, profile: Profile) -> Iterator[Finding]:
    leg = view.stream.legs[0]
    attributes = view.part.find_all("source-filter")
    if profile == "st2110" and view.is_multicast and not leg.included:
        message = "a multicast stream needs a source-filter (ST 2110-10)"
        yield Finding(view.part.number, "error", "source-filter", message)
    for attribute in attributes:
        rule = read_source_filter(attribute)
        if rule.destination not in ("*", leg.address):
            message = f"source-filter is for {rule.destination[:40]}, the stream goes elsewhere"
            yield Finding(attribute.number, "warning", "source-filter", message)


def _channel_order(view: StreamView, profile: Profile) -> Iterator[Finding]:
    order = view.stream.channel_order
    if order is None:
        return
    match = re.fullmatch(r"SMPTE2110\.\(([A-Za-z0-9,]+)\)", order)
    symbols = [] if match is None else match[1].split(",")
    counts = [_group_channels(symbol.upper()) for symbol in symbols]
    if not counts or None in counts:
        message = f"channel-order {order[:60]!r} is not of ST 2110-30's form"
        yield Finding(view.line("fmtp"), "error", "channel-order", message)
    elif (total := sum(count or 0 for count in counts)) > view.stream.channels:
        message = f"channel-order names {total} channels, the stream has {view.stream.channels}"
        yield Finding(view.line("fmtp"), "error", "channel-order", message)


def _group_channels(symbol: str) -> int | None:
    if match := re.fullmatch("U([0-9]{2})", symbol):
        return int(match[1]) if 1 <= int(match[1]) <= 64 else None
    return GROUP_CHANNELS.get(symbol)


def _dante(view: StreamView) -> Iterator[Finding]:
    """What Dante devices in AES67 mode need (Audinate's AES67 notes, and users' reports)."""
    stream, part = view.stream, view.part
    if stream.encoding != "L24":
        yield Finding(view.line("rtpmap"), "error", "encoding", "Dante takes L24 only")
    if stream.channels > DANTE_CHANNELS:
        message = f"{stream.channels} channels; Dante takes up to {DANTE_CHANNELS} in a flow"
        yield Finding(view.line("rtpmap"), "error", "channels", message)
    if stream.frames_per_packet not in (None, 48):
        yield Finding(view.line("ptime"), "error", "packet-time", "Dante takes 1 ms packets only")
    if view.is_multicast and not stream.legs[0].address.startswith("239."):
        message = "Dante takes groups of its prefix only, 239.69.0.0/16 unless set otherwise"
        yield Finding(part.number, "error", "address", message)
    elif view.is_multicast and not stream.legs[0].address.startswith("239.69."):
        message = "outside 239.69.0.0/16: the prefix must be set to this in Dante Controller"
        yield Finding(part.number, "warning", "address", message)
    if part.port != 5004:
        yield Finding(part.number, "warning", "port", "Dante expects port 5004")
    for attribute in part.find_all("source-filter"):
        message = "Dante Controller hides sessions with a source-filter"
        yield Finding(attribute.number, "warning", "source-filter", message)
    for clock in stream.ref_clocks:
        if clock.domain not in (None, 0):
            message = f"PTP domain {clock.domain}; Dante's AES67 mode is fixed to domain 0"
            yield Finding(view.line("ts-refclk"), "error", "ts-refclk", message)
