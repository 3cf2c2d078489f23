"""TLVs of 802.1AS: ptp4l's bytes against tshark's reading, round trips, hostile bytes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.wire import gptp
from aes67.wire import ptp_header as h
from aes67.wire.gptp import (
    FollowUpInformation,
    IntervalRequest,
    information_tlv,
    interval_request_tlv,
    parse_information,
    parse_interval_request,
    path_trace_tlv,
)
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Announce, Other, Quality, Timed, Tlv, pack, parse, signaling
from sim.tshark import dissect
from wire.test_ptp import GPTP, payloads

SOURCE = PortIdentity(bytes.fromhex("020000ae67000002"), 1)
words = st.integers(-(2**31), 2**31 - 1)
informations = st.builds(
    FollowUpInformation,
    rate_offset=words,
    time_base=st.integers(0, 0xFFFF),
    phase_change=st.integers(-(2**95), 2**95 - 1),
    frequency_change=words,
)
octets = st.integers(-128, 127)
requests = st.builds(
    IntervalRequest,
    link_delay=octets,
    time_sync=octets,
    announce=octets,
    flags=st.integers(0, 255),
)


def test_ptp4l_s_follow_ups_carry_it() -> None:
    found = [
        parse_information(message.tlvs)
        for message in map(parse, payloads(GPTP))
        if isinstance(message, Timed) and message.header.message_type == h.FOLLOW_UP
    ]
    assert found
    # a grandmaster of its own: no rate against itself, one time base
    assert set(found) == {FollowUpInformation(0, 0, 0, 0)}


@given(informations)
def test_information_survives_a_round_trip(information: FollowUpInformation) -> None:
    tlv = information_tlv(information)
    assert len(tlv.value) == 28
    assert parse_information((Tlv(8, bytes(8)), tlv)) == information


@given(requests)
def test_an_interval_request_survives_a_round_trip(request: IntervalRequest) -> None:
    tlv = interval_request_tlv(request)
    assert len(tlv.value) == 12
    assert parse_interval_request((tlv,)) == request


tlvs = st.lists(
    st.builds(
        Tlv,
        st.sampled_from((3, 8, 0x4001)),
        st.one_of(
            st.binary(max_size=40),
            st.binary(max_size=30).map(gptp.FOLLOW_UP_INFORMATION.__add__),
            st.binary(max_size=30).map(gptp.INTERVAL_REQUEST.__add__),
        ),
    ),
    max_size=4,
).map(tuple)


@given(tlvs)
def test_any_tlvs_are_a_value_or_a_wire_error(given_tlvs: tuple[Tlv, ...]) -> None:
    for parser in (parse_information, parse_interval_request):
        try:
            value = parser(given_tlvs)
        except WireError:
            continue
        assert value is None or isinstance(value, FollowUpInformation | IntervalRequest)


@given(st.binary(max_size=80))
def test_any_signaling_body_is_a_value_or_a_wire_error(body: bytes) -> None:
    try:
        target, found = signaling(Other(Header(h.SIGNALING, SOURCE, 0), body))
    except WireError:
        return
    assert target == PortIdentity(body[:8], int.from_bytes(body[8:10]))
    assert sum(4 + len(each.value) for each in found) <= len(body) - 10


def test_rates_beyond_the_field_saturate() -> None:
    tlv = information_tlv(FollowUpInformation(rate_offset=2**40, phase_change=-(2**99)))
    read = parse_information((tlv,))
    assert read is not None
    assert read.rate_offset == 2**31 - 1
    assert read.phase_change == -(2**95)


@pytest.mark.peer("tshark")
def test_tshark_reads_what_we_pack(tmp_path: Path) -> None:
    information = FollowUpInformation(-123_456, 0xBEEF, -(5 << 16), 77)
    header = Header(h.FOLLOW_UP, SOURCE, 7, major_sdo=1, minor_version=1, log_interval=-3)
    announce = Announce(
        Header(h.ANNOUNCE, SOURCE, 8, major_sdo=1, minor_version=1, log_interval=0),
        37, 246, Quality(248, 0xFE, 0xFFFF), 248, SOURCE.clock, 0, 0xA0,
        tlvs=(path_trace_tlv((bytes.fromhex("0011223344556677"), SOURCE.clock)),),
    )  # fmt: skip
    tlv = interval_request_tlv(IntervalRequest(-1, 126, -128, 3))
    body = SOURCE.clock + b"\0\1" + struct.pack(">HH", tlv.type, len(tlv.value)) + tlv.value
    request = Other(Header(h.SIGNALING, SOURCE, 9, major_sdo=1, minor_version=1), body)
    messages = (Timed(header, 5, (information_tlv(information),)), announce, request)
    frames = [gptp.MULTICAST_MAC + b"\2" + bytes(5) + b"\x88\xf7" + pack(m) for m in messages]
    follow_up, announced, asked = dissect(
        tmp_path,
        frames,
        (
            "_ws.malformed", "_ws.expert.message",
            "ptp.as.fu.cumulativeScaledRateOffset", "ptp.as.fu.gmTimeBaseIndicator",
            "ptp.as.fu.lastGmPhaseChange", "ptp.as.fu.scaledLastGmFreqChange",
            "ptp.v2.an.pathsequence",
            "ptp.as.sig.tlv.linkdelayinterval", "ptp.as.sig.tlv.timesyncinterval",
            "ptp.as.sig.tlv.announceinterval", "ptp.as.sig.tlv.flags",
        ),
    )  # fmt: skip
    assert follow_up[:2] == announced[:2] == asked[:2] == ["", ""]
    # tshark calls this one unsigned
    assert int(follow_up[2]) == -123_456 % 2**32
    assert int(follow_up[3], 0) == 0xBEEF
    assert int(follow_up[4], 16) == -(5 << 16) % 2**96
    assert follow_up[5] == "77"
    assert announced[6] == "0x0011223344556677,0x020000ae67000002"
    assert (asked[7], asked[8], asked[9]) == ("-1", "126", "-128")
    assert int(asked[10], 0) == 3
