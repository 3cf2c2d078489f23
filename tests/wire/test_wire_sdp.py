"""Session descriptions as lines: nothing is lost, odd ones are read, broken ones name a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.wire import sdp
from aes67.wire.sap import SapMessage
from aes67.wire.sdp import Attribute, Connection, Line, Origin
from sim.session_texts import damaged, samples
from sim.tshark import dissect, udp_datagrams

VECTORS = Path(__file__).parent.parent / "vectors" / "sdp"
EXPECTED = json.loads((VECTORS / "expected.json").read_text(encoding="utf-8"))

MINIMAL = "v=0\no=- 1 2 IN IP4 10.0.0.1\ns=A\nt=0 0\nm=audio 5004 RTP/AVP 98\n"


def test_every_sample_has_its_expectation() -> None:
    assert sorted(EXPECTED) == sorted(samples())


@pytest.mark.parametrize("name", sorted(samples()))
def test_samples_come_out_as_they_went_in(name: str) -> None:
    data = samples()[name]
    description = sdp.parse(data)
    assert description.pack() == data
    assert sdp.parse(data.decode()).render() == data.decode()
    username, session_id, version, address = EXPECTED[name]["origin"]
    assert description.origin == Origin(username, session_id, version, address)
    assert description.name == EXPECTED[name]["name"]
    assert next(description.all_lines()).end == EXPECTED[name]["line_end"]
    numbers = [line.number for line in description.all_lines()]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("name", sorted(samples()))
def test_line_ends_can_be_chosen(name: str) -> None:
    text = sdp.parse(samples()[name]).render("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    assert sdp.parse(text).render("\n").splitlines() == samples()[name].decode().splitlines()


def test_the_parts_of_a_description() -> None:
    description = sdp.parse(samples()["ravenna_dup"])
    assert [line.text for line in description.lines[:2]] == [
        "v=0", "o=- 2831159553 317021570 IN IP4 192.168.1.17",
    ]  # fmt: skip
    assert description.attributes == (Attribute("group", "DUP 1 2"),)
    assert description.connections == ()
    first, second = description.media
    assert (first.media, first.port, first.protocol, first.formats) == (
        "audio", 5004, "RTP/AVP", ("98",),
    )  # fmt: skip
    assert (first.number, second.number) == (6, 18)
    assert second.connection == Connection("239.1.0.1", 15)
    assert first.find("recvonly") == Attribute("recvonly")
    assert second.find("recvonly") is None
    assert second.find_all("mid") == (Attribute("mid", "2"),)
    attribute = first.find("rtpmap")
    assert attribute is not None
    assert (attribute.text, attribute.number) == ("rtpmap:98 L24/48000/2", 9)


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL,
        MINIMAL.rstrip("\n"),
        MINIMAL.replace("\n", "\r\n"),
        MINIMAL.replace("\n", "\r"),
        MINIMAL + "\n\n",
        MINIMAL + "\r\n",
        MINIMAL + "\0",
        MINIMAL.replace("s=A\n", "s=A\n\n"),
        MINIMAL.replace("s=A", "  s=A  "),
        MINIMAL.replace("s=A", "s = A").replace("s = A", "s=A\t"),
        MINIMAL.replace("t=0 0\n", ""),
        MINIMAL.replace("s=A\n", ""),
        MINIMAL.replace("o=- 1 2 IN IP4 10.0.0.1\n", ""),
        MINIMAL.replace("o=- 1 2 IN IP4 10.0.0.1", "o=nobody"),
        "s=A\nt=0 0\n" + MINIMAL,
        MINIMAL.replace("t=0 0", "t=0 0\nc=IN IP4 239.0.0.1/32"),
        MINIMAL + "x=unknown line\na=unknown\nz=0 0\n",
        MINIMAL.replace("5004", "5004/2"),
        MINIMAL.replace("s=A", "s=K\u00fcche \u97f3"),
    ],
)
def test_odd_texts_are_read_and_kept(text: str) -> None:
    description = sdp.parse(text)
    assert description.render() == text
    assert len(description.media) == 1
    assert (description.media[0].media, description.media[0].port) == ("audio", 5004)


def test_octets_that_are_no_utf8_survive() -> None:
    data = MINIMAL.encode().replace(b"s=A", b"s=K\xfcche")
    description = sdp.parse(data)
    assert description.pack() == data
    assert description.name == "K\udcfcche"


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("- 1 2 IN IP4 10.0.0.1", Origin("-", "1", 2, "10.0.0.1")),
        ("vlc 17198096525236388726 17198096525236388727 IN IP4 my-host",
         Origin("vlc", "17198096525236388726", 17198096525236388727, "my-host")),
        ("- 1 2 IN IP6 fe80::1", Origin("-", "1", 2, "fe80::1", "IP6")),
        ("Studio One Left 1 2 IN IP4 10.0.0.1", Origin("Studio One Left", "1", 2, "10.0.0.1")),
        ("- 1 2 IN IP4 10.0.0.1 more words", Origin("-", "1", 2, "10.0.0.1")),
        ("- 6b1f 2 IN IP4 10.0.0.1", Origin("-", "6b1f", 2, "10.0.0.1")),
        ("-  1   2 IN IP4 10.0.0.1", Origin("-", "1", 2, "10.0.0.1")),
        ("- 1 2", None), ("", None), ("- 1 2 IN IP4", None),
    ],
)  # fmt: skip
def test_origins(origin: str, expected: Origin | None) -> None:
    found = sdp.parse(f"v=0\no={origin}\n").origin
    assert found == expected
    if found is not None and found.text == origin:
        assert found.key == (found.username, found.session_id, "IN", found.address_type,
                             found.address)  # fmt: skip


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ("IN IP4 239.0.0.1/32", Connection("239.0.0.1", 32)),
        ("IN IP4 239.0.0.1", Connection("239.0.0.1")),
        ("IN IP4 239.0.0.1/32/2", Connection("239.0.0.1", 32, 2)),
        ("IN IP6 ff15::101/3", Connection("ff15::101", None, 3, "IP6")),
        ("IN IP6 ff15::101", Connection("ff15::101", None, 1, "IP6")),
        ("in IPV4 239.0.0.1/255", Connection("239.0.0.1", 255)),
        ("IN IP4 studio.example/0", Connection("studio.example", 0)),
    ],
)
def test_connections(connection: str, expected: Connection) -> None:
    found = sdp.parse(f"v=0\nc={connection}\n").connection
    assert found == expected
    assert sdp.parse(f"v=0\nc={expected.text}\n").connection == expected


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "no version"),
        ("\n\n", 1, "no version"),
        ("o=- 1 2 IN IP4 10.0.0.1\ns=A\n", 1, "no version"),
        ("m=audio 5004 RTP/AVP 98\nv=0\n", 1, "no version"),
        ("v=1\n", 1, "version '1' is not 0"),
        ("v=0\nv=2\n", 2, "version '2' is not 0"),
        ("v=0\ns\n", 2, "not of the form"),
        ("v=0\n\nhello world\n", 3, "not of the form"),
        ("v=0\ns =A\n", 2, "not of the form"),
        ("v=0\nS=A\n", 2, "not a letter"),
        ("v=0\n1=A\n", 2, "not a letter"),
        ("v=0\n\u00e4=A\n", 2, "not a letter"),
        ("v=0\ns=A\0B\n", 2, "NUL"),
        ("v=0\no=- 1 two IN IP4 10.0.0.1\n", 2, "session version"),
        ("v=0\no=- 1 -2 IN IP4 10.0.0.1\n", 2, "session version"),
        ("v=0\no=- 1 " + "9" * 41 + " IN IP4 10.0.0.1\n", 2, "session version"),
        ("v=0\nc=IN IP4\n", 2, "is not 'IN IP4 address'"),
        ("v=0\nc=ATM IP4 1\n", 2, "is not 'IN IP4 address'"),
        ("v=0\nc=IN IP5 239.0.0.1\n", 2, "neither IP4 nor IP6"),
        ("v=0\nc=IN IP4 /32\n", 2, "malformed"),
        ("v=0\nc=IN IP4 239.0.0.1/1/2/3\n", 2, "malformed"),
        ("v=0\nc=IN IP6 ff02::1/1/2\n", 2, "malformed"),
        ("v=0\nc=IN IP4 239.0.0.1/256\n", 2, "TTL in c= 256 is above 255"),
        ("v=0\nc=IN IP4 239.0.0.1/x\n", 2, "TTL in c= 'x' is not a number"),
        ("v=0\nm=audio 5004 RTP/AVP\n", 2, "fewer than four fields"),
        ("v=0\nm=\n", 2, "fewer than four fields"),
        ("v=0\nm=audio port RTP/AVP 98\n", 2, "port in m="),
        ("v=0\nm=audio 65536 RTP/AVP 98\n", 2, "above 65535"),
        ("v=0\nm=audio 5004/ RTP/AVP 98\n", 2, "port count"),
        ("v=0\nm=audio \u0665\u0660 RTP/AVP 98\n", 2, "port in m="),
        ("v=0\ns=\ud800\n", 2, "no UTF-8 form"),
        ("v=0\n" + "a=x\n" * sdp.MAX_LINES, sdp.MAX_LINES + 1, "more than"),
    ],
)
def test_broken_texts_name_the_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(WireError, match=reason) as caught:
        sdp.parse(text)
    assert caught.value.offset == line


def test_the_length_is_bounded() -> None:
    long = b"v=0\ns=" + b"x" * (sdp.MAX_BYTES - 6)
    assert sdp.parse(long).pack() == long
    for text in (long + b"x", (long + b"x").decode()):
        with pytest.raises(WireError, match="longer than"):
            sdp.parse(text)


def test_build_writes_what_parse_reads() -> None:
    origin = Origin("-", "8323328", 8323329, "127.0.0.1")
    description = sdp.build(
        [("v", "0"), ("o", origin.text), ("s", "A b"), ("t", "0 0"),
         ("m", "audio 5004 RTP/AVP 98"), ("c", Connection("239.1.0.1", 15).text),
         ("a", Attribute("ptime", "1").text), ("a", Attribute("recvonly").text)],
    )  # fmt: skip
    assert description.render() == (
        "v=0\no=- 8323328 8323329 IN IP4 127.0.0.1\ns=A b\nt=0 0\n"
        "m=audio 5004 RTP/AVP 98\nc=IN IP4 239.1.0.1/15\na=ptime:1\na=recvonly\n"
    )
    assert description == sdp.parse(description.render())
    assert description.origin == origin


@pytest.mark.parametrize("value", ["A\nm=audio 1 RTP/AVP 1", "A\r", "A\0B"])
def test_build_lets_no_line_break_out(value: str) -> None:
    with pytest.raises(WireError) as caught:
        sdp.build([("v", "0"), ("s", value)])
    assert caught.value.offset == 2


def test_lines_compare_without_their_numbers() -> None:
    assert Line("v=0", "\n", 1) == Line("v=0", "\n", 7)
    assert Attribute("x", number=3) == Attribute("x")


@given(st.text(max_size=200) | st.binary(max_size=200) | damaged())
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_value_or_a_wire_error(text: str | bytes) -> None:
    try:
        description = sdp.parse(text)
    except WireError:
        return
    if isinstance(text, bytes):
        assert description.pack() == text
    else:
        assert description.render() == text


@pytest.mark.peer("tshark")
def test_tshark_reads_the_samples_as_we_do(tmp_path: Path) -> None:
    names = sorted(set(samples()) - {"st2110_embrionix"})  # tshark stops at its blank line
    announcements = [SapMessage(samples()[name], "10.0.0.1", 1).pack() for name in names]
    rows = dissect(
        tmp_path,
        udp_datagrams(announcements, 9875, "239.255.255.255"),
        fields=("sdp.owner.sessionid", "sdp.owner.version", "sdp.session_name", "sdp.media.port",
                "sdp.media.format", "sdp.connection_info.address"),
        options=("-E", "aggregator=|"),
    )  # fmt: skip
    for name, row in zip(names, rows, strict=True):
        description = sdp.parse(samples()[name])
        assert description.origin is not None
        parts = (description, *description.media)
        assert row == [
            description.origin.session_id,
            str(description.origin.version),
            description.name,
            "|".join(str(media.port) for media in description.media),
            row[4],  # tshark adds names to the numbers, and repeats those of rtpmap lines
            "|".join(c.address for part in parts for c in part.connections),
        ], name
        ours = {each for media in description.media for each in media.formats}
        assert {each.rpartition("-")[2] for each in row[4].split("|")} == ours, name
