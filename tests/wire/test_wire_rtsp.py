"""RTSP messages: a daemon's exchange both ways, streams cut anywhere, bounds, hostile bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.wire import rtsp, sdp
from aes67.wire.rtsp import RtspReader, RtspRequest, RtspResponse, RtspUrl, parse_url

VECTORS = Path(__file__).parent.parent / "vectors" / "rtsp"


def vector(name: str) -> bytes:
    return (VECTORS / f"{name}.bin").read_bytes()


def read(data: bytes) -> RtspRequest | RtspResponse:
    reader = RtspReader()
    (message,) = reader.receive(data)
    assert reader.pending == 0
    return message


def test_the_daemons_exchange_both_ways() -> None:
    request = read(vector("describe_by_name"))
    assert request == RtspRequest(
        (("CSeq", "1"), ("Accept", "application/sdp")),
        method="DESCRIBE",
        url="rtsp://10.67.0.1:8854/by-name/LabDaemon%20Lab%20Source",
    )
    assert request.pack() == vector("describe_by_name")
    assert parse_url(request.url) == RtspUrl("10.67.0.1", 8854, "/by-name/LabDaemon Lab Source")
    answer = read(vector("describe_by_name_answer"))
    assert isinstance(answer, RtspResponse)
    assert (answer.status, answer.reason, answer.cseq) == (200, "OK", 1)
    assert answer.header("content-TYPE") == "application/sdp"
    assert len(answer.body) == 345
    assert sdp.parse(answer.body).name == "LabDaemon Lab Source"
    assert answer.pack() == vector("describe_by_name_answer")


def test_messages_one_after_the_other() -> None:
    names = ("describe_by_id", "describe_by_id_answer", "describe_by_name")
    found = RtspReader().receive(b"".join(vector(name) for name in names))
    assert [message.pack() for message in found] == [vector(name) for name in names]


@given(st.lists(st.integers(0, 600), max_size=6))
def test_where_the_stream_is_cut_does_not_matter(cuts: list[int]) -> None:
    stream = vector("describe_by_id_answer") + vector("describe_by_id")
    reader = RtspReader()
    found: list[RtspRequest | RtspResponse] = []
    edges = sorted(min(cut, len(stream)) for cut in cuts)
    for start, end in zip([0, *edges], [*edges, len(stream)], strict=True):
        found += reader.receive(stream[start:end])
    assert [message.pack() for message in found] == [
        vector("describe_by_id_answer"), vector("describe_by_id"),
    ]  # fmt: skip


def test_bytes_one_by_one() -> None:
    reader = RtspReader()
    found = [m for octet in vector("describe_by_id") for m in reader.receive(bytes((octet,)))]
    assert [message.pack() for message in found] == [vector("describe_by_id")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"OPTIONS * RTSP/1.0\nCSeq: 7\n\n", RtspRequest((("CSeq", "7"),), method="OPTIONS")),
        (b"\r\n\nOPTIONS * RTSP/1.0\r\n\r\n", RtspRequest(method="OPTIONS")),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
         RtspRequest((("Host", "x"),), method="GET", url="/", version="HTTP/1.1")),
        (b"OPTIONS * RTSP/1.0\r\nX: one\r\n two\r\n\r\n",
         RtspRequest((("X", "one two"),), method="OPTIONS")),
        (b"OPTIONS * RTSP/1.0\r\nX:\r\n\r\n", RtspRequest((("X", ""),), method="OPTIONS")),
        (b"DESCRIBE rtsp://h/by-name/My Node RTSP/1.0\r\n\r\n",
         RtspRequest(url="rtsp://h/by-name/My Node")),
        (b"RTSP/1.0 404 Not found\r\nCSeq: 1\r\n\r\n",
         RtspResponse((("CSeq", "1"),), status=404, reason="Not found")),
        (b"RTSP/1.0 200\r\n\r\n", RtspResponse(reason="")),
        (b"ANNOUNCE * RTSP/1.0\r\ncontent-length: 3\r\n\r\nv=0",
         RtspRequest((("content-length", "3"),), b"v=0", method="ANNOUNCE")),
        (b"$\x00\x00\x04abcdOPTIONS * RTSP/1.0\r\n\r\n", RtspRequest(method="OPTIONS")),
    ],
)  # fmt: skip
def test_what_is_tolerated(data: bytes, message: RtspRequest | RtspResponse) -> None:
    assert read(data) == message


def test_interleaved_data_waits_for_its_end() -> None:
    reader = RtspReader()
    assert reader.receive(b"$\x00\xff\xff" + bytes(60_000)) == []
    assert reader.receive(bytes(5_535)) == []
    assert reader.pending == 0
    assert reader.receive(b"$\x00") == []
    assert reader.receive(b"\x00\x01xRTSP/1.0 200 OK\r\n\r\n") == [RtspResponse()]


@pytest.mark.parametrize(
    ("headers", "cseq"),
    [((), None), ((("cseq", "12"),), 12), ((("CSeq", "x"),), None), ((("CSeq", "-1"),), None),
     ((("CSeq", "9" * 11),), None), ((("CSeq", "\u0661"),), None)],
)  # fmt: skip
def test_sequence_numbers(headers: rtsp.Headers, cseq: int | None) -> None:
    assert RtspRequest(headers).cseq == cseq


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello\r\n\r\n", "starts no RTSP message"),
        (b"DESCRIBE *\r\n\r\n", "starts no RTSP message"),
        (b"DES(RIBE * RTSP/1.0\r\n\r\n", "starts no RTSP message"),
        (b"RTSP/1.0 999 No\r\n\r\n", "starts no RTSP message"),
        (b"OPTIONS * RTSP/1.0\r\nno header\r\n\r\n", "is no header"),
        (b"OPTIONS * RTSP/1.0\r\n: x\r\n\r\n", "is no header"),
        (b"OPTIONS * RTSP/1.0\r\n folded\r\n\r\n", "is no header"),
        (b"OPTIONS * RTSP/1.0\r\nContent-Length: -1\r\n\r\n", "is no number"),
        (b"OPTIONS * RTSP/1.0\r\nContent-Length: 1e3\r\n\r\n", "is no number"),
        (b"OPTIONS * RTSP/1.0\r\nContent-Length: 65537\r\n\r\n", "larger than 65536"),
        (b"OPTIONS * RTSP/1.0\r\n" + b"a: b\r\n" * 65 + b"\r\n", "more than 64 headers"),
        (b"OPTIONS * RTSP/1.0\r\na: " + b"b" * 8192 + b"\r\n\r\n", "more than 8192 octets"),
        (b"x" * 8193, "more than 8192 octets"),
    ],
)
def test_what_is_no_message(data: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        RtspReader().receive(data)


def test_errors_name_the_message_in_the_stream() -> None:
    reader = RtspReader()
    reader.receive(vector("describe_by_id"))
    with pytest.raises(WireError) as caught:
        reader.receive(b"hello\r\n\r\n")
    assert caught.value.offset == len(vector("describe_by_id"))


def test_an_endless_head_is_not_kept() -> None:
    reader = RtspReader()
    line = b"OPTIONS * RTSP/1.0\r\nX: " + b"y" * 177
    for _ in range(rtsp.MAX_HEAD_BYTES // len(line)):
        assert reader.receive(line) == []
    with pytest.raises(WireError, match="more than 8192"):
        reader.receive(line)
    assert reader.pending <= rtsp.MAX_HEAD_BYTES + 300


def test_the_largest_message() -> None:
    body = bytes(rtsp.MAX_BODY_BYTES)
    message = read(RtspResponse(body=body).pack())
    assert message.body == body


@pytest.mark.parametrize(
    "message",
    [
        RtspRequest(method="DES CRIBE"), RtspRequest(method=""), RtspRequest(url=""),
        RtspRequest(url="rtsp://h/a b"), RtspRequest(url="a\r\nX: y"),
        RtspRequest((("X", "a\r\nY: b"),)), RtspRequest((("X\r\n", "a"),)),
        RtspRequest((("", "a"),)), RtspResponse(reason="a\nb"), RtspResponse(status=99),
        RtspResponse(status=600),
    ],
)  # fmt: skip
def test_messages_that_cannot_be_written(message: RtspRequest | RtspResponse) -> None:
    with pytest.raises(WireError):
        message.pack()


names = st.text("abcXYZ-_", min_size=1, max_size=8).filter(
    lambda name: name.lower() != "content-length"
)
values = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=12)


@given(
    st.lists(st.tuples(names, values), max_size=8).map(tuple),
    st.binary(max_size=50),
    st.integers(100, 599),
)
def test_what_is_packed_is_read_back(headers: rtsp.Headers, body: bytes, status: int) -> None:
    message = read(RtspResponse(headers, body, status, "Why not").pack())
    assert isinstance(message, RtspResponse)
    assert (message.status, message.reason, message.body) == (status, "Why not", body)
    assert message.headers[: len(headers)] == headers


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("rtsp://10.0.0.1:8854/by-id/1", RtspUrl("10.0.0.1", 8854, "/by-id/1")),
        ("rtsp://10.0.0.1", RtspUrl("10.0.0.1")),
        ("RTSP://Host/", RtspUrl("Host")),
        ("rtsp://[fe80::1]:554/x", RtspUrl("fe80::1", 554, "/x")),
        ("rtsp://user:secret@h/x", RtspUrl("h", 554, "/x")),
        ("rtsp://h/K%C3%BCche%2F1", RtspUrl("h", 554, "/K\u00fcche/1")),
        ("rtsp://h/%", RtspUrl("h", 554, "/%")),
        ("rtsp://h?x=1", RtspUrl("h", 554, "/?x=1")),
    ],
)
def test_urls(text: str, url: RtspUrl) -> None:
    assert parse_url(text) == url
    assert parse_url(url.text) == url or "?" in text


@pytest.mark.parametrize(
    "text",
    ["", "*", "http://h/x", "rtsp://", "rtsp:///x", "rtsp://h:0/", "rtsp://h:65536/",
     "rtsp://h:x/", "rtsp://h/a b", "rtsp://h/x#y", "rtsp://[::1/x", "rtsp://a b/x"],
)  # fmt: skip
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(WireError):
        parse_url(text)


@given(st.text(max_size=40) | st.text(max_size=30).map(lambda tail: "rtsp://" + tail))
def test_any_text_is_a_url_or_a_wire_error(text: str) -> None:
    try:
        url = parse_url(text)
    except WireError:
        return
    assert 0 < url.port < 65_536
    assert url.path.startswith("/")


pieces = st.sampled_from(
    [b"DESCRIBE rtsp://h/x RTSP/1.0", b"RTSP/1.0 200 OK", b"\r\n", b"\n", b"\r\n\r\n", b"CSeq: 1",
     b"Content-Length: 5", b"Content-Length: 99999999999", b"hello", b"$\x00\x00\x02", b" ", b":",
     b"\xff\xfe", b"\0"],
)  # fmt: skip


@given(st.lists(pieces | st.binary(max_size=12), max_size=12))
@settings(max_examples=300)
def test_any_stream_gives_messages_or_a_wire_error(chunks: list[bytes]) -> None:
    reader = RtspReader()
    for chunk in chunks:
        try:
            found = reader.receive(chunk)
        except WireError:
            return
        for message in found:
            assert len(message.body) <= rtsp.MAX_BODY_BYTES
