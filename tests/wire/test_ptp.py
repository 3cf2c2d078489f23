"""PTP messages: real ptp4l packets against tshark's reading of them, hostile bytes, round trips."""

from __future__ import annotations

import csv
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity, dashed, parse_header
from aes67.wire.ptp_messages import (
    STAMP_MAX_NS,
    Announce,
    Answer,
    Other,
    Quality,
    Timed,
    Tlv,
    pack,
    parse,
    path_trace,
)

VECTORS = Path(__file__).parent.parent / "vectors" / "ptp"
UDP = "ptpv2_udpv4_e2e.ptp4l"
GPTP = "gptp_l2_p2p.ptp4l"


def frames(name: str) -> Iterator[bytes]:
    """Ethernet frames of a classic nanosecond pcap."""
    data = (VECTORS / f"{name}.pcap").read_bytes()
    assert struct.unpack_from("<I", data) == (0xA1B23C4D,)
    position = 24
    while position < len(data):
        size = struct.unpack_from("<I", data, position + 8)[0]
        yield data[position + 16 : position + 16 + size]
        position += 16 + size


def payloads(name: str) -> Iterator[bytes]:
    """PTP messages with whatever padding the frame has behind them."""
    for frame in frames(name):
        if frame[12:14] == b"\x88\xf7":
            yield frame[14:]
        else:
            ip = frame[14:]
            udp = ip[(ip[0] & 0x0F) * 4 :]
            yield udp[8 : struct.unpack_from(">H", udp, 4)[0]]


def rows(name: str) -> list[dict[str, str]]:
    with (VECTORS / f"{name}.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize("name", [UDP, GPTP])
def test_every_field_tshark_names_is_read_as_tshark_reads_it(name: str) -> None:
    expected = rows(name)
    packets = list(payloads(name))
    assert len(packets) == len(expected)
    for data, row in zip(packets, expected, strict=True):
        message = parse(data)
        header = message.header
        assert header.major_sdo == int(row["ptp.v2.majorsdoid"], 16)
        assert header.message_type == int(row["ptp.v2.messagetype"], 16)
        assert int(row["ptp.v2.versionptp"]) == 2
        assert header.domain == int(row["ptp.v2.domainnumber"])
        assert header.flags == int(row["ptp.v2.flags"], 16)
        assert header.sequence_id == int(row["ptp.v2.sequenceid"])
        assert header.source.clock.hex() == row["ptp.v2.clockidentity"].removeprefix("0x")
        assert header.correction >> 16 == int(row["ptp.v2.correction.ns"])
        assert header.log_interval == int(row["ptp.v2.logmessageperiod"])
        if row["ptp.v2.an.grandmasterclockidentity"]:
            assert isinstance(message, Announce)
            identity = row["ptp.v2.an.grandmasterclockidentity"].removeprefix("0x")
            assert message.grandmaster.hex() == identity
            assert message.quality.clock_class == int(row["ptp.v2.an.grandmasterclockclass"])
            assert message.priority1 == int(row["ptp.v2.an.priority1"])
        else:
            assert not isinstance(message, Announce)


@pytest.mark.parametrize("name", [UDP, GPTP])
def test_captured_messages_are_packed_to_the_same_bytes(name: str) -> None:
    for data in payloads(name):
        length = struct.unpack_from(">H", data, 2)[0]
        again = pack(parse(data))
        # controlField (byte 32) is obsolete since 2019 and 0 in what 802.1AS sends
        if data[0] >> 4 == 1:
            again = again[:32] + data[32:33] + again[33:]
        assert again == data[:length]


def test_gptp_announces_carry_the_path_and_follow_ups_their_tlv() -> None:
    messages = [parse(data) for data in payloads(GPTP)]
    announces = [m for m in messages if isinstance(m, Announce)]
    assert announces
    assert all(path_trace(m) == (m.grandmaster,) for m in announces)
    follow_ups = [m for m in messages if m.header.message_type == h.FOLLOW_UP]
    assert follow_ups
    assert all(
        isinstance(m, Timed) and m.tlvs[0].type == 3 and m.tlvs[0].value[:3] == b"\x00\x80\xc2"
        for m in follow_ups
    )


def test_every_message_type_of_the_captures_is_there() -> None:
    kinds = {parse(d).header.message_type for n in (UDP, GPTP) for d in payloads(n)}
    assert kinds == {
        h.SYNC,
        h.DELAY_REQ,
        h.FOLLOW_UP,
        h.DELAY_RESP,
        h.ANNOUNCE,
        h.PDELAY_REQ,
        h.PDELAY_RESP,
        h.PDELAY_RESP_FOLLOW_UP,
    }


def test_an_identity_is_written_as_in_sdp() -> None:
    assert dashed(bytes.fromhex("001dc1fffe123456")) == "00-1D-C1-FF-FE-12-34-56"


SYNC = next(d for d in payloads(UDP) if d[0] == 0)
ANNOUNCE = next(d for d in payloads(UDP) if d[0] == 0x0B)
RESPONSE = next(d for d in payloads(UDP) if d[0] == 0x09)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "shorter than its header"),
        (SYNC[:33], "shorter than its header"),
        (SYNC[:1] + b"\x01" + SYNC[2:], "versionPTP is 1"),
        (b"\x04" + SYNC[1:], "reserved"),
        (SYNC[:2] + b"\x00\x21" + SYNC[4:], "messageLength 33"),
        (SYNC[:2] + b"\x00\x2d" + SYNC[4:], "messageLength 45"),
        (SYNC[:2] + b"\x00\x2b" + SYNC[4:43], "body of 9 bytes, 10 needed"),
        (SYNC[:40] + b"\x3b\x9a\xca\x00", "1000000000 nanoseconds"),
        (ANNOUNCE[:2] + b"\x00\x3f" + ANNOUNCE[4:63], "body of 29 bytes, 30 needed"),
        (RESPONSE[:2] + b"\x00\x35" + RESPONSE[4:53], "body of 19 bytes, 20 needed"),
        (SYNC[:2] + b"\x00\x30" + SYNC[4:] + b"\x00\x03\x00\x02", "TLV 0x0003 of 2 bytes"),
        (SYNC[:2] + b"\x00\x31" + SYNC[4:] + b"\x00\x03\x00\x01\x00", "TLV 0x0003 of 1 bytes"),
        (SYNC[:2] + b"\x00\x2e" + SYNC[4:] + b"\x00\x01", "after the last TLV"),
    ],
)
def test_a_broken_message_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        parse(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_wire_error(data: bytes) -> None:
    try:
        message = parse(data)
    except WireError:
        return
    assert parse(pack(message)) == message


@given(st.sampled_from(list(payloads(UDP)) + list(payloads(GPTP))), st.data())
def test_damaged_real_messages_are_a_message_or_a_wire_error(
    data: bytes, draw: st.DataObject
) -> None:
    broken = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 6))):
        broken[draw.draw(st.integers(0, len(broken) - 1))] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(0, len(broken)))
    for each in (bytes(broken), bytes(broken[:cut])):
        try:
            message = parse(each)
        except WireError:
            continue
        assert parse(pack(message)) == message


