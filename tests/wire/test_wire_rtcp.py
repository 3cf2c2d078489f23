"""RTCP: ffmpeg's report both ways, every kind of packet, malformed twins, tshark's word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.wire import rtcp, rtcp_reader
from aes67.wire.rtcp import (
    Goodbye,
    OtherPacket,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceChunk,
    SourceDescription,
)
from sim.tshark import dissect, udp_datagrams

VECTORS = Path(__file__).parent.parent / "vectors" / "rtcp"

# RFC 3550 6.4 and 6.5 assembled by hand.
BLOCK = ReportBlock(0x0A0B0C0D, 64, -2, 0x0001_FFFF, 17, 0xE43A22D0, 65536)
BLOCK_BYTES = bytes.fromhex("0a0b0c0d 40 fffffe 0001ffff 00000011 e43a22d0 00010000")
REPORT = SenderReport(0x12345678, 0xEEABE43A_22D0E560, 48, 10, 2880, (BLOCK,))
REPORT_BYTES = (
    bytes.fromhex("81 c8 000c 12345678 eeabe43a 22d0e560 00000030 0000000a 00000b40") + BLOCK_BYTES
)
NAMES = SourceDescription((SourceChunk(0x12345678, ((rtcp.CNAME, b"a@b"), (rtcp.TOOL, b"x"))),))
NAMES_BYTES = bytes.fromhex("81 ca 0004 12345678 01 03 614062 06 01 78 00000000")
LEAVING = Goodbye((0x12345678, 1), b"over")
LEAVING_BYTES = bytes.fromhex("82 cb 0004 12345678 00000001 04 6f766572 000000")
EMPTY_BYTES = bytes.fromhex("80 c9 0001 00000007")


def test_ffmpegs_report_both_ways() -> None:
    data = (VECTORS / "ffmpeg_sender_report.bin").read_bytes()
    expected = json.loads((VECTORS / "ffmpeg_sender_report.json").read_text(encoding="utf-8"))
    ntp = expected["ntp_seconds"] << 32 | expected["ntp_fraction"]
    (report,) = rtcp_reader.parse(data)
    assert report == SenderReport(
        expected["ssrc"], ntp, expected["rtp_timestamp"], expected["packets"], expected["octets"]
    )
    assert report.pack() == data


@pytest.mark.parametrize(
    ("packet", "data"),
    [
        (REPORT, REPORT_BYTES), (NAMES, NAMES_BYTES), (LEAVING, LEAVING_BYTES),
        (ReceiverReport(7), EMPTY_BYTES),
        (ReceiverReport(7, (BLOCK,)), bytes.fromhex("81 c9 0007 00000007") + BLOCK_BYTES),
        (Goodbye((1,)), bytes.fromhex("81 cb 0001 00000001")),
        (Goodbye(()), bytes.fromhex("80 cb 0000")),
        (SourceDescription(()), bytes.fromhex("80 ca 0000")),
        (SourceDescription((SourceChunk(1, ()),)), bytes.fromhex("81 ca 0002 00000001 00000000")),
        (OtherPacket(204, 3, b"namedata"), bytes.fromhex("83 cc 0002") + b"namedata"),
    ],
)  # fmt: skip
def test_every_kind_both_ways(packet: RtcpPacket, data: bytes) -> None:
    assert rtcp_reader.parse(data) == (packet,)
    assert packet.pack() == data


def test_a_compound_datagram() -> None:
    data = REPORT_BYTES + NAMES_BYTES + LEAVING_BYTES
    assert rtcp_reader.parse(data) == (REPORT, NAMES, LEAVING)
    assert rtcp.pack((REPORT, NAMES, LEAVING)) == data


def test_a_profiles_extension_is_passed_over() -> None:
    data = bytes.fromhex("80 c9 0002 00000007 deadbeef")
    assert rtcp_reader.parse(data) == (ReceiverReport(7),)


def test_padding_of_the_last_packet() -> None:
    data = EMPTY_BYTES + bytes.fromhex("a0 c9 0002 00000007 00000004")
    assert rtcp_reader.parse(data) == (ReceiverReport(7), ReceiverReport(7))


@pytest.mark.parametrize(
    ("unix_ns", "expected"),
    [
        (0, 2_208_988_800 << 32),
        (500_000_000, 2_208_988_800 << 32 | 1 << 31),
        (-2_208_988_800 * 10**9, 0),
        (2_085_978_496 * 10**9, 0),  # 2036-02-07 06:28:16 UTC: the NTP era ends
    ],
)
def test_ntp_time(unix_ns: int, expected: int) -> None:
    assert rtcp.ntp_time(unix_ns) == expected


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        ("", "shorter than its header", 0),
        ("80 c9 00", "shorter than its header", 0),
        ("40 c9 0001 00000007", "version 1", 0),
        ("80 62 0001 00000007", "98 is no RTCP", 1),
        ("80 c9 0002 00000007", "runs past the datagram", 2),
        ("80 c9 0000", "0 report blocks do not fit", 4),
        ("81 c9 0001 00000007", "1 report blocks do not fit", 4),
        ("80 c8 0005 00000007 00000000 00000000 00000000 00000000", "report blocks", 4),
        ("81 ca 0000", "chunk runs past", 4),
        ("81 ca 0001 00000001", "items have no end", 8),
        ("81 ca 0002 00000001 01 03 61 62", "item runs past", 8),
        ("81 ca 0002 00000001 01 02 61 62", "items have no end", 12),
        ("81 ca 0002 00000001 01 01 61 05", "item runs past", 11),
        ("81 cb 0000", "1 sources do not fit", 4),
        ("80 cb 0001 04 616263", "reason runs past", 4),
        ("a0 c9 0001 00000000", "padding of 0", 7),
        ("a0 c9 0001 00000007", "padding of 7", 7),
        ("a0 c9 0001 00000008", "padding of 8", 7),
        ("a0 c9 0002 00000007 00000004 80 c9 0001 00000007", "padding", 11),
        ("80 c9 0001 00000007 80", "shorter than its header", 8),
    ],
)
def test_malformed_packets_say_what_and_where(data: str, reason: str, offset: int) -> None:
    with pytest.raises(WireError, match=reason) as caught:
        rtcp_reader.parse(bytes.fromhex(data))
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "packet",
    [
        ReceiverReport(2**32), ReceiverReport(-1), ReceiverReport(1, (BLOCK,) * 32),
        ReceiverReport(1, (ReportBlock(1, fraction_lost=256),)),
        ReceiverReport(1, (ReportBlock(1, cumulative_lost=2**23),)),
        ReceiverReport(1, (ReportBlock(1, jitter=2**32),)),
        SenderReport(1, 2**64, 0, 0, 0), SenderReport(1, 0, 0, 2**32, 0), Goodbye((1,), bytes(256)),
        Goodbye((1,) * 32), OtherPacket(205, 0, b"abc"), OtherPacket(98, 0, b""),
        OtherPacket(205, 32, b""), SourceDescription((SourceChunk(1, ((0, b""),)),)),
        SourceDescription((SourceChunk(1, ((1, bytes(256)),)),)),
    ],
)  # fmt: skip
def test_values_that_do_not_fit_are_not_packed(packet: RtcpPacket) -> None:
    with pytest.raises(WireError):
        packet.pack()


words = st.integers(0, 2**32 - 1)
blocks = st.lists(
    st.builds(
        ReportBlock, words, st.integers(0, 255), st.integers(-(2**23), 2**23 - 1), words, words,
        words, words,
    ),
    max_size=3,
).map(tuple)  # fmt: skip
chunks = st.builds(
    SourceChunk,
    words,
    st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=9)), max_size=3).map(tuple),
)
packets = st.one_of(
    st.builds(SenderReport, words, st.integers(0, 2**64 - 1), words, words, words, blocks),
    st.builds(ReceiverReport, words, blocks),
    st.builds(SourceDescription, st.lists(chunks, max_size=3).map(tuple)),
    st.builds(Goodbye, st.lists(words, max_size=3).map(tuple), st.binary(max_size=9)),
    st.builds(
        OtherPacket, st.integers(204, 223), st.integers(0, 31), st.binary(max_size=3).map(
            lambda octets: octets * 4),
    ),
)  # fmt: skip


@given(st.lists(packets, min_size=1, max_size=4).map(tuple))
def test_what_is_packed_is_read_back(compound: tuple[RtcpPacket, ...]) -> None:
    assert rtcp_reader.parse(rtcp.pack(compound)) == compound


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(REPORT_BYTES + NAMES_BYTES + LEAVING_BYTES)
    for _ in range(draw(st.integers(1, 5))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[draw(st.sampled_from((0, 52, 72))) : draw(st.integers(0, len(data)))])


@given(st.binary(max_size=60) | damaged())
@settings(max_examples=400)
def test_any_bytes_are_packets_or_a_wire_error(data: bytes) -> None:
    try:
        found = rtcp_reader.parse(data)
    except WireError:
        return
    assert 1 <= len(found) <= len(data) // 4


@pytest.mark.peer("tshark")
def test_tshark_reads_our_packets(tmp_path: Path) -> None:
    rows = dissect(
        tmp_path,
        udp_datagrams([REPORT_BYTES + rtcp.pack((NAMES, LEAVING))], 5005),
        fields=(
            "rtcp.pt", "rtcp.senderssrc", "rtcp.timestamp.ntp.msw", "rtcp.timestamp.rtp",
            "rtcp.sender.packetcount", "rtcp.sender.octetcount", "rtcp.ssrc.fraction",
            "rtcp.ssrc.cum_nr", "rtcp.ssrc.jitter", "rtcp.ssrc.dlsr", "rtcp.sdes.text",
            "_ws.malformed",
        ),
        options=("-d", "udp.port==5005,rtcp"),
    )  # fmt: skip
    assert rows[0] == [
        "200,202,203", "0x12345678", str(0xEEABE43A), "48", "10", "2880", "64", "-2", "17",
        "65536", "a@b,x,over", "",
    ]  # fmt: skip
