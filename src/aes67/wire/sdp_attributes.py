"""Attributes of audio sessions, each with its reader and its writer: a value here has one spelling.

rtpmap and ptime (RFC 8866), source-filter (RFC 4570), ts-refclk and mediaclk (RFC 7273, and
`localmac` from ST 2110-10), group (RFC 5888, RFC 7104). Sessions are read in `sdp_media`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from fractions import Fraction

from aes67.errors import WireError
from aes67.wire.sdp_fields import Attribute, read_number

MAX_RATE = 10_000_000
"""Largest clock rate read, in Hz: far above 384 kHz, far below what overflows int64 arithmetic."""

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{0,18})?|\.[0-9]{1,18}")
_HEX_PAIRS = re.compile(r"[0-9A-F]{2}([-:]?[0-9A-F]{2}){7}")


@dataclass(frozen=True)
class RtpMap:
    """`a=rtpmap:PT encoding/rate[/channels]`; rate in Hz, channels 1 when not given."""

    payload_type: int
    encoding: str
    rate: int
    channels: int = 1

    @property
    def text(self) -> str:
        """The a= value; the channel count is always written, also for 1."""
        return f"rtpmap:{self.payload_type} {self.encoding}/{self.rate}/{self.channels}"


@dataclass(frozen=True)
class SourceFilter:
    """`a=source-filter: incl|excl IN IP4 destination sources`; destination may be `*`."""

    include: bool
    destination: str
    sources: tuple[str, ...]
    address_type: str = "IP4"

    @property
    def text(self) -> str:
        """The a= value, with the space after the colon that every peer writes."""
        mode = "incl" if self.include else "excl"
        sources = " ".join(self.sources)
        return f"source-filter: {mode} IN {self.address_type} {self.destination} {sources}"


@dataclass(frozen=True)
class RefClock:
    """`a=ts-refclk:` the clock the sender's timestamps refer to.

    `kind` is `ptp`, `ntp`, `gps`, `gal`, `glonass`, `local`, `private`, `localmac` or whatever
    else stands there. For ptp: `version` as written (`IEEE1588-2008`), `gmid` as eight upper-case
    hex pairs joined with `-`, `domain` 0 to 255, each None when not given. `detail` is the NTP
    server, the MAC address, the domain name, or the text of a form not known here.
    """

    kind: str
    version: str | None = None
    gmid: str | None = None
    domain: int | None = None
    traceable: bool = False
    detail: str = ""

    @property
    def text(self) -> str:
        """The a= value."""
        if self.kind == "ptp":
            grandmaster = "traceable" if self.traceable else self.gmid
            domain = None if self.domain is None else str(self.domain)
            parts = (self.version, grandmaster, domain or self.detail)
            return "ts-refclk:ptp=" + ":".join(part for part in parts if part)
        if self.kind == "ntp":
            return "ts-refclk:ntp=" + ("/traceable/" if self.traceable else self.detail)
        if self.kind == "private" and self.traceable:
            return "ts-refclk:private:traceable"
        return f"ts-refclk:{self.kind}" + (f"={self.detail}" if self.detail else "")


@dataclass(frozen=True)
class MediaClock:
    """`a=mediaclk:` how RTP timestamps follow the reference clock.

    `kind` is `direct`, `sender`, `IEEE1722` or whatever else stands there; `offset` (direct only)
    is the RTP timestamp at the epoch of the reference clock, modulo 2^32, None when not given;
    `rate` the media clock's rate in Hz when given (`rate=48000/1`); `detail` the rest.
    """

    kind: str
    offset: int | None = None
    rate: Fraction | None = None
    detail: str = ""

    @property
    def text(self) -> str:
        """The a= value."""
        text = f"mediaclk:{self.kind}"
        if self.offset is not None:
            text += f"={self.offset}"
        elif self.detail:
            text += f"={self.detail}"
        if self.rate is not None:
            text += f" rate={self.rate.numerator}/{self.rate.denominator}"
        return text


@dataclass(frozen=True)
class Group:
    """`a=group:semantics mid ...` (RFC 5888); DUP marks the legs of a duplicated stream."""

    semantics: str
    mids: tuple[str, ...]

    @property
    def text(self) -> str:
        """The a= value."""
        return " ".join((f"group:{self.semantics}", *self.mids))


def ptime_text(frames: int, rate: int) -> str:
    """Packet time in ms of `frames` at `rate` Hz as a decimal: 12 places at most, no zeros behind.

    >>> ptime_text(48, 44_100), ptime_text(480, 48_000)
    ('1.08843537415', '10')
    """
    scaled = (2 * frames * 1000 * 10**12 + rate) // (2 * rate)
    whole, rest = divmod(scaled, 10**12)
    return f"{whole}.{rest:012d}".rstrip("0").rstrip(".")


def read_milliseconds(attribute: Attribute) -> Fraction:
    """Value of ptime or maxptime in ms, exact and above 0.

    Raises:
        WireError: not a positive decimal number.
    """
    text = (attribute.value or "").strip()
    if not _DECIMAL.fullmatch(text) or Fraction(text) <= 0:
        raise WireError(
            f"{attribute.name} {text[:40]!r} is no positive number of ms", attribute.number
        )
    return Fraction(text)


def read_rtpmap(attribute: Attribute) -> RtpMap:
    """Read an rtpmap attribute.

    Raises:
        WireError: payload type not 0 to 127, rate not 1 to MAX_RATE, channels not 1 to 1024.
    """
    line = attribute.number
    payload_type, _, form = (attribute.value or "").partition(" ")
    fields = form.strip().split("/")
    if len(fields) < 2 or not fields[0]:
        raise WireError("rtpmap is not 'PT encoding/rate[/channels]'", line)
    rate = read_number(fields[1].strip(), "rate in rtpmap", line, MAX_RATE)
    channels = 1
    if len(fields) > 2 and fields[2].strip():
        channels = read_number(fields[2].strip(), "channel count in rtpmap", line, 1024)
    if rate == 0 or channels == 0:
        raise WireError("rate and channel count of rtpmap must not be 0", line)
    pt = read_number(payload_type, "payload type in rtpmap", line, 127)
    return RtpMap(pt, fields[0].strip(), rate, channels)


def read_source_filter(attribute: Attribute) -> SourceFilter:
    """Read a source-filter attribute.

    Raises:
        WireError: not incl or excl, no source, or a source that is no IP address.
    """
    line = attribute.number
    fields = (attribute.value or "").split()
    if len(fields) < 5 or fields[0] not in ("incl", "excl") or fields[1].upper() != "IN":
        raise WireError("source-filter is not 'incl|excl IN IP4 destination source ...'", line)
    for source in fields[4:]:
        if not is_ip(source):
            raise WireError(f"source {source[:60]!r} in source-filter is no IP address", line)
    return SourceFilter(fields[0] == "incl", fields[3], tuple(fields[4:]), fields[2].upper())


def read_ref_clock(attribute: Attribute) -> RefClock:
    """Read a ts-refclk attribute; an unknown form is a value too, so this never raises."""
    text = (attribute.value or "").strip()
    kind, equals, rest = text.partition("=")
    if not equals:
        kind, _, mark = text.partition(":")
        return RefClock(kind.strip().lower(), traceable=mark.strip().lower() == "traceable")
    kind, rest = kind.strip().lower(), rest.strip()
    if kind == "ptp":
        return _ptp_clock(rest)
    if kind == "ntp" and rest.lower().strip("/") == "traceable":
        return RefClock("ntp", traceable=True)
    return RefClock(kind, detail=rest)


def _ptp_clock(text: str) -> RefClock:
    """RFC 7273 4.8: version [":" grandmaster [":" domain]]; PipeWire writes only `traceable`."""
    if text.lower() == "traceable":
        return RefClock("ptp", traceable=True)
    version, _, rest = text.partition(":")
    if not rest:
        return RefClock("ptp", version or None)
    if rest.lower().split(":")[0] == "traceable":
        return RefClock("ptp", version, traceable=True)
    match = _HEX_PAIRS.match(rest.upper())
    if match is None:
        return RefClock("ptp", version, detail=rest)
    digits = re.sub("[-:]", "", match[0])
    gmid = "-".join(digits[i : i + 2] for i in range(0, 16, 2))
    tail = rest[match.end() :].removeprefix(":")
    nmbr = tail.removeprefix("domain-nmbr=")
    if re.fullmatch("[0-9]{1,3}", nmbr) and int(nmbr) <= 255:
        return RefClock("ptp", version, gmid, int(nmbr))
    return RefClock("ptp", version, gmid, detail=tail)


def read_media_clock(attribute: Attribute) -> MediaClock:
    """Read a mediaclk attribute.

    Raises:
        WireError: `direct=` with something that is no number.
    """
    fields = (attribute.value or "").split()
    if fields and fields[0].startswith("id="):
        fields = fields[1:]  # RFC 7273 5.4: the tag of a shared media clock
    if not fields:
        return MediaClock("")
    kind, equals, detail = fields[0].partition("=")
    rate = next((_rate(each) for each in fields[1:] if each.startswith("rate=")), None)
    if kind.lower() != "direct":
        return MediaClock(kind, rate=rate, detail=detail)
    if not equals:
        return MediaClock("direct", rate=rate)
    offset = read_number(detail, "offset in mediaclk", attribute.number)
    return MediaClock("direct", offset % 2**32, rate)


def _rate(text: str) -> Fraction | None:
    match = re.fullmatch(r"rate=([0-9]{1,9})(?:/([0-9]{1,9}))?", text)
    if match is None or int(match[2] or 1) == 0:
        return None
    return Fraction(int(match[1]), int(match[2] or 1))


def read_group(attribute: Attribute) -> Group:
    """Read a group attribute; an empty one has no semantics and no members."""
    fields = (attribute.value or "").split()
    return Group(fields[0].upper() if fields else "", tuple(fields[1:]))


def is_ip(text: str) -> bool:
    """Whether this is an IPv4 or IPv6 address in numbers, without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
