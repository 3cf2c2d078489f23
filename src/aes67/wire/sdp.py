"""Session descriptions (SDP, RFC 8866) as lines: lossless reading and writing, no meaning of audio.

Every line is kept as it came, unknown ones and blank ones too, so `parse(text).render() == text`.
What audio the description speaks of is in `sdp_media`; what is questionable in it, `sdp_lint`.

The reader takes what devices really send: CRLF, LF or CR line ends, a missing last line end, blank
lines, spaces around a line, lines in unusual order, missing o=, s= and t=, host names and 20-digit
ids in o=. It refuses what has no reading: a line that is not `letter=value`, a version other than
0, an m= or c= line without its fields. `WireError.offset` is the 1-based line number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from aes67.errors import WireError
from aes67.wire.sdp_fields import Attribute as Attribute
from aes67.wire.sdp_fields import Connection as Connection
from aes67.wire.sdp_fields import Origin as Origin
from aes67.wire.sdp_fields import read_connection, read_number, read_origin

MAX_BYTES = 65_536
"""Longest description read, in bytes of UTF-8; SAP carries about 1 KiB, fetched ones a few KiB."""
MAX_LINES = 2_000

_LINE = re.compile(r"([^\r\n]*)(\r\n|\n|\r|$)")
_BLANKS = " \t\0"


@dataclass(frozen=True)
class Line:
    """One line as it stands in the text.

    `text` excludes the line end, `end` is the line end (empty at most in the last line), `number`
    counts from 1 and does not take part in comparison.
    """

    text: str
    end: str = "\n"
    number: int = field(default=0, compare=False)

    @property
    def type(self) -> str:
        """The letter before the equals sign; empty for a blank line."""
        return self.text.strip(_BLANKS)[:1]

    @property
    def value(self) -> str:
        """What stands after the equals sign, without surrounding blanks."""
        return self.text.strip(_BLANKS)[2:].strip(_BLANKS)


@dataclass(frozen=True)
class Section:
    """A run of lines: the session part or one media part."""

    lines: tuple[Line, ...]
    connections: tuple[Connection, ...]
    attributes: tuple[Attribute, ...]

    @property
    def connection(self) -> Connection | None:
        """The first c= line."""
        return self.connections[0] if self.connections else None

    def value(self, line_type: str) -> str | None:
        """Value of the first line of this type, None without one."""
        return next((line.value for line in self.lines if line.type == line_type), None)

    def find(self, name: str) -> Attribute | None:
        """The first attribute of this name, None without one."""
        return next((each for each in self.attributes if each.name == name), None)

    def find_all(self, name: str) -> tuple[Attribute, ...]:
        """All attributes of this name in their order."""
        return tuple(each for each in self.attributes if each.name == name)


@dataclass(frozen=True)
class MediaDescription(Section):
    """An m= line and what follows it up to the next one (RFC 8866, 5.14)."""

    media: str
    port: int
    port_count: int
    protocol: str
    formats: tuple[str, ...]

    @property
    def number(self) -> int:
        """Line number of the m= line."""
        return self.lines[0].number


@dataclass(frozen=True)
class SessionDescription(Section):
    """A whole description: its session part (the fields of Section) and its media parts.

    `origin` is None when o= is missing or has fewer than six fields: such a session cannot be
    followed to a newer version.
    """

    origin: Origin | None
    media: tuple[MediaDescription, ...]

    @property
    def name(self) -> str:
        """The session name (s=), empty without one."""
        return self.value("s") or ""

    def all_lines(self) -> Iterator[Line]:
        """Every line in the order of the text."""
        yield from self.lines
        for media in self.media:
            yield from media.lines

    def render(self, line_end: str | None = None) -> str:
        """The text: exactly as parsed, or with every line ended by `line_end`."""
        return "".join(
            line.text + (line.end if line_end is None else line_end) for line in self.all_lines()
        )

    def pack(self, line_end: str | None = None) -> bytes:
        """The text as octets, see `render`; what was not UTF-8 comes out as it came in."""
        return self.render(line_end).encode("utf-8", "surrogateescape")


def parse(text: str | bytes) -> SessionDescription:
    """Read a session description.

    Bytes are taken as UTF-8; others survive as surrogate escapes (RFC 8866 allows any charset).

    Raises:
        WireError: with the line number, when the text has no reading or is too long.
    """
    return from_lines(split(text))


def split(text: str | bytes) -> list[Line]:
    """Cut a text into lines without judging them.

    Raises:
        WireError: longer than MAX_BYTES, or a character that has no UTF-8 form.
    """
    if isinstance(text, bytes):
        size, text = len(text), text.decode("utf-8", "surrogateescape")
    else:
        size = _size(text)
    if size > MAX_BYTES:
        raise WireError(f"session description longer than {MAX_BYTES} octets")
    return [
        Line(match[1], match[2], number)
        for number, match in enumerate(_LINE.finditer(text), start=1)
        if match[0]
    ]


def build(values: Iterable[tuple[str, str]], line_end: str = "\n") -> SessionDescription:
    """A description from (letter, value) pairs; the counterpart of `parse` for what we write.

    Raises:
        WireError: when a pair makes no readable line, so a stray line feed never gets out.
    """
    lines = []
    for number, (line_type, value) in enumerate(values, start=1):
        if "\r" in value or "\n" in value:
            raise WireError(f"line break inside the value of {line_type}=", number)
        lines.append(Line(f"{line_type}={value}", line_end, number))
    return from_lines(lines)


def from_lines(lines: list[Line]) -> SessionDescription:
    """Sort lines into session and media parts and read the structural ones.

    Raises:
        WireError: see `parse`.
    """
    if len(lines) > MAX_LINES:
        raise WireError(f"more than {MAX_LINES} lines", MAX_LINES + 1)
    sections: list[list[Line]] = [[]]
    for line in lines:
        _check(line)
        if line.type == "m":
            sections.append([])
        sections[-1].append(line)
    head = sections[0]
    versions = [line for line in head if line.type == "v"]
    if not versions:
        raise WireError("no version line (v=0)", 1)
    for line in versions:
        if line.value != "0":
            raise WireError(f"version {line.value!r} is not 0", line.number)
    return SessionDescription(
        tuple(head),
        _connections(head),
        _attributes(head),
        origin=next(
            (read_origin(line.value, line.number) for line in head if line.type == "o"), None
        ),
        media=tuple(_media(section) for section in sections[1:]),
    )


def _size(text: str) -> int:
    try:
        return len(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError as error:
        raise WireError(
            "character that has no UTF-8 form", text.count("\n", 0, error.start) + 1
        ) from None


def _check(line: Line) -> None:
    text = line.text.strip(_BLANKS)
    if not text:
        return
    if len(text) < 2 or text[1] != "=":
        raise WireError(f"line {text[:40]!r} is not of the form letter=value", line.number)
    if not ("a" <= text[0] <= "z"):
        raise WireError(f"line type {text[0]!r} is not a letter from a to z", line.number)
    if "\0" in text:
        raise WireError("NUL inside a line", line.number)


def _connections(lines: Iterable[Line]) -> tuple[Connection, ...]:
    return tuple(read_connection(line.value, line.number) for line in lines if line.type == "c")


def _attributes(lines: Iterable[Line]) -> tuple[Attribute, ...]:
    found = []
    for line in lines:
        if line.type == "a":
            name, colon, value = line.value.partition(":")
            found.append(Attribute(name.strip(), value.strip() if colon else None, line.number))
    return tuple(found)


def _media(lines: list[Line]) -> MediaDescription:
    line = lines[0]
    fields = line.value.split()
    if len(fields) < 4:
        raise WireError("m= has fewer than four fields (media port protocol format)", line.number)
    port, slash, count = fields[1].partition("/")
    return MediaDescription(
        tuple(lines),
        _connections(lines),
        _attributes(lines),
        media=fields[0],
        port=read_number(port, "port in m=", line.number, 65_535),
        port_count=read_number(count, "port count in m=", line.number, 65_535) if slash else 1,
        protocol=fields[2],
        formats=tuple(fields[3:]),
    )
