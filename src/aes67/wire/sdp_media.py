"""Reads the audio streams out of a session description.

`sdp` has read the lines; here they get a meaning. Nothing is compared with our own state (whose
grandmaster, which interface): that is the session's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from aes67.errors import WireError
from aes67.wire.sdp import Attribute, Connection, MediaDescription, SessionDescription
from aes67.wire.sdp_attributes import (
    Group,
    RtpMap,
    SourceFilter,
    is_ip,
    read_group,
    read_media_clock,
    read_milliseconds,
    read_ref_clock,
    read_rtpmap,
    read_source_filter,
)
from aes67.wire.sdp_fields import read_number
from aes67.wire.sdp_stream import AudioStream, Direction, Leg, preferred

STATIC_PAYLOAD_TYPES = {10: RtpMap(10, "L16", 44_100, 2), 11: RtpMap(11, "L16", 44_100, 1)}
"""Payload types that need no rtpmap (RFC 3551, table 4)."""

def audio_streams(description: SessionDescription) -> tuple[AudioStream, ...]:
    """The audio streams in the order of the description, legs of a DUP group joined in one.

    Raises:
        WireError: an audio part lacks a usable format or address, an attribute has no reading, or
            the legs of a group differ in format; the line number says where.
    """
    parts = [part for part in description.media if part.media.lower() == "audio"]
    single = [_stream(part, description) for part in parts]
    taken: set[int] = set()
    streams = []
    for index, stream in enumerate(single):
        if index in taken:
            continue
        members = _members(index, single, _dup_groups(description))
        taken |= set(members)
        streams.append(_joined([single[each] for each in members]) if members else stream)
    return tuple(streams)


def _stream(part: MediaDescription, description: SessionDescription) -> AudioStream:
    formats = _formats(part)
    lookup = _Lookup(part, description)
    media_clock = lookup.first("mediaclk")
    return AudioStream(
        legs=(_leg(part, description),),
        formats=formats,
        protocol=part.protocol,
        ptime=_milliseconds(lookup.first("ptime")),
        maxptime=_milliseconds(lookup.first("maxptime")),
        framecount=_framecount(lookup.first("framecount")),
        media_clock=None if media_clock is None else read_media_clock(media_clock),
        sync_time=_sync_time(lookup.first("sync-time")),
        ref_clocks=tuple(read_ref_clock(each) for each in lookup.all("ts-refclk")),
        clock_domain=lookup.value("clock-domain"),
        direction=_direction(part, description),
        fmtp=_fmtp(part, formats),
        information=part.value("i") or description.value("i"),
        number=part.number,
    )


@dataclass(frozen=True)
class _Lookup:
    """Attributes of a media part; those it lacks are taken from the session part."""

    part: MediaDescription
    description: SessionDescription

    def all(self, name: str) -> tuple[Attribute, ...]:
        return self.part.find_all(name) or self.description.find_all(name)

    def first(self, name: str) -> Attribute | None:
        return next(iter(self.all(name)), None)

    def value(self, name: str) -> str | None:
        attribute = self.first(name)
        return None if attribute is None else attribute.value


def _formats(part: MediaDescription) -> tuple[RtpMap, ...]:
    maps = [read_rtpmap(each) for each in part.find_all("rtpmap")]
    formats = []
    for text in part.formats:
        payload_type = read_number(text, "payload type in m=", part.number, 127)
        found = next((each for each in maps if each.payload_type == payload_type), None)
        found = found or STATIC_PAYLOAD_TYPES.get(payload_type)
        if found is not None:
            formats.append(found)
    if not formats:
        raise WireError(f"no rtpmap for payload type {' '.join(part.formats)[:40]}", part.number)
    return tuple(formats)


def _leg(part: MediaDescription, description: SessionDescription) -> Leg:
    connection = part.connection or description.connection
    if connection is None:
        raise WireError("no address: c= is missing for this m= line", part.number)
    _check_address(connection)
    included: list[str] = []
    excluded: list[str] = []
    for attribute in (*description.find_all("source-filter"), *part.find_all("source-filter")):
        rule = read_source_filter(attribute)
        if rule.destination in ("*", connection.address):
            _append(included if rule.include else excluded, rule)
    mid = part.find("mid")
    return Leg(
        address=connection.address,
        port=part.port,
        ttl=connection.ttl,
        address_type=connection.address_type,
        included=tuple(included),
        excluded=tuple(excluded),
        mid=None if mid is None else mid.value,
    )


def _append(sources: list[str], rule: SourceFilter) -> None:
    sources += [each for each in rule.sources if each not in sources]


def _check_address(connection: Connection) -> None:
    is_ipv6 = ":" in connection.address
    if not is_ip(connection.address) or is_ipv6 != (connection.address_type == "IP6"):
        raise WireError(
            f"connection address {connection.address[:60]!r} is no {connection.address_type} "
            "address in numbers",
            connection.number,
        )


def _milliseconds(attribute: Attribute | None) -> Fraction | None:
    return None if attribute is None else read_milliseconds(attribute)


def _framecount(attribute: Attribute | None) -> int | None:
    """RAVENNA allows a range `least-most`; the least is what to expect."""
    if attribute is None:
        return None
    least = (attribute.value or "").partition("-")[0].strip()
    frames = read_number(least, "framecount", attribute.number, 1_000_000)
    return frames or None


def _sync_time(attribute: Attribute | None) -> int | None:
    if attribute is None:
        return None
    return read_number(attribute.value or "", "sync-time", attribute.number) % 2**32


def _direction(part: MediaDescription, description: SessionDescription) -> Direction:
    directions: tuple[Direction, ...] = ("recvonly", "sendonly", "sendrecv", "inactive")
    for section in (part, description):
        for direction in directions:
            if section.find(direction) is not None:
                return direction
    return "sendrecv"


def _fmtp(part: MediaDescription, formats: tuple[RtpMap, ...]) -> dict[str, str]:
    found = {}
    for attribute in part.find_all("fmtp"):
        payload_type, _, parameters = (attribute.value or "").partition(" ")
        if payload_type != str(preferred(formats).payload_type):
            continue
        for field in parameters.split(";"):
            name, _, value = field.strip().partition("=")
            if name:
                found[name.strip().lower()] = value.strip()
    return found


def _dup_groups(description: SessionDescription) -> list[Group]:
    groups = [read_group(each) for each in description.find_all("group")]
    return [group for group in groups if group.semantics == "DUP"]


def _members(index: int, single: list[AudioStream], groups: Iterable[Group]) -> list[int]:
    """Positions of the streams in the same DUP group as `single[index]`, in the group's order."""
    mids: dict[str, int] = {}
    for position, stream in enumerate(single):
        mid = stream.legs[0].mid
        if mid is not None:
            mids.setdefault(mid, position)
    for group in groups:
        members = list(dict.fromkeys(mids[mid] for mid in group.mids if mid in mids))
        if index in members:
            return members
    return []


def _joined(streams: list[AudioStream]) -> AudioStream:
    first = streams[0]
    for other in streams[1:]:
        if other.format != first.format:
            raise WireError(
                f"legs of a DUP group differ: {other.format.text} against {first.format.text}",
                other.number,
            )
    legs = tuple(leg for stream in streams for leg in stream.legs)
    return replace(first, legs=legs)
