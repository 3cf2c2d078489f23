"""The audio view: what the collected samples mean, and what each rule makes of odd ones."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given, settings

from aes67.errors import WireError
from aes67.wire import sdp
from aes67.wire.sdp_attributes import MediaClock, RefClock, ptime_text
from aes67.wire.sdp_media import audio_streams
from aes67.wire.sdp_stream import AudioStream
from aes67.wire.sdp_timing import timing_advice
from sim.session_texts import damaged, samples

VECTORS = Path(__file__).parent.parent / "vectors" / "sdp"
EXPECTED = json.loads((VECTORS / "expected.json").read_text(encoding="utf-8"))

HEAD = "v=0\no=- 1 2 IN IP4 10.0.0.1\ns=A\n"
AUDIO = "m=audio 5004 RTP/AVP 98\na=rtpmap:98 L24/48000/2\n"
GROUP = "c=IN IP4 239.0.0.1/32\n"
PTP = "a=ts-refclk:ptp=IEEE1588-2008:39-A7-94-FF-FE-07-CB-D0:0\n"


def streams(text: str) -> tuple[AudioStream, ...]:
    return audio_streams(sdp.parse(text))


def stream(*lines: str) -> AudioStream:
    """The one stream of a plain multicast description with these lines added to its media part."""
    (found,) = streams(HEAD + "t=0 0\n" + GROUP + AUDIO + "".join(line + "\n" for line in lines))
    return found


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_the_samples_mean(name: str) -> None:
    found = streams(samples()[name].decode())
    assert len(found) == len(EXPECTED[name]["streams"])
    for value, expected in zip(found, EXPECTED[name]["streams"], strict=True):
        ptp = next((each for each in value.ref_clocks if each.kind == "ptp"), RefClock("none"))
        assert {
            "encoding": value.encoding,
            "rate": value.rate,
            "channels": value.channels,
            "payload_type": value.payload_type,
            "frames": value.frames_per_packet,
            "direction": value.direction,
            "legs": [[leg.address, leg.port, leg.ttl, list(leg.included)] for leg in value.legs],
            "offset": value.timestamp_offset,
            "gmid": ptp.gmid,
            "domain": ptp.domain,
            "timing": timing_advice(value).timing,
            "channel_order": value.channel_order,
        } == {"channel_order": None, **expected}


def test_details_of_the_samples() -> None:
    (anubis,) = streams(samples()["ravenna_anubis"].decode())
    assert (anubis.clock_domain, anubis.sync_time, anubis.framecount) == ("PTPv2 0", 0, 48)
    (dante,) = streams(samples()["dante_avio"].decode())
    assert dante.information == "2 channels: Left, Right"
    (axia,) = streams(samples()["axia_xnode"].decode())
    assert (axia.ptime, axia.maxptime) == (Fraction(1), Fraction(5))
    (smpte,) = streams(samples()["st2110_30_level_ax"].decode())
    assert smpte.fmtp["tsmode"] == "SAMP"
    (slow,) = streams(samples()["aes67_44100"].decode())
    assert [each.encoding for each in slow.formats] == ["OPUS", "L24"]
    (dup,) = streams(samples()["ravenna_dup"].decode())
    assert [leg.mid for leg in dup.legs] == ["1", "2"]
    (embrionix,) = streams(samples()["st2110_embrionix"].decode())
    assert embrionix.media_clock == MediaClock("direct", 0, Fraction(48_000))


# AES67-2018 7.2 names the packet times of 6, 12, 16, 48 and 192 frames at 48 kHz and twice the
# frames at 96 kHz; senders write them rounded in many ways.
@pytest.mark.parametrize(
    ("rate", "ptime", "frames"),
    [
        (48_000, "0.125", 6), (48_000, "0.12", 6), (48_000, "0.13", 6), (48_000, "0.25", 12),
        (48_000, "0.33", 16), (48_000, "0.333", 16), (48_000, "0.333333333333", 16),
        (48_000, "1", 48), (48_000, "1.000", 48), (48_000, "2", 96), (48_000, "4", 192),
        (96_000, "0.12", 12), (96_000, "0.33", 32), (96_000, "1", 96), (192_000, "0.125", 24),
        (44_100, "0.14", 6), (44_100, "0.27", 12), (44_100, "0.36", 16), (44_100, "1.09", 48),
        (44_100, "4.35", 192), (44_100, "1.08843537415", 48), (88_200, "1.08843537415", 96),
        (44_100, "1", 44), (48_000, "0.001", 1), (48_000, "20", 960), (384_000, "0.125", 48),
    ],
)  # fmt: skip
def test_frames_from_a_packet_time(rate: int, ptime: str, frames: int) -> None:
    text = HEAD + GROUP + f"m=audio 5004 RTP/AVP 98\na=ptime:{ptime}\na=rtpmap:98 L24/{rate}/2\n"
    (found,) = streams(text)
    assert found.frames_per_packet == frames


@pytest.mark.parametrize("rate", [44_100, 48_000, 88_200, 96_000, 176_400, 192_000, 352_800])
def test_our_own_packet_times_are_read_exactly(rate: int) -> None:
    for frames in (6, 7, 12, 16, 44, 48, 96, 192, 384, 1024):
        text = HEAD + GROUP + f"m=audio 5004 RTP/AVP 98\na=rtpmap:98 L24/{rate}/2\n"
        (found,) = streams(text + f"a=ptime:{ptime_text(frames, rate)}\n")
        assert found.frames_per_packet == frames


@pytest.mark.parametrize(
    ("rate", "ptime", "framecount", "frames"),
    [
        (48_000, None, "48", 48), (48_000, "0.3", "15", 15), (48_000, "0.33", "16", 16),
        (44_100, "1", "48", 48), (44_100, "0.125", "6", 6), (88_200, "0.25", "24", 24),
        (48_000, "1", "192", 48), (48_000, "1", "0", 48), (48_000, None, "48-192", 48),
        (48_000, None, None, None),
    ],
)  # fmt: skip
def test_a_framecount_decides_what_a_rounded_packet_time_leaves_open(
    rate: int, ptime: str | None, framecount: str | None, frames: int | None
) -> None:
    text = HEAD + GROUP + f"m=audio 5004 RTP/AVP 98\na=rtpmap:98 L24/{rate}/2\n"
    text += f"a=ptime:{ptime}\n" if ptime else ""
    text += f"a=framecount:{framecount}\n" if framecount else ""
    assert streams(text)[0].frames_per_packet == frames


def test_static_payload_types_need_no_rtpmap() -> None:
    stereo, mono = streams(HEAD + GROUP + "m=audio 5004 RTP/AVP 10\nm=audio 5006 RTP/AVP 11\n")
    assert (stereo.encoding, stereo.rate, stereo.channels) == ("L16", 44_100, 2)
    assert (mono.encoding, mono.rate, mono.channels) == ("L16", 44_100, 1)


def test_the_first_linear_payload_type_is_chosen_with_its_parameters() -> None:
    text = HEAD + GROUP + (
        "m=audio 5004 RTP/AVP 96 97 98\na=rtpmap:96 opus/48000/2\na=rtpmap:97 l16/48000\n"
        "a=rtpmap:98 L24/48000/2\na=fmtp:96 useinbandfec=1\na=fmtp:97 channel-order=SMPTE2110.(M)\n"
    )  # fmt: skip
    (found,) = streams(text)
    assert (found.payload_type, found.encoding, found.channels) == (97, "L16", 1)
    assert found.fmtp == {"channel-order": "SMPTE2110.(M)"}


def test_a_stream_of_another_codec_is_shown_as_it_is() -> None:
    (found,) = streams(HEAD + GROUP + "m=audio 5004 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n")
    assert found.encoding == "OPUS"


@pytest.mark.parametrize("where", ["before time", "after time", "media"])
def test_a_connection_is_found_at_either_level(where: str) -> None:
    text = {
        "before time": HEAD + GROUP + "t=0 0\n" + AUDIO,
        "after time": HEAD + "t=0 0\n" + GROUP + AUDIO,
        "media": HEAD + "c=IN IP4 239.9.9.9/1\nt=0 0\n" + AUDIO + GROUP,
    }[where]
    assert streams(text)[0].legs[0].address == "239.0.0.1"


def test_lines_of_another_medium_do_not_touch_the_audio() -> None:
    video = "m=video 20000 RTP/AVP 96\nc=IN IP4 239.2.2.2/1\na=rtpmap:96 raw/90000\na=ptime:9\n"
    (found,) = streams(HEAD + video + AUDIO + GROUP + "a=ptime:1\n" + video)
    assert (found.legs[0].address, found.ptime, found.rate) == ("239.0.0.1", 1, 48_000)


def test_attributes_of_the_session_hold_where_the_media_has_none() -> None:
    text = HEAD + GROUP + PTP + "a=mediaclk:direct=5\na=recvonly\na=ptime:1\n" + AUDIO
    first, second = streams(text + AUDIO + "a=mediaclk:sender\na=sendonly\na=ptime:2\n")
    assert first.ref_clocks == second.ref_clocks
    assert (first.timestamp_offset, first.direction, first.ptime) == (5, "recvonly", 1)
    assert (second.timestamp_offset, second.direction, second.ptime) == (None, "sendonly", 2)


@pytest.mark.parametrize(
    ("filters", "included", "excluded"),
    [
        (["incl IN IP4 239.0.0.1 10.0.0.1"], ("10.0.0.1",), ()),
        (["incl IN IP4 * 10.0.0.1 10.0.0.2"], ("10.0.0.1", "10.0.0.2"), ()),
        (["excl IN IP4 239.0.0.1 10.0.0.1"], (), ("10.0.0.1",)),
        (["incl IN IP4 239.0.0.2 10.0.0.1"], (), ()),
        (["incl IN IP4 239.0.0.1 10.0.0.1", "incl IN IP4 * 10.0.0.1 10.0.0.3"],
         ("10.0.0.1", "10.0.0.3"), ()),
    ],
)  # fmt: skip
def test_source_filters_apply_to_their_destination(
    filters: list[str], included: tuple[str, ...], excluded: tuple[str, ...]
) -> None:
    (leg,) = stream(*(f"a=source-filter: {each}" for each in filters)).legs
    assert (leg.included, leg.excluded) == (included, excluded)


def test_a_session_level_source_filter_applies_too() -> None:
    text = HEAD + GROUP + "a=source-filter: incl IN IP4 239.0.0.1 10.0.0.1\n" + AUDIO
    assert streams(text)[0].legs[0].included == ("10.0.0.1",)


def leg(mid: str, address: str, rtpmap: str = "98 L24/48000/2") -> str:
    return (
        f"m=audio 5004 RTP/AVP 98\nc=IN IP4 {address}/32\na=rtpmap:{rtpmap}\na=ptime:1\n"
        f"a=mid:{mid}\n"
    )


def test_legs_are_joined_in_the_order_of_the_group() -> None:
    text = HEAD + "a=group:DUP sec prim\n" + leg("prim", "239.0.0.1") + leg("sec", "239.0.0.2")
    (found,) = streams(text)
    assert [each.address for each in found.legs] == ["239.0.0.2", "239.0.0.1"]


def test_media_without_a_group_are_streams_of_their_own() -> None:
    text = HEAD + "a=group:LS 1 2\n" + leg("1", "239.0.0.1") + leg("2", "239.0.0.2")
    assert [len(found.legs) for found in streams(text)] == [1, 1]


@pytest.mark.parametrize("group", ["DUP 1", "DUP 1 9", "DUP", "DUP 1 1"])
def test_a_group_with_one_known_leg_is_one_leg(group: str) -> None:
    text = HEAD + f"a=group:{group}\n" + leg("1", "239.0.0.1") + leg("2", "239.0.0.2")
    assert [len(found.legs) for found in streams(text)] == [1, 1]


def test_two_groups_are_two_streams() -> None:
    text = HEAD + "a=group:DUP 1 3\na=group:DUP 2 4\n"
    text += "".join(leg(str(each), f"239.0.0.{each}") for each in range(1, 5))
    assert [[each.address for each in found.legs] for found in streams(text)] == [
        ["239.0.0.1", "239.0.0.3"],
        ["239.0.0.2", "239.0.0.4"],
    ]


def test_a_mid_used_twice_names_the_first() -> None:
    """As in an example of a vendor's guide: the doubled block is a stream of its own."""
    text = HEAD + "a=group:DUP 1 2\n"
    text += leg("1", "239.0.0.1") + leg("1", "239.0.0.1") + leg("2", "239.0.0.2")
    first, second = streams(text)
    assert [each.address for each in first.legs] == ["239.0.0.1", "239.0.0.2"]
    assert [each.address for each in second.legs] == ["239.0.0.1"]


