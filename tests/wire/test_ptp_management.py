"""GET PARENT_DATA_SET and its answer; tshark and a real ptp4l judge both in tests/engine."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_management import ParentDataSet, parent_request, parse_parent
from aes67.wire.ptp_messages import Other, Quality, pack, parse

ASKING = PortIdentity(bytes.fromhex("ae67000000000000"), 1)
ANSWERING = PortIdentity(bytes.fromhex("b827ebfffe000001"), 0)
GRANDMASTER = bytes.fromhex("001dc1fffe000001")


def answer(action: int = 2, number: int = 0x2002, cut: int = 0) -> bytes:
    """As 1588-2019 table 70 lays it out."""
    data = GRANDMASTER + struct.pack(">HBxHI", 7, 0, 0xFFFF, 0x7FFFFFFF)
    data += struct.pack(">BBBHB8s", 120, 6, 0x21, 0x4E5D, 121, GRANDMASTER)
    body = ASKING.clock + struct.pack(">HBBBx", ASKING.port, 0, 0, action)
    body += struct.pack(">HHH", 1, 2 + len(data) - cut, number) + data
    return pack(Other(Header(h.MANAGEMENT, ANSWERING, 5), body[: len(body) - cut]))


def test_the_question_asks_all_ports_for_the_parent_in_a_domain() -> None:
    message = parse(parent_request(ASKING, 5, 127))
    assert isinstance(message, Other)
    assert (message.header.message_type, message.header.domain) == (h.MANAGEMENT, 127)
    assert message.header.sequence_id == 5
    assert message.body[:10] == b"\xff" * 10
    assert message.body[12] == 0, "GET"
    assert message.body[14:20] == bytes.fromhex("000100222002")
    assert len(message.body) == 14 + 6 + 32


def test_an_answer_names_the_grandmaster() -> None:
    assert parse_parent(answer()) == ParentDataSet(
        PortIdentity(GRANDMASTER, 7), GRANDMASTER, 120, Quality(6, 0x21, 0x4E5D), 121
    )


@pytest.mark.parametrize("other", [answer(action=0), answer(action=4), answer(number=0x2000)])
def test_other_management_is_passed_over(other: bytes) -> None:
    assert parse_parent(other) is None


@pytest.mark.parametrize("cut", [1, 2, 8, 32])
def test_what_is_too_short_is_refused(cut: int) -> None:
    with pytest.raises(WireError):
        parse_parent(answer(cut=cut))


@given(
    st.binary(max_size=120)
    | st.builds(lambda tail, n: answer()[:n] + tail, st.binary(), st.integers(0, 90))
)
def test_a_value_or_wire_error(data: bytes) -> None:
    try:
        found = parse_parent(data)
    except WireError:
        return
    assert found is None or isinstance(found, ParentDataSet)
