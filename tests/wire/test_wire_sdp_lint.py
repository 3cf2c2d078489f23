"""The linter: silent on good descriptions, one finding with its line for each thing made wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.wire.sdp_lint import lint
from aes67.wire.sdp_lint_stream import Profile
from sim.session_texts import damaged, samples

# line 1 to 16; fits all three profiles but for the source-filter that Dante does not like
LINES = (
    "v=0",
    "o=- 1311738121 1311738122 IN IP4 192.168.1.1",
    "s=Stage left",
    "t=0 0",
    "m=audio 5004 RTP/AVP 98",
    "i=2 channels: Left, Right",
    "c=IN IP4 239.69.0.1/32",
    "a=source-filter: incl IN IP4 239.69.0.1 192.168.1.1",
    "a=rtpmap:98 L24/48000/2",
    "a=fmtp:98 channel-order=SMPTE2110.(ST)",
    "a=framecount:48",
    "a=ptime:1",
    "a=maxptime:1",
    "a=ts-refclk:ptp=IEEE1588-2008:39-A7-94-FF-FE-07-CB-D0:0",
    "a=mediaclk:direct=0",
    "a=sync-time:0",
)


def text(changes: dict[int, str | None] | None = None, end: str = "\r\n") -> str:
    """The good description with lines replaced (several joined by a line end) or left out.

    An attribute left out gives its place to one without meaning, so that lines keep their numbers.
    """
    lines = [(changes or {}).get(number, line) for number, line in enumerate(LINES, start=1)]
    lines[7:] = [line or "a=x-none" for line in lines[7:]]
    return "".join(line + end for line in lines if line is not None)


def found(description: str, profile: Profile = "aes67") -> list[tuple[int, str, str]]:
    return [(each.line, each.severity, each.rule) for each in lint(description, profile)]


@pytest.mark.parametrize(
    ("profile", "changes"), [("aes67", {}), ("st2110", {}), ("dante", {8: None})]
)
def test_a_good_description_has_no_findings(
    profile: Profile, changes: dict[int, str | None]
) -> None:
    assert found(text(changes), profile) == []


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("gstreamer_l24", "aes67"), ("ravenna_anubis", "aes67"), ("ravenna_anubis", "st2110"),
        ("st2110_30_level_ax", "aes67"), ("st2110_30_level_ax", "st2110"),
    ],
)  # fmt: skip
def test_good_samples_have_no_findings(name: str, profile: Profile) -> None:
    assert lint(samples()[name], profile) == ()


@pytest.mark.parametrize("name", ["dante_avio", "dante_redundant", "dante_yamaha_mono"])
def test_what_dante_devices_write_is_fit_for_dante(name: str) -> None:
    assert {each.severity for each in lint(samples()[name], "dante")} == {"note"}


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({2: None}, (1, "error", "missing-o")),
        ({3: None}, (1, "error", "missing-s")),
        ({4: None}, (1, "error", "missing-t")),
        ({2: "o=- 1 IN IP4 192.168.1.1"}, (2, "error", "origin")),
        ({2: "o=- 1 1 IN IP4 studio"}, (2, "warning", "origin")),
        ({2: "o=- 0 0 IN IP4 192.168.1.1"}, (2, "warning", "origin")),
        ({3: "t=0 0", 4: "s=Stage left"}, (4, "warning", "line-order")),
        ({6: None, 7: LINES[6] + "\r\n" + LINES[5]}, (7, "warning", "line-order")),
        ({16: LINES[15] + "\r\nt=0 0"}, (17, "warning", "line-type")),
        ({3: LINES[2] + "\r\n"}, (4, "warning", "blank-line")),
        ({3: " s=Stage left"}, (3, "note", "blanks")),
        ({3: "s=Stage left\n" + LINES[3], 4: None}, (3, "warning", "line-end")),
        ({1: "v=1"}, (1, "error", "syntax")),
        ({6: "Left and right"}, (6, "error", "syntax")),
        ({5: "m=audio 5005 RTP/AVP 98"}, (5, "warning", "port")),
        ({5: "m=audio 0 RTP/AVP 98"}, (5, "error", "port")),
        ({5: "m=audio 5004 RTP/SAVP 98"}, (5, "error", "protocol")),
        ({5: "m=audio 5004 RTP/AVP 99"}, (5, "error", "stream")),
        ({5: "m=video 5004 RTP/AVP 98"}, (1, "error", "no-audio")),
        ({5: "m=audio 5004 RTP/AVP 20", 9: "a=rtpmap:20 L24/48000/2", 10: None},
         (5, "warning", "payload-type")),
        ({7: None}, (5, "error", "stream")),
        ({7: "c=IN IP4 239.69.0.1"}, (7, "error", "ttl")),
        ({7: "c=IN IP4 239.69.0.1/0"}, (7, "error", "ttl")),
        ({7: "c=IN IP4 239.69.0.1/32/2"}, (7, "warning", "address")),
        ({7: "c=IN IP4 192.168.1.9/32", 8: None}, (7, "warning", "ttl")),
        ({7: "c=IN IP4 224.0.0.9/32", 8: None}, (7, "error", "address")),
        ({8: "a=source-filter: incl IN IP4 239.69.0.2 192.168.1.1"},
         (8, "warning", "source-filter")),
        ({9: "a=rtpmap:98 OPUS/48000/2"}, (9, "error", "encoding")),
        ({9: "a=rtpmap:98 L24/48000", 10: None}, (9, "note", "channels")),
        ({9: "a=rtpmap:98 L24/32000/2", 11: "a=framecount:48", 12: "a=ptime:1.5", 13: None},
         (9, "warning", "rate")),
        ({9: "a=rtpmap:98 L24/48000/11", 10: None}, (12, "error", "packet-size")),
        ({10: "a=fmtp:98 channel-order=SMPTE2110.(51)"}, (10, "error", "channel-order")),
        ({10: "a=fmtp:98 channel-order=SMPTE2110.(XY)"}, (10, "error", "channel-order")),
        ({10: "a=fmtp:98 channel-order=SMPTE2110.()"}, (10, "error", "channel-order")),
        ({10: "a=fmtp:98 channel-order=ST"}, (10, "error", "channel-order")),
        ({10: "a=fmtp:98 channel-order=SMPTE2110.(U65)"}, (10, "error", "channel-order")),
        ({11: "a=framecount:192"}, (11, "warning", "framecount")),
        ({11: None, 12: None}, (5, "warning", "ptime")),
        ({11: None, 12: "a=ptime:0.5"}, (12, "warning", "packet-time")),
        ({12: "a=ptime:0"}, (12, "error", "stream")),
        ({13: "a=maxptime:0.125"}, (13, "error", "maxptime")),
        ({14: None}, (5, "warning", "ts-refclk")),
        ({14: "a=ts-refclk:ptp=IEEE1588-2008:39-A7-94-FF-FE-07-CB-D0"},
         (14, "warning", "ts-refclk")),
        ({14: "a=ts-refclk:ptp=IEEE1588-2008:39-A7-94:0"}, (14, "error", "ts-refclk")),
        ({14: "a=ts-refclk:ptp=IEEE1588-2008:00-00-00-00-00-00-00-00:0"},
         (14, "warning", "ts-refclk")),
        ({14: "a=ts-refclk:localmac=40-A3-6B-A0-2B-D2"}, (14, "note", "ts-refclk")),
        ({15: None}, (5, "warning", "mediaclk")),
        ({15: "a=mediaclk:direct", 16: None}, (15, "warning", "mediaclk")),
        ({16: "a=sync-time:7"}, (16, "warning", "sync-time")),
    ],
)  # fmt: skip
def test_one_thing_wrong_is_one_finding(
    changes: dict[int, str | None], finding: tuple[int, str, str]
) -> None:
    others = {"missing-o", "missing-s"} if finding[2] == "no-audio" else set()
    assert [each for each in found(text(changes)) if each[2] not in others] == [finding]


@pytest.mark.parametrize(
    ("profile", "changes", "finding"),
    [
        ("st2110", {8: None}, (5, "error", "source-filter")),
        ("st2110", {11: None, 12: None}, (5, "error", "ptime")),
        ("st2110", {14: None}, (5, "error", "ts-refclk")),
        ("st2110", {15: None}, (5, "error", "mediaclk")),
        ("st2110", {15: "a=mediaclk:direct=5", 16: None}, (15, "error", "mediaclk")),
        ("st2110", {4: LINES[3] + "\r\n" + LINES[13], 14: None}, (5, "error", "ts-refclk")),
        ("st2110", {9: "a=rtpmap:98 L24/192000/1", 10: None, 11: "a=framecount:192"},
         (9, "error", "rate")),
        ("dante", {}, (8, "warning", "source-filter")),
        ("dante", {7: "c=IN IP4 239.1.0.1/32", 8: None}, (5, "warning", "address")),
        ("dante", {7: "c=IN IP4 232.1.0.1/32", 8: None}, (5, "error", "address")),
        ("dante", {5: "m=audio 5006 RTP/AVP 98", 8: None}, (5, "warning", "port")),
        ("dante", {8: None, 9: "a=rtpmap:98 L16/48000/2"}, (9, "error", "encoding")),
        ("dante", {8: None, 9: "a=rtpmap:98 L24/48000/9", 10: None}, (9, "error", "channels")),
        ("dante", {8: None, 11: None, 12: "a=ptime:0.125"}, (12, "error", "packet-time")),
        ("dante", {8: None, 14: LINES[13][:-1] + "1"}, (14, "error", "ts-refclk")),
    ],
)  # fmt: skip
def test_profiles_ask_for_more(
    profile: Profile, changes: dict[int, str | None], finding: tuple[int, str, str]
) -> None:
    assert found(text(changes), profile) == [finding]


def test_line_feeds_alone_are_a_note_or_a_warning() -> None:
    assert found(text(end="\n")) == [(1, "note", "line-end")]
    assert found(text(end="\n"), "st2110") == [(1, "warning", "line-end")]
    assert found(text().rstrip("\r\n")) == [(16, "note", "line-end")]


def leg(mid: str, address: str, source: str) -> str:
    lines = [*LINES[4:7], f"a=source-filter: incl IN IP4 {address} {source}", *LINES[8:]]
    lines[2] = f"c=IN IP4 {address}/32"
    return "\r\n".join([*lines, f"a=mid:{mid}", ""])


@pytest.mark.parametrize(
    ("group", "second", "findings"),
    [
        ("DUP 1 2", leg("2", "239.69.0.2", "192.168.2.1"), []),
        ("DUP 1 2", leg("2", "239.69.0.1", "192.168.2.1"), []),
        ("DUP 1 2", leg("2", "239.69.0.1", "192.168.1.1"), [(6, "error", "legs")]),
        ("DUP 1 3", leg("2", "239.69.0.2", "192.168.2.1"), [(5, "error", "group")]),
        ("DUP 1", leg("2", "239.69.0.2", "192.168.2.1"), [(5, "warning", "group")]),
        ("DUP 1 2", leg("2", "239.69.0.2", "192.168.2.1").replace("L24", "L16"),
         [(19, "error", "legs")]),
        ("DUP 1 2", leg("1", "239.69.0.2", "192.168.2.1"),
         [(5, "error", "group"), (31, "error", "mid")]),
    ],
)  # fmt: skip
def test_legs_and_groups(group: str, second: str, findings: list[tuple[int, str, str]]) -> None:
    head = "\r\n".join([*LINES[:4], f"a=group:{group}", ""])
    assert found(head + leg("1", "239.69.0.1", "192.168.1.1") + second) == findings


def test_every_broken_line_is_named_and_the_rest_is_judged() -> None:
    broken = text({3: "s=Stage left\r\nhello\r\nK=x", 12: "a=ptime:0.5", 11: None})
    assert found(broken) == [
        (4, "error", "syntax"), (5, "error", "syntax"), (14, "warning", "packet-time"),
    ]  # fmt: skip


def test_one_bad_stream_does_not_hide_the_next() -> None:
    second = "\r\n".join([*LINES[4:8], *LINES[9:], ""])
    assert [each[1:] for each in found(text() + second)] == [("error", "stream")]
    assert [each[0] for each in found(text() + second)] == [17]


@pytest.mark.parametrize("broken", ["", "hello", "v=0\n", "x" * 70_000, "\ud800", b"\xff\xfe"])
def test_texts_that_are_no_descriptions(broken: str | bytes) -> None:
    findings = lint(broken)
    assert findings
    assert "error" in {each.severity for each in findings}


@given(
    st.text(max_size=100) | st.binary(max_size=100) | damaged(),
    st.sampled_from(("aes67", "st2110", "dante")),
)
@settings(max_examples=300, deadline=None)
def test_any_text_can_be_judged(description: str | bytes, profile: Profile) -> None:
    findings = lint(description, profile)
    count = len(description.splitlines()) + description.count(
        b"\r" if isinstance(description, bytes) else "\r"
    )
    assert all(1 <= each.line <= max(1, count) for each in findings)
    assert all(each.message for each in findings)
