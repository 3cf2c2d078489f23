"""Attributes of audio sessions: each form read, written back, and its malformed twins."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.wire.sdp import Attribute
from aes67.wire.sdp_attributes import (
    Group,
    MediaClock,
    RefClock,
    RtpMap,
    SourceFilter,
    is_ip,
    ptime_text,
    read_group,
    read_media_clock,
    read_milliseconds,
    read_ref_clock,
    read_rtpmap,
    read_source_filter,
)


def attribute(text: str) -> Attribute:
    name, colon, value = text.partition(":")
    return Attribute(name, value if colon else None, 7)


# The contract's own list (facts of a running daemon), and whole milliseconds it printed wrongly.
@pytest.mark.parametrize(
    ("frames", "rate", "text"),
    [
        (48, 48_000, "1"), (6, 48_000, "0.125"), (12, 48_000, "0.25"), (192, 48_000, "4"),
        (16, 48_000, "0.333333333333"), (48, 44_100, "1.08843537415"),
        (96, 44_100, "2.176870748299"), (480, 48_000, "10"), (960, 48_000, "20"),
        (96_000, 96_000, "1000"), (12, 96_000, "0.125"), (48, 384_000, "0.125"),
    ],
)  # fmt: skip
def test_ptime_is_written_as_the_daemon_does(frames: int, rate: int, text: str) -> None:
    assert ptime_text(frames, rate) == text


@given(st.integers(1, 10_000), st.sampled_from([44_100, 48_000, 88_200, 96_000, 192_000, 384_000]))
def test_ptime_tells_the_frames_back(frames: int, rate: int) -> None:
    text = ptime_text(frames, rate)
    assert text == f"{frames * 1000 / rate:.12f}".rstrip("0").rstrip(".") or rate % 11_025 == 0
    assert round(Fraction(text) * rate / 1000) == frames
    assert read_milliseconds(Attribute("ptime", text)) == Fraction(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", Fraction(1)), ("0.125", Fraction(1, 8)), ("1.000", Fraction(1)), (".5", Fraction(1, 2)),
     ("4.", Fraction(4)), ("0.333", Fraction(333, 1000))],
)  # fmt: skip
def test_packet_times_are_exact(text: str, value: Fraction) -> None:
    assert read_milliseconds(Attribute("ptime", text)) == value


@pytest.mark.parametrize(
    "text", ["", "0", "0.000", "-1", "1e3", "1ms", "1,5", "one", ".", "1.5.1", "nan", "1" * 10]
)
def test_packet_times_without_meaning(text: str) -> None:
    with pytest.raises(WireError, match="ptime") as caught:
        read_milliseconds(Attribute("ptime", text, 7))
    assert caught.value.offset == 7


@pytest.mark.parametrize(
    ("text", "value", "back"),
    [
        ("rtpmap:98 L24/48000/2", RtpMap(98, "L24", 48_000, 2), None),
        ("rtpmap:98 L24/48000", RtpMap(98, "L24", 48_000, 1), "rtpmap:98 L24/48000/1"),
        ("rtpmap:98 L24/48000/", RtpMap(98, "L24", 48_000, 1), "rtpmap:98 L24/48000/1"),
        ("rtpmap:98  L24/48000/2", RtpMap(98, "L24", 48_000, 2), "rtpmap:98 L24/48000/2"),
        ("rtpmap:0 PCMU/8000", RtpMap(0, "PCMU", 8_000, 1), "rtpmap:0 PCMU/8000/1"),
        ("rtpmap:127 AM824/384000/64", RtpMap(127, "AM824", 384_000, 64), None),
    ],
)
def test_rtpmaps(text: str, value: RtpMap, back: str | None) -> None:
    assert read_rtpmap(attribute(text)) == value
    assert value.text == (back or text)


@pytest.mark.parametrize(
    "text",
    ["rtpmap", "rtpmap:", "rtpmap:98", "rtpmap:98 L24", "rtpmap:98 /48000", "rtpmap:x L24/48000",
     "rtpmap:128 L24/48000", "rtpmap:98 L24/fast", "rtpmap:98 L24/0", "rtpmap:98 L24/48000/0",
     "rtpmap:98 L24/48000/two", "rtpmap:98 L24/48000/1025", "rtpmap:98 L24/10000001",
     "rtpmap: L24/48000", "rtpmap:-1 L24/48000"],
)  # fmt: skip
def test_malformed_rtpmaps(text: str) -> None:
    with pytest.raises(WireError) as caught:
        read_rtpmap(attribute(text))
    assert caught.value.offset == 7


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("source-filter: incl IN IP4 239.1.0.1 10.0.0.1",
         SourceFilter(True, "239.1.0.1", ("10.0.0.1",))),
        ("source-filter: excl IN IP4 * 10.0.0.1 10.0.0.2",
         SourceFilter(False, "*", ("10.0.0.1", "10.0.0.2"))),
        ("source-filter: incl IN IP6 ff0e::11a 2001:db8::1",
         SourceFilter(True, "ff0e::11a", ("2001:db8::1",), "IP6")),
    ],
)  # fmt: skip
def test_source_filters(text: str, value: SourceFilter) -> None:
    assert read_source_filter(attribute(text)) == value
    assert read_source_filter(attribute(text.replace(": ", ":"))) == value
    assert value.text == text


@pytest.mark.parametrize(
    "text",
    ["source-filter", "source-filter: incl IN IP4 239.1.0.1", "source-filter: any IN IP4 * 1.1.1.1",
     "source-filter: incl ATM IP4 * 10.0.0.1", "source-filter: incl IN IP4 239.1.0.1 me",
     "source-filter: incl IN IP4 239.1.0.1 10.0.0.256"],
)  # fmt: skip
def test_malformed_source_filters(text: str) -> None:
    with pytest.raises(WireError):
        read_source_filter(attribute(text))


GMID = "39-A7-94-FF-FE-07-CB-D0"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"ptp=IEEE1588-2008:{GMID}:0", RefClock("ptp", "IEEE1588-2008", GMID, 0)),
        (f"ptp=IEEE1588-2019:{GMID}:127", RefClock("ptp", "IEEE1588-2019", GMID, 127)),
        (f"ptp=IEEE1588-2008:{GMID}", RefClock("ptp", "IEEE1588-2008", GMID)),
        (f"ptp=IEEE802.1AS-2011:{GMID}", RefClock("ptp", "IEEE802.1AS-2011", GMID)),
        ("ptp=IEEE1588-2008:traceable", RefClock("ptp", "IEEE1588-2008", traceable=True)),
        ("ptp=IEEE1588-2008", RefClock("ptp", "IEEE1588-2008")),
        ("ptp=traceable", RefClock("ptp", traceable=True)),
        ("ntp=/traceable/", RefClock("ntp", traceable=True)),
        ("ntp=203.0.113.10", RefClock("ntp", detail="203.0.113.10")),
        ("ntp=clock.example:123", RefClock("ntp", detail="clock.example:123")),
        ("gps", RefClock("gps")), ("gal", RefClock("gal")), ("glonass", RefClock("glonass")),
        ("local", RefClock("local")), ("private", RefClock("private")),
        ("private:traceable", RefClock("private", traceable=True)),
        ("localmac=40-A3-6B-A0-2B-D2", RefClock("localmac", detail="40-A3-6B-A0-2B-D2")),
        ("sundial=south wall", RefClock("sundial", detail="south wall")),
    ],
)  # fmt: skip
def test_reference_clocks_both_ways(text: str, value: RefClock) -> None:
    """RFC 7273 4.8, PipeWire's short form, ST 2110-10's localmac, and forms not known here."""
    assert read_ref_clock(attribute(f"ts-refclk:{text}")) == value
    assert value.text == f"ts-refclk:{text}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ptp=IEEE1588-2008:39-a7-94-ff-fe-07-cb-d0:0", RefClock("ptp", "IEEE1588-2008", GMID, 0)),
        ("ptp=IEEE1588-2008:39:A7:94:FF:FE:07:CB:D0:5", RefClock("ptp", "IEEE1588-2008", GMID, 5)),
        ("ptp=IEEE1588-2008:39A794FFFE07CBD0:5", RefClock("ptp", "IEEE1588-2008", GMID, 5)),
        (f"ptp=IEEE1588-2008:{GMID}:domain-nmbr=7", RefClock("ptp", "IEEE1588-2008", GMID, 7)),
        (f"ptp=IEEE1588-2008:{GMID}:domain-name=main",
         RefClock("ptp", "IEEE1588-2008", GMID, detail="domain-name=main")),
        (f"ptp=IEEE1588-2008:{GMID}:256", RefClock("ptp", "IEEE1588-2008", GMID, detail="256")),
        ("ptp=IEEE1588-2008:nobody", RefClock("ptp", "IEEE1588-2008", detail="nobody")),
        ("PTP=IEEE1588-2008:TRACEABLE", RefClock("ptp", "IEEE1588-2008", traceable=True)),
        ("ptp=IEEE1588-2008:traceable:0", RefClock("ptp", "IEEE1588-2008", traceable=True)),
        ("", RefClock("")),
    ],
)  # fmt: skip
def test_reference_clocks_in_other_spellings(text: str, value: RefClock) -> None:
    assert read_ref_clock(attribute(f"ts-refclk:{text}")) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("mediaclk:direct=963214424", MediaClock("direct", 963214424)),
        ("mediaclk:direct", MediaClock("direct")),
        ("mediaclk:direct=0 rate=48000/1", MediaClock("direct", 0, Fraction(48_000))),
        ("mediaclk:direct=5 rate=1000/1001", MediaClock("direct", 5, Fraction(1000, 1001))),
        ("mediaclk:sender", MediaClock("sender")),
        ("mediaclk:IEEE1722=38-D6-6D-8E-D2-78-13-2F",
         MediaClock("IEEE1722", detail="38-D6-6D-8E-D2-78-13-2F")),
    ],
)  # fmt: skip
def test_media_clocks_both_ways(text: str, value: MediaClock) -> None:
    assert read_media_clock(attribute(text)) == value
    assert value.text == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("mediaclk:direct=0 rate=48000", MediaClock("direct", 0, Fraction(48_000))),
        ("mediaclk:direct=0 rate=1/0", MediaClock("direct", 0)),
        ("mediaclk:direct=4294967297", MediaClock("direct", 1)),
        ("mediaclk:id=MDA6NjA=src: direct=0", MediaClock("direct", 0)),
        ("mediaclk:", MediaClock("")), ("mediaclk", MediaClock("")),
    ],
)  # fmt: skip
def test_media_clocks_in_other_spellings(text: str, value: MediaClock) -> None:
    assert read_media_clock(attribute(text)) == value


@pytest.mark.parametrize("text", ["mediaclk:direct=", "mediaclk:direct=-1", "mediaclk:direct=x"])
def test_malformed_media_clocks(text: str) -> None:
    with pytest.raises(WireError, match="offset in mediaclk"):
        read_media_clock(attribute(text))


def test_groups() -> None:
    assert read_group(attribute("group:DUP 1 2")) == Group("DUP", ("1", "2"))
    assert read_group(attribute("group:dup prim sec")).semantics == "DUP"
    assert read_group(attribute("group")) == Group("", ())
    assert Group("DUP", ("1", "2")).text == "group:DUP 1 2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10.0.0.1", True), ("ff02::1", True), ("fe80::1%eth0", False), ("host", False), ("", False),
     ("10.0.0", False), ("010.0.0.1", False)],
)  # fmt: skip
def test_addresses_in_numbers(text: str, expected: bool) -> None:
    assert is_ip(text) is expected


READERS = (
    read_rtpmap, read_source_filter, read_ref_clock, read_media_clock, read_milliseconds,
    read_group,
)  # fmt: skip


@given(st.sampled_from(READERS), st.none() | st.text(max_size=40))
def test_any_value_is_read_or_a_wire_error(
    reader: Callable[[Attribute], object], value: str | None
) -> None:
    try:
        reader(Attribute("name", value, 3))
    except WireError as error:
        caught = error
    else:
        return
    assert caught.offset == 3
