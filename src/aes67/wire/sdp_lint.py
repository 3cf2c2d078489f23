"""What is wrong or doubtful in a session description, each finding with its line number.

The reader (`sdp`, `sdp_media`) takes whatever has a reading; the linter says what a strict receiver
would object to. Three profiles: `aes67` (RFC 8866 and AES67-2018), `st2110` (ST 2110-10/-30/-31,
what an NMOS controller checks), `dante` (what a Dante device in AES67 mode takes). This module goes
through the text; `sdp_lint_stream` holds the rules of one audio stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aes67.errors import WireError
from aes67.wire import sdp
from aes67.wire.sdp import Line, MediaDescription, Section, SessionDescription
from aes67.wire.sdp_attributes import is_ip, read_group
from aes67.wire.sdp_lint_stream import (
    Finding,
    Profile,
    Severity,
    StreamView,
    stream_findings,
)
from aes67.wire.sdp_media import audio_streams

SESSION_ORDER = "vosiuepcbtrzka"
"""Line types of the session part in the order of RFC 8866, 9."""
MEDIA_ORDER = "micbka"

_MAX_BROKEN = 50
"""Broken lines reported before the linter gives up on a text."""


def lint(text: str | bytes, profile: Profile = "aes67") -> tuple[Finding, ...]:
    """All findings in the order of their lines; never raises.

    A line without a reading is reported and left out, so that what follows is judged too.
    """
    try:
        lines = sdp.split(text)
    except WireError as error:
        return (Finding(error.offset or 1, "error", "text", error.reason),)
    findings: list[Finding] = []
    description = None
    while description is None:
        try:
            description = sdp.from_lines(lines)
        except WireError as error:
            findings.append(Finding(error.offset or 1, "error", "syntax", error.reason))
            rest = [line for line in lines if line.number != error.offset]
            if len(rest) == len(lines) or len(findings) > _MAX_BROKEN or not _has_version(rest):
                break
            lines = rest
    if description is not None:
        findings += _text_findings(description, profile)
        findings += _session_findings(description)
        findings += _media_findings(description, profile)
    return tuple(sorted(findings, key=lambda each: (each.line, each.rule, each.message)))


def _has_version(lines: Iterable[Line]) -> bool:
    return any(line.type == "v" for line in lines)


def _text_findings(description: SessionDescription, profile: Profile) -> Iterator[Finding]:
    lines = list(description.all_lines())
    ends = {line.end for line in lines[:-1]}
    if len(ends) > 1:
        other = next(line for line in lines if line.end != lines[0].end)
        yield Finding(other.number, "warning", "line-end", "line ends are mixed")
    elif ends - {"\r\n"}:
        severity: Severity = "warning" if profile == "st2110" else "note"
        yield Finding(1, severity, "line-end", "lines do not end with CRLF (RFC 8866, 5)")
    if lines and not lines[-1].end:
        number = lines[-1].number
        yield Finding(number, "note", "line-end", "the last line has no line end")
    for line in lines:
        if not line.type:
            yield Finding(line.number, "warning", "blank-line", "blank line")
        elif line.text != line.text.strip(" \t"):
            yield Finding(line.number, "note", "blanks", "blanks around the line")


def _session_findings(description: SessionDescription) -> Iterator[Finding]:
    yield from _order(description, SESSION_ORDER)
    for letter, what in (("o", "origin"), ("s", "session name"), ("t", "time")):
        if description.value(letter) is None:
            yield Finding(1, "error", f"missing-{letter}", f"no {letter}= line ({what})")
    origin_line = next((line for line in description.lines if line.type == "o"), None)
    if origin_line is not None:
        origin = description.origin
        if origin is None:
            message = "o= has fewer than six fields: newer versions cannot be told"
            yield Finding(origin_line.number, "error", "origin", message)
        elif not is_ip(origin.address) and "." not in origin.address:
            message = f"{origin.address!r} in o= is neither an address nor a full host name"
            yield Finding(origin_line.number, "warning", "origin", message)
        elif origin.session_id == "0" and origin.version == 0:
            message = "session id and version are 0: sessions of this host cannot be told apart"
            yield Finding(origin_line.number, "warning", "origin", message)
    yield from _groups(description)


def _order(section: Section, order: str) -> Iterator[Finding]:
    """The first line of a section that stands after one it should precede."""
    highest = 0
    for line in section.lines:
        rank = order.find(line.type)
        if not line.type:
            continue
        if rank < 0:
            message = f"{line.type}= is not expected here (RFC 8866, 9)"
            yield Finding(line.number, "warning", "line-type", message)
        elif rank < highest:
            message = f"{line.type}= should stand before {order[highest]}= (RFC 8866, 9)"
            yield Finding(line.number, "warning", "line-order", message)
            return
        highest = max(highest, rank)


def _groups(description: SessionDescription) -> Iterator[Finding]:
    mids: dict[str, int] = {}
    for part in description.media:
        attribute = part.find("mid")
        if attribute is None or not attribute.value:
            continue
        if attribute.value in mids:
            message = f"mid {attribute.value!r} is used twice"
            yield Finding(attribute.number, "error", "mid", message)
        mids.setdefault(attribute.value, attribute.number)
    for attribute in description.find_all("group"):
        group = read_group(attribute)
        for mid in group.mids:
            if mid not in mids:
                message = f"group names {mid!r}, which no media part has"
                yield Finding(attribute.number, "error", "group", message)
        if group.semantics == "DUP" and len(set(group.mids)) != 2:
            message = "a DUP group has two members (RFC 7104, ST 2022-7)"
            yield Finding(attribute.number, "warning", "group", message)


def _media_findings(description: SessionDescription, profile: Profile) -> Iterator[Finding]:
    audio = [part for part in description.media if part.media.lower() == "audio"]
    if not audio:
        yield Finding(1, "error", "no-audio", "no audio in this description (m=audio)")
    sound = True
    for part in audio:
        yield from _order(part, MEDIA_ORDER)
        alone = _alone(description, part)
        try:
            (stream,) = audio_streams(alone)
        except WireError as error:
            sound = False
            yield Finding(error.offset or part.number, "error", "stream", error.reason)
        else:
            yield from stream_findings(StreamView(stream, part, description), profile)
    if not sound:
        return
    try:
        streams = audio_streams(description)
    except WireError as error:
        yield Finding(error.offset, "error", "legs", error.reason)
        return
    for stream in streams:
        places = {(leg.address, leg.port, leg.included) for leg in stream.legs}
        if len(places) < len(stream.legs):
            message = "legs of a DUP group go to the same address and port from the same sender"
            yield Finding(stream.number, "error", "legs", message)


def _alone(description: SessionDescription, part: MediaDescription) -> SessionDescription:
    """The description with this media part only, so that each is judged by itself."""
    return SessionDescription(
        description.lines, description.connections, description.attributes,
        origin=description.origin, media=(part,),
    )  # fmt: skip