def test_legs_of_different_formats_are_refused() -> None:
    text = HEAD + "a=group:DUP 1 2\n" + leg("1", "239.0.0.1")
    text += leg("2", "239.0.0.2", "98 L16/48000/2")
    with pytest.raises(WireError, match="legs of a DUP group differ") as caught:
        streams(text)
    assert caught.value.offset == 10


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (HEAD + AUDIO, 4, "c= is missing"),
        (HEAD + GROUP + "m=audio 5004 RTP/AVP 98\n", 5, "no rtpmap for payload type 98"),
        (HEAD + GROUP + "m=audio 5004 RTP/AVP 98\na=rtpmap:99 L24/48000/2\n", 5, "no rtpmap"),
        (HEAD + GROUP + "m=audio 5004 RTP/AVP 128\n", 5, "above 127"),
        (HEAD + GROUP + "m=audio 5004 RTP/AVP L24\n", 5, "payload type in m="),
        (HEAD + "c=IN IP4 studio.example/32\n" + AUDIO, 4, "no IP4 address"),
        (HEAD + "c=IN IP4 239.0.0.256/32\n" + AUDIO, 4, "no IP4 address"),
        (HEAD + "c=IN IP4 ff02::1\n" + AUDIO, 4, "no IP4 address"),
        (HEAD + "c=IN IP6 239.0.0.1\n" + AUDIO, 4, "no IP6 address"),
        (HEAD + GROUP + AUDIO + "a=ptime:0\n", 7, "ptime"),
        (HEAD + GROUP + AUDIO + "a=framecount:x\n", 7, "framecount"),
        (HEAD + GROUP + AUDIO + "a=sync-time:\n", 7, "sync-time"),
        (HEAD + GROUP + AUDIO + "a=mediaclk:direct=x\n", 7, "mediaclk"),
        (HEAD + GROUP + AUDIO + "a=source-filter: incl\n", 7, "source-filter"),
    ],
)
def test_what_has_no_reading_names_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(WireError, match=reason) as caught:
        streams(text)
    assert caught.value.offset == line


