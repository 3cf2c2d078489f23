"""The header kernels against wire.rtp: the same octets, the same verdict on any octets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.media import rtp
from aes67.wire.rtp import RtpExtension, RtpPacket, parse

VECTORS = Path(__file__).parent.parent / "vectors" / "rtp"
u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)


def words_of(data: bytes) -> np.ndarray:
    """A receive buffer that holds `data` and, behind it, what the datagram before left there."""
    return np.frombuffer(data.ljust(2048 + 16, b"\xa5"), "<i4").copy()


@given(st.integers(0, 127), st.integers(0, 2**50), st.integers(0, 2**50), u32)
def test_a_header_is_what_wire_rtp_writes(
    kind: int, sequence: int, timestamp: int, ssrc: int
) -> None:
    words = np.zeros(3, np.int32)
    rtp.write_header(words, kind, sequence, timestamp, ssrc)
    packet = RtpPacket(kind, sequence % 2**16, timestamp % 2**32, ssrc)
    assert words.tobytes() == packet.pack()


def check_same_verdict(data: bytes) -> None:
    found = rtp.parse_header(words_of(data), len(data))
    try:
        expected = parse(data)
    except WireError:
        assert found.valid == 0
        return
    assert found.valid == 1
    assert found.payload_type == expected.payload_type
    assert found.sequence == expected.sequence
    assert found.timestamp == expected.timestamp
    assert found.ssrc == expected.ssrc
    assert data[4 * found.start : 4 * found.start + found.size] == expected.payload


@given(st.binary(max_size=80) | st.binary(min_size=12, max_size=40).map(lambda b: b"\x80" + b[1:]))
@example(b"")
@example(bytes.fromhex("b0600001000000020000000300010000"))
@example(bytes.fromhex("a060000100000002000000030000000d"))
@example(bytes.fromhex("8f600001000000020000000300010000"))
def test_any_octets_get_the_verdict_of_wire_rtp(data: bytes) -> None:
    check_same_verdict(data)


@given(
    st.builds(
        RtpPacket,
        payload_type=st.integers(0, 127),
        sequence=u16,
        timestamp=u32,
        ssrc=u32,
        payload=st.binary(max_size=60),
        marker=st.booleans(),
        csrcs=st.lists(u32, max_size=15).map(tuple),
        extension=st.none()
        | st.builds(RtpExtension, u16, st.binary(max_size=5).map(lambda b: 4 * b)),
        padding=st.integers(0, 255),
    )
)
def test_everything_a_header_may_carry_is_passed_over(packet: RtpPacket) -> None:
    check_same_verdict(packet.pack())


@pytest.mark.parametrize("file", sorted(VECTORS.glob("*.json")), ids=lambda file: file.stem)
def test_other_programs_packets(file: Path) -> None:
    data = file.with_suffix(".bin").read_bytes()
    found = rtp.parse_header(words_of(data), len(data))
    expected = json.loads(file.read_text())
    assert found.valid == 1
    for name in ("payload_type", "sequence", "timestamp", "ssrc"):
        assert getattr(found, name) == expected[name]
    check_same_verdict(data)


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_sequence_steps_wrap(newer: int, older: int) -> None:
    step = rtp.sequence_step(newer, older)
    assert (older + step) % 2**16 == newer
    assert -(2**15) <= step < 2**15


@given(u32, st.integers(1, 10**6), st.integers(1, 10**6))
def test_each_session_epoch_has_its_own_ssrc(ssrc: int, one: int, other: int) -> None:
    assert rtp.ssrc_at(ssrc, 0) == ssrc
    assert 0 <= rtp.ssrc_at(ssrc, one) < 2**32
    assert (rtp.ssrc_at(ssrc, one) == rtp.ssrc_at(ssrc, other)) == (one == other)
