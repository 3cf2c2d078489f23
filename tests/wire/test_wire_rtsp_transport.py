"""The Transport header: RFC 2326's own examples, those of real players, and any text."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.wire.rtsp_transport import MAX_OFFERS, MAX_PARAMETERS, Transport, parse


def test_the_example_of_the_rfc() -> None:
    """RFC 2326, 12.39."""
    first, second = parse(
        'RTP/AVP;multicast;ttl=127;mode="PLAY",RTP/AVP;unicast;client_port=3456-3457;mode="PLAY"'
    )
    assert (first.protocol, first.get("ttl"), first.get("mode")) == ("RTP/AVP", "127", '"PLAY"')
    assert (first.is_multicast, second.is_multicast) == (True, False)
    assert second.get("client_port") == "3456-3457"


@pytest.mark.parametrize(
    ("text", "multicast"),
    [
        ("RTP/AVP/UDP;unicast;client_port=21532-21533", [False]),  # ffmpeg
        ("RTP/AVP;multicast", [True]),
        ("RTP/AVP;unicast;client_port=5000-5001,RTP/AVP;multicast,RTP/AVP/TCP;unicast;"
         "interleaved=0-1", [False, True, False]),  # GStreamer
        ("RTP/AVP;UNICAST", [False]),
        ("RTP/AVP/TCP", [False]),
        ('RTP/AVP;multicast;x="a,b;c"', [True]),
    ],
)  # fmt: skip
def test_offers_of_players(text: str, multicast: list[bool]) -> None:
    assert [each.is_multicast for each in parse(text)] == multicast


@pytest.mark.parametrize(
    "text",
    ["", ";", ",", "RTP", "RTP/", "RTP/AVP;", "RTP/AVP;a=b\"c", "RTP/AVP; =", "R TP/AVP",
     ",".join(["RTP/AVP"] * (MAX_OFFERS + 1)), "RTP/AVP" + ";a" * (MAX_PARAMETERS + 1)],
)  # fmt: skip
def test_what_is_no_transport(text: str) -> None:
    with pytest.raises(WireError):
        parse(text)


@pytest.mark.parametrize("value", ["a\r\nb", "a;b", 'a"b', "a,b"])
def test_what_would_break_the_header_is_not_written(value: str) -> None:
    with pytest.raises(WireError):
        Transport("RTP/AVP", (("source", value),)).text  # noqa: B018


names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
values = st.none() | st.from_regex(r"[0-9A-Za-z.\-]{0,12}", fullmatch=True)


@given(st.lists(st.tuples(names, values), max_size=MAX_PARAMETERS))
def test_what_is_written_is_read(parameters: list[tuple[str, str | None]]) -> None:
    written = Transport("RTP/AVP", tuple(parameters))
    assert parse(written.text) == (written,)


@given(st.text(max_size=200))
def test_any_text_is_a_value_or_a_wire_error(text: str) -> None:
    with contextlib.suppress(WireError):
        assert all(isinstance(each, Transport) for each in parse(text))