ports = st.builds(PortIdentity, st.binary(min_size=8, max_size=8), st.integers(0, 0xFFFF))
tlvs = st.lists(
    st.builds(
        Tlv, st.integers(0, 0xFFFF), st.binary(max_size=20).map(lambda b: b[: len(b) // 2 * 2])
    ),
    max_size=3,
).map(tuple)
stamps = st.integers(0, STAMP_MAX_NS)


def headers(*kinds: int) -> st.SearchStrategy[Header]:
    byte = st.integers(0, 255)
    return st.builds(
        Header,
        message_type=st.sampled_from(kinds),
        source=ports,
        sequence_id=st.integers(0, 0xFFFF),
        domain=byte,
        flags=st.integers(0, 0xFFFF),
        correction=st.integers(-(2**63), 2**63 - 1),
        log_interval=st.integers(-128, 127),
        major_sdo=st.integers(0, 15),
        minor_sdo=byte,
        minor_version=st.integers(0, 15),
        type_specific=st.integers(0, 2**32 - 1),
    )


messages = st.one_of(
    st.builds(Timed, headers(h.SYNC, h.DELAY_REQ, h.FOLLOW_UP, h.PDELAY_REQ), stamps, tlvs),
    st.builds(
        Answer,
        headers(h.DELAY_RESP, h.PDELAY_RESP, h.PDELAY_RESP_FOLLOW_UP),
        stamps,
        ports,
        tlvs,
    ),
    st.builds(
        Announce,
        headers(h.ANNOUNCE),
        st.integers(-(2**15), 2**15 - 1),
        st.integers(0, 255),
        st.builds(Quality, st.integers(0, 255), st.integers(0, 255), st.integers(0, 0xFFFF)),
        st.integers(0, 255),
        st.binary(min_size=8, max_size=8),
        st.integers(0, 0xFFFF),
        st.integers(0, 255),
        stamps,
        tlvs,
    ),
    st.builds(Other, headers(h.SIGNALING, h.MANAGEMENT), st.binary(max_size=60)),
)


@given(messages)
def test_what_is_packed_is_parsed_back(message: Timed | Answer | Announce | Other) -> None:
    assert parse(pack(message)) == message


@given(st.binary(min_size=34, max_size=80))
def test_padding_behind_the_message_is_not_part_of_it(extra: bytes) -> None:
    header, body = parse_header(SYNC + extra)
    assert header.message_type == h.SYNC
    assert len(body) == 10