@pytest.mark.parametrize(
    ("lines", "offset"),
    [
        (["a=sync-time:7"], 7),
        (["a=mediaclk:direct=5"], 5),
        (["a=sync-time:7", "a=mediaclk:direct=5"], 5),
        (["a=mediaclk:direct=5", "a=sync-time:7"], 5),
        (["a=mediaclk:direct", "a=sync-time:7"], 7),
        (["a=sync-time:4294967297"], 1),
        ([], None),
    ],
)
def test_the_timestamp_offset(lines: list[str], offset: int | None) -> None:
    assert stream(*lines).timestamp_offset == offset


DIRECT = "a=mediaclk:direct=0"


@pytest.mark.parametrize(
    ("lines", "timing", "reason"),
    [
        ([PTP.strip(), DIRECT], "direct", "39-A7-94-FF-FE-07-CB-D0 domain 0"),
        ([PTP.strip(), "a=sync-time:9"], "direct", "offset 9"),
        (["a=ts-refclk:ptp=traceable", DIRECT], "direct", "PTP time"),
        ([PTP.strip(), "a=mediaclk:direct"], "latched", "does not say its timestamp offset"),
        ([PTP.strip()], "latched", "does not say its timestamp offset"),
        ([PTP.strip(), "a=mediaclk:sender"], "latched", "does not say its timestamp offset"),
        ([PTP.strip(), "a=mediaclk:sender", "a=sync-time:9"], "latched", "does not say"),
        ([DIRECT], "latched", "no ts-refclk"),
        (["a=sync-time:0"], "latched", "no ts-refclk"),
        (["a=ts-refclk:gps", DIRECT], "latched", "gps"),
        (["a=ts-refclk:ntp=/traceable/", DIRECT], "latched", "ntp"),
        (["a=ts-refclk:ntp=10.0.0.9", DIRECT], "async", "ntp"),
        (["a=ts-refclk:localmac=40-A3-6B-A0-2B-D2", DIRECT], "async", "localmac"),
        (["a=ts-refclk:local", DIRECT], "async", "local"),
        (["a=mediaclk:sender"], "async", "no reference clock"),
        ([], "async", "no reference clock"),
        (["a=ts-refclk:local", PTP.strip(), DIRECT], "direct", "PTP grandmaster"),
    ],
)
def test_the_timing_that_fits(lines: list[str], timing: str, reason: str) -> None:
    advice = timing_advice(stream(*lines))
    assert advice.timing == timing
    assert reason in advice.reason


@given(damaged())
@example(HEAD.encode() + b"a=group:DUP 1 1\n" + GROUP.encode() + AUDIO.encode() + b"a=mid:1\n")
@settings(max_examples=500, deadline=None)
def test_any_description_has_streams_or_a_wire_error(text: bytes) -> None:
    try:
        description = sdp.parse(text)
        found = audio_streams(description)
    except WireError:
        return
    for each in found:
        assert each.legs
        assert each.rate >= 1
        assert each.channels >= 1
        assert each.frames_per_packet is None or each.frames_per_packet >= 1
        assert each.timestamp_offset is None or 0 <= each.timestamp_offset < 2**32
        assert timing_advice(each).reason
