"""Which sinks have to follow their remote source to a newer description.

Of the same session, if its version is larger; and of another session if it is the same stream
otherwise: a source whose address has changed (DHCP) announces a new session, since address and
session are one thing (RFC 4566, 5.2), and cannot take the old one back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aes67.discovery.remote import RemoteSource
from aes67.errors import Refused, WireError
from aes67.session.model import Sink
from aes67.session.stream import interpret
from aes67.wire import sdp


def newer(sinks: Mapping[int, Sink], sources: Iterable[RemoteSource]) -> dict[int, str]:
    """Sinks by id, and the description each should take.

    A session is the same if its o= line is but for the version; the largest version above the
    sink's own wins. A sink without a description that can be read follows nobody.
    """
    best: dict[tuple[str, ...], tuple[int, str]] = {}
    for source in sources:
        origin = source.description.origin
        if origin is not None and origin.version > best.get(origin.key, (-1, ""))[0]:
            best[origin.key] = (origin.version, source.sdp)
    found = {}
    for number, sink in sinks.items():
        origin = _origin(sink.sdp)
        if origin is None or origin.key not in best:
            continue
        version, text = best[origin.key]
        if version > origin.version and text != sink.sdp:
            found[number] = text
    return found


def without_doubles(sources: Iterable[RemoteSource], own: Iterable[str]) -> list[RemoteSource]:
    """`sources` without those that carry the number of a session of ours and are not ours.

    Two nodes with one address (two daemons on a machine, on its loopback) number their sessions
    alike. What we send ourselves is known best here, so its sinks follow nobody else.

    Args:
        own: the descriptions of our own sources as they are now.
    """
    versions = {origin.key: origin.version for origin in map(_origin, own) if origin is not None}
    found = []
    for source in sources:
        origin = source.description.origin
        if origin is None or versions.get(origin.key, origin.version) == origin.version:
            found.append(source)
    return found


def moved(sinks: Iterable[Sink], sources: Iterable[RemoteSource]) -> dict[int, str]:
    """Sinks that hear nothing, by id, and the description each should take instead of its own.

    It must be announced to the same groups and ports with the same format, have been heard of later
    than the sink's own session, and be the only one.

    Args:
        sinks: those that receive nothing.
    """
    heard = list(sources)
    found = {}
    for sink in sinks:
        origin, stream = _origin(sink.sdp), _stream(sink, sink.sdp)
        if origin is None or stream is None:
            continue
        own = (each.seen_ns for each in heard if _key(each) == origin.key)
        since_ns = max(own, default=-1)
        same = {
            _key(each): each.sdp
            for each in heard
            if each.seen_ns > since_ns
            and _key(each) not in ((), origin.key)
            and stream[0][0][0] in each.sdp
            and _stream(sink, each.sdp) == stream
        }
        if len(same) == 1:
            (found[sink.id],) = same.values()
    return found


def _key(source: RemoteSource) -> tuple[str, ...]:
    origin = source.description.origin
    return origin.key if origin is not None else ()


Stream = tuple[tuple[tuple[str, int], ...], tuple[str, int, int, int]]
"""Destinations, and encoding, rate, channels, payload type."""


def _stream(sink: Sink, text: str) -> Stream | None:
    """What a stream is on the wire, whoever sends it."""
    try:
        found = interpret(sink.model_copy(update={"sdp": text}))
    except Refused:
        return None
    audio = found.audio
    legs = tuple((leg.address, leg.port) for leg in found.legs)
    return legs, (audio.encoding, audio.rate, audio.channels, audio.payload_type)


def _origin(text: str) -> sdp.Origin | None:
    try:
        return sdp.parse(text).origin if text else None
    except WireError:
        return None
