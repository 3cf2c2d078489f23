"""SETUP, PLAY and TEARDOWN without sockets: what players ask, in their order and out of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.discovery.rtsp_play import SESSION_SECONDS
from aes67.discovery.rtsp_server import RtspServer
from aes67.wire import rtsp

S = 1_000_000_000
URL = "rtsp://h/by-id/1"
MULTICAST = "Transport: RTP/AVP;multicast\r\n"


def text(address: str = "239.1.2.3/15", port: int = 5004) -> str:
    return (
        f"v=0\no=- 1 1 IN IP4 10.0.0.1\ns=x\nt=0 0\nm=audio {port} RTP/AVP 98\nc=IN IP4 {address}\n"
        "a=source-filter: incl IN IP4 239.1.2.3 10.0.0.1\na=rtpmap:98 L24/48000/2\n"
    )


TEXTS = {"/by-id/1": (1, text()), "/by-id/2": (2, text("10.0.0.9")), "/by-id/3": (3, "v=0\n")}


class Talk:
    """One connection to a server."""

    def __init__(self, server: RtspServer | None = None, number: int = 0) -> None:
        self.server = server or RtspServer(TEXTS.get)
        self.number, self.now = number, 0
        self.server.open(number, 0)

    def ask(self, method: str, more: str = "", url: str = URL) -> rtsp.RtspResponse:
        request = f"{method} {url} RTSP/1.0\r\nCSeq: 5\r\n{more}\r\n"
        self.server.receive(self.number, request.encode(), self.now)
        said = b"".join(each.data for each in self.server.outgoing())
        [answer] = rtsp.RtspReader().receive(said)
        assert isinstance(answer, rtsp.RtspResponse)
        assert answer.cseq == 5
        return answer

    def set_up(self) -> str:
        """The Session header to give back."""
        answer = self.ask("SETUP", MULTICAST)
        assert answer.status == 200
        return f"Session: {(answer.header('Session') or '').partition(';')[0]}\r\n"


@pytest.mark.parametrize(
    "offer",
    [
        "RTP/AVP;multicast",
        "RTP/AVP;multicast;destination=10.9.9.9;port=1-2",  # nobody is sent to where he wishes
        "RTP/AVP/UDP;unicast;client_port=5000-5001,RTP/AVP/UDP;multicast;mode=PLAY",
        "RTP/AVP",  # multicast unless it says otherwise
        'RTP/AVP/TCP;interleaved=0-1 , rtp/avp;MULTICAST;mode="PLAY"',
    ],
)
def test_a_player_is_told_where_the_stream_goes_anyway(offer: str) -> None:
    answer = Talk().ask("SETUP", f"Transport: {offer}\r\n")
    assert answer.status == 200
    assert answer.header("Transport") == (
        'RTP/AVP;multicast;destination=239.1.2.3;source=10.0.0.1;port=5004-5005;ttl=15;mode="PLAY"'
    )
    assert (answer.header("Session") or "").endswith(f";timeout={SESSION_SECONDS}")


@pytest.mark.parametrize(
    ("url", "offer", "status"),
    [
        (URL, "RTP/AVP;unicast;client_port=5000-5001", 461),
        (URL, "RTP/AVP/TCP;interleaved=0-1", 461),
        (URL, "RTP/SAVP;multicast", 461),
        (URL, 'RTP/AVP;multicast;mode="RECORD"', 461),
        (URL, "", 400),
        (URL, "rubbish", 400),
        (URL, "RTP/AVP;multicast;=", 400),
        (URL, ",".join(["RTP/AVP/TCP"] * 17), 400),
        ("rtsp://h/by-id/2", "RTP/AVP;multicast", 461),  # sent to one address only
        ("rtsp://h/by-id/3", "RTP/AVP;multicast", 461),
        ("rtsp://h/by-id/9", "RTP/AVP;multicast", 404),
    ],
)
def test_what_cannot_be_had(url: str, offer: str, status: int) -> None:
    talk = Talk()
    assert talk.ask("SETUP", f"Transport: {offer}\r\n", url).status == status
    assert talk.ask("PLAY").status == 454


def test_from_setup_to_teardown() -> None:
    talk = Talk()
    assert talk.ask("PLAY").status == 454
    session = talk.set_up()
    answer = talk.ask("PLAY", session)
    assert (answer.status, answer.header("Range")) == (200, "npt=now-")
    assert f"Session: {answer.header('Session')}\r\n" == session
    assert talk.ask("PLAY").status == 454, "without its session"
    assert talk.ask("PLAY", "Session: 99999999\r\n").status == 454
    assert talk.ask("PAUSE", session).status == 405
    assert talk.ask("TEARDOWN", session).status == 200
    assert talk.ask("PLAY", session).status == 454
    assert talk.ask("SETUP", session + MULTICAST).status == 454


def test_a_session_belongs_to_its_connection() -> None:
    one = Talk()
    two = Talk(one.server, 1)
    session = one.set_up()
    assert two.ask("TEARDOWN", session).status == 454
    assert two.set_up() != session
    assert one.ask("PLAY", session).status == 200


def test_any_request_keeps_a_session_and_silence_ends_it() -> None:
    talk = Talk()
    session = talk.set_up()
    for method in ("OPTIONS", "DESCRIBE", "PLAY"):
        talk.now += SESSION_SECONDS * S
        assert talk.ask(method, session).status == 200
    talk.now += SESSION_SECONDS * S + 1
    assert talk.ask("PLAY", session).status == 454


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=80))
def test_any_transport_has_an_answer(offer: str) -> None:
    assert Talk().ask("SETUP", f"Transport: {offer}\r\n").status in (200, 400, 461)
