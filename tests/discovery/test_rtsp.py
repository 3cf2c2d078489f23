"""RTSP server and client without sockets: real requests, errors of the contract, hostile bytes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.discovery.rtsp_client import RtspClient
from aes67.discovery.rtsp_server import IDLE_NS, MAX_SESSIONS, RtspServer, by_path
from aes67.errors import WireError
from aes67.wire import rtsp

VECTORS = Path(__file__).parent.parent / "vectors" / "rtsp"
SDP = "v=0\ns=x\n"
SOURCES = [(0, "A", False), (1, "A", True), (2, "Lab Source", True)]


def find(path: str) -> tuple[int, str] | None:
    number = by_path(path, "LabDaemon", SOURCES)
    return None if number is None else (number, f"{SDP}i={number}\n")


def server(*sessions: int) -> RtspServer:
    made = RtspServer(find)
    for each in sessions:
        made.open(each, 0)
    return made


def said(made: RtspServer) -> bytes:
    return b"".join(each.data for each in made.outgoing())


def ask(request: str) -> str:
    made = server(0)
    made.receive(0, request.encode(), 0)
    return said(made).decode()


@pytest.mark.parametrize("name", ["describe_by_id", "describe_by_name"])
def test_the_request_of_a_real_client_gets_an_answer_of_the_real_server_s_shape(name: str) -> None:
    made = server(0)
    made.receive(0, (VECTORS / f"{name}.bin").read_bytes(), 0)
    [ours] = rtsp.RtspReader().receive(said(made))
    [theirs] = rtsp.RtspReader().receive((VECTORS / f"{name}_answer.bin").read_bytes())
    assert isinstance(ours, rtsp.RtspResponse)
    assert isinstance(theirs, rtsp.RtspResponse)
    assert (ours.status, ours.reason, ours.cseq) == (theirs.status, theirs.reason, theirs.cseq)
    assert [key for key, _ in ours.headers] == [key for key, _ in theirs.headers]


@pytest.mark.parametrize(
    ("request_line", "headers", "answer"),
    [
        ("DESCRIBE rtsp://h/by-id/9 RTSP/1.0", "CSeq: 3", "RTSP/1.0 404 Not found\r\nCSeq: 3\r\n"),
        ("DESCRIBE rtsp://h/by-id/256 RTSP/1.0", "CSeq: 3", "RTSP/1.0 404 Not found\r\n"),
        ("DESCRIBE rtsp://h/by-name/A RTSP/1.0", "CSeq: 3", "RTSP/1.0 404 Not found\r\n"),
        ("DESCRIBE rtsp://h/by-id/1 RTSP/1.0", "X: 3", "RTSP/1.0 400 Bad Request\r\n\r\n"),
        ("DESCRIBE /by-id/1 RTSP/1.0", "CSeq: 3", "RTSP/1.0 400 Bad Request\r\nCSeq: 3\r\n\r\n"),
        ("DESCRIBE rtsp://h/by-id/1 RTSP/2.0", "CSeq: 3", "RTSP/1.0 400 Bad Request\r\n"),
        ("GET / HTTP/1.1", "CSeq: 3", "RTSP/1.0 400 Bad Request\r\n"),
        ("rubbish", "CSeq: 3", "RTSP/1.0 400 Bad Request\r\n"),
        ("PAUSE rtsp://h/by-id/1 RTSP/1.0", "CSeq: 3", "RTSP/1.0 405 Method Not Allowed\r\nCSeq"),
        ("OPTIONS * RTSP/1.0", "CSeq: 3", "RTSP/1.0 200 OK\r\nCSeq: 3\r\nPublic: OPTIONS, "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_errors_and_options(request_line: str, headers: str, answer: str, end: str) -> None:
    assert ask(f"{request_line}{end}{headers}{end}{end}").startswith(answer)


def test_an_enabled_source_has_the_name_before_a_disabled_one() -> None:
    assert by_path("/by-name/LabDaemon A", "LabDaemon", SOURCES) == 1
    assert by_path("/by-id/0", "LabDaemon", SOURCES) == 0


def test_whoever_described_a_source_hears_of_its_change_and_nobody_else() -> None:
    made = server(0, 1)
    for session, number in ((0, 1), (1, 2)):
        text = f"DESCRIBE rtsp://h/by-id/{number} RTSP/1.0\r\nCSeq: 1\r\n\r\n"
        made.receive(session, text.encode(), 0)
    made.outgoing()
    url = rtsp.RtspUrl("10.0.0.1", 8854, "/by-name/LabDaemon A").text
    for text in (SDP + "a=x\n", SDP, SDP):
        made.changed(1, url, text)
    out = made.outgoing()
    assert [each.session for each in out] == [0, 0]
    assert out[1].data.decode() == (
        "ANNOUNCE rtsp://10.0.0.1:8854/by-name/LabDaemon%20A RTSP/1.0\r\n"
        "User-Agent: aes67-daemon\r\nconnection: Keep-Alive\r\nCSeq: 1\r\n"
        f"Content-Length: {len(SDP)}\r\nContent-Type: application/sdp\r\n\r\n{SDP}"
    )
    made.receive(0, b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", 0)
    assert made.outgoing() == []


def test_sessions_are_bounded_and_silent_ones_end() -> None:
    made = server()
    for session in range(MAX_SESSIONS):
        made.open(session, session)
        made.receive(session, b"DESCRIBE rtsp://h/by-id/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n", session)
    made.outgoing()
    made.open(500, 0)  # everybody else has a reason to be here
    assert [(each.session, each.close) for each in made.outgoing()] == [(500, True)]
    assert made.next_deadline() is None
    made.closed(7)
    made.open(501, 5)
    assert made.next_deadline() == 5 + IDLE_NS
    made.open(502, 6)
    assert [(each.session, each.close) for each in made.outgoing()] == [(501, True)]
    made.handle_timer(6 + IDLE_NS)
    assert [(each.session, each.close) for each in made.outgoing()] == [(502, True)]


@given(st.lists(st.one_of(st.binary(max_size=60), st.just(b"DESCRIBE rtsp://h/by-id/1 RTSP/1.0\n"),
                          st.just(b"CSeq: 1\n\n")), max_size=8))  # fmt: skip
def test_no_bytes_of_a_client_raise(parts: list[bytes]) -> None:
    made = server(0)
    for part in parts:
        made.receive(0, part, 0)
        made.changed(1, "rtsp://h/x", SDP)
        made.outgoing()


def test_client_describes_and_follows_our_server() -> None:
    client, made = RtspClient(rtsp.RtspUrl("10.0.0.1", 8854, "/by-name/LabDaemon A")), server(0)
    request = client.outgoing()
    assert request.startswith(b"DESCRIBE rtsp://10.0.0.1:8854/by-name/LabDaemon%20A RTSP/1.0\r\n")
    made.receive(0, request, 0)
    assert client.receive(said(made)) == [("", f"{SDP}i=1\n".encode())]
    made.changed(1, "rtsp://10.0.0.1:8854/by-name/LabDaemon%20B", SDP)
    assert client.receive(said(made)) == [("LabDaemon B", SDP.encode())]
    assert client.outgoing() == b"RTSP/1.0 200 OK\r\nCSeq: 0\r\n\r\n"
    assert client.receive(b"PLAY rtsp://h/ RTSP/1.0\r\nCSeq: 4\r\n\r\n") == []
    assert client.outgoing() == b"RTSP/1.0 405 Method Not Allowed\r\nCSeq: 4\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"RTSP/1.0 404 Not found\r\nCSeq: 1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx",
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_client_refuses_what_is_no_description(answer: bytes) -> None:
    with pytest.raises(WireError):
        RtspClient(rtsp.RtspUrl("h")).receive(answer)


@given(st.binary(max_size=200))
def test_client_gives_descriptions_or_wire_errors(data: bytes) -> None:
    client = RtspClient(rtsp.RtspUrl("h"))
    with contextlib.suppress(WireError):
        assert isinstance(client.receive(data), list)
