"""RTP packets: other programs' bytes both ways, malformed twins, hostile bytes, tshark's word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.wire import rtp
from aes67.wire.rtp import RtpExtension, RtpPacket
from sim.tshark import dissect, udp_datagrams

VECTORS = Path(__file__).parent.parent / "vectors" / "rtp"
NAMES = sorted(file.stem for file in VECTORS.glob("*.bin"))

# RFC 3550 5.1 assembled by hand: padding, extension and two CSRCs, marker, payload type 98.
EVERYTHING = bytes.fromhex(
    "b2 e2 fffe 00000030 12345678"  # V=2 P=1 X=1 CC=2, M=1 PT=98
    "0000000a 0000000b"
    "bede 0001 01020304"
    "aabbcc"
    "00000000 05"
)
EVERYTHING_PACKET = RtpPacket(
    payload_type=98,
    sequence=65534,
    timestamp=48,
    ssrc=0x12345678,
    payload=b"\xaa\xbb\xcc",
    marker=True,
    csrcs=(10, 11),
    extension=RtpExtension(0xBEDE, b"\x01\x02\x03\x04"),
    padding=5,
)

packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 2**16 - 1),
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=60),
    marker=st.booleans(),
    csrcs=st.lists(st.integers(0, 2**32 - 1), max_size=15).map(tuple),
    extension=st.none()
    | st.builds(
        RtpExtension,
        st.integers(0, 2**16 - 1),
        st.integers(0, 5).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words)),
    ),
    padding=st.integers(0, 255),
)


@pytest.mark.parametrize("name", NAMES)
def test_other_programs_packets_both_ways(name: str) -> None:
    data = (VECTORS / f"{name}.bin").read_bytes()
    expected = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    packet = rtp.parse(data)
    for field in ("payload_type", "sequence", "timestamp", "ssrc", "marker", "padding"):
        assert getattr(packet, field) == expected[field]
    assert packet.csrcs == ()
    assert packet.extension is None
    assert len(packet.payload) == expected["payload_bytes"]
    assert packet.pack() == data


def test_every_optional_part_both_ways() -> None:
    assert rtp.parse(EVERYTHING) == EVERYTHING_PACKET
    assert EVERYTHING_PACKET.pack() == EVERYTHING


def test_the_smallest_packet_is_its_header() -> None:
    data = bytes.fromhex("80 62 0001 00000002 00000003")
    packet = rtp.parse(data)
    assert packet == RtpPacket(98, 1, 2, 3)
    assert packet.pack() == data


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        (b"", "shorter than its header", 0),
        (bytes.fromhex("80 62 0001 00000002 000000"), "shorter than its header", 11),
        (bytes.fromhex("40 62 0001 00000002 00000003"), "version 1 is not 2", 0),
        (bytes.fromhex("c0 62 0001 00000002 00000003"), "version 3 is not 2", 0),
        (bytes.fromhex("81 62 0001 00000002 00000003"), "contributing sources", 12),
        (bytes.fromhex("90 62 0001 00000002 00000003"), "extension runs past", 12),
        (bytes.fromhex("90 62 0001 00000002 00000003 bede 0001"), "extension runs past", 14),
        (bytes.fromhex("90 62 0001 00000002 00000003 bede ffff 00000000"), "extension runs", 14),
        (bytes.fromhex("a0 62 0001 00000002 00000003"), "padding of 3", 11),
        (bytes.fromhex("a0 62 0001 00000002 00000003 aabb 00"), "padding of 0", 14),
        (bytes.fromhex("a0 62 0001 00000002 00000003 aabb 04"), "padding of 4", 14),
        (EVERYTHING[:-1] + b"\x09", "padding of 9", len(EVERYTHING) - 1),
    ],
)
def test_malformed_packets_say_what_and_where(data: bytes, reason: str, offset: int) -> None:
    with pytest.raises(WireError, match=reason) as caught:
        rtp.parse(data)
    assert caught.value.offset == offset


def test_padding_may_fill_the_whole_payload() -> None:
    packet = rtp.parse(bytes.fromhex("a0 62 0001 00000002 00000003 0002"))
    assert (packet.payload, packet.padding) == (b"", 2)


@pytest.mark.parametrize(
    ("packet", "offset"),
    [
        (RtpPacket(128, 0, 0, 0), rtp.TYPE_OFFSET),
        (RtpPacket(98, 65536, 0, 0), rtp.SEQUENCE_OFFSET),
        (RtpPacket(98, 0, 2**32, 0), rtp.TIMESTAMP_OFFSET),
        (RtpPacket(98, 0, 0, -1), rtp.SSRC_OFFSET),
        (RtpPacket(98, 0, 0, 0, csrcs=(0,) * 16), rtp.FLAGS_OFFSET),
        (RtpPacket(98, 0, 0, 0, csrcs=(2**32,)), rtp.HEADER_BYTES),
        (RtpPacket(98, 0, 0, 0, padding=256), rtp.FLAGS_OFFSET),
        (RtpPacket(98, 0, 0, 0, extension=RtpExtension(0, b"abc")), rtp.HEADER_BYTES),
        (RtpPacket(98, 0, 0, 0, extension=RtpExtension(2**16)), rtp.HEADER_BYTES),
    ],
)
def test_values_out_of_range_are_not_packed(packet: RtpPacket, offset: int) -> None:
    with pytest.raises(WireError) as caught:
        packet.pack()
    assert caught.value.offset == offset


@given(packets)
def test_what_is_packed_is_read_back(packet: RtpPacket) -> None:
    assert rtp.parse(packet.pack()) == packet


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: b"\xbf\x62" + tail))
@settings(max_examples=300)
def test_any_bytes_are_a_value_or_a_wire_error(data: bytes) -> None:
    try:
        packet = rtp.parse(data)
    except WireError:
        return
    assert len(packet.payload) <= len(data)
    # Padding octets other than the count may hold anything, so only the length is certain to agree.
    assert len(packet.pack()) == len(data)


@pytest.mark.parametrize(
    ("kind", "expected"), [(200, True), (201, True), (98, False), (0xE2, False), (191, False)]
)
def test_rtcp_is_told_from_rtp_by_its_second_octet(kind: int, expected: bool) -> None:
    # 0xE2 is RTP payload type 98 with the marker set: 226, outside RFC 5761's range.
    assert rtp.is_rtcp(bytes((0x80, kind, 0, 0))) is expected
    assert rtp.is_rtcp(b"\x80") is False


@pytest.mark.peer("tshark")
def test_tshark_reads_our_packets(tmp_path: Path) -> None:
    plain = RtpPacket(97, 0xFFFF, 0xFFFF_FFD0, 0xDEADBEEF, bytes(288))
    rows = dissect(
        tmp_path,
        udp_datagrams([plain.pack(), EVERYTHING_PACKET.pack()], 5004),
        fields=(
            "rtp.version", "rtp.padding", "rtp.ext", "rtp.cc", "rtp.marker", "rtp.p_type",
            "rtp.seq", "rtp.timestamp", "rtp.ssrc", "rtp.csrc.item", "rtp.ext.profile",
            "rtp.padding.count",
        ),
        options=("-d", "udp.port==5004,rtp"),
    )  # fmt: skip
    first = ["2", "0", "0", "0", "0", "97", "65535", "4294967248", "0xdeadbeef", "", "", ""]
    second = ["2", "1", "1", "2", "1", "98", "65534", "48", "0x12345678"]
    assert rows[0] == first
    assert rows[1][:9] == second
    assert rows[1][9] in ("0x0000000a,0x0000000b", "10,11")
    assert rows[1][10:] == ["0xbede", "5"]
