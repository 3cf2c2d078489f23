"""Audio payloads: captured ramps, AES3 subframes bit by bit, channel status, table numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.shm import layout
from aes67.wire import payload, rtp
from aes67.wire.payload import AM824, AM824_AES3, L16, L24, Codec, Subframe

VECTORS = Path(__file__).parent.parent / "vectors" / "rtp"


def ramp16(frame: int, channel: int) -> int:
    """The signal of the captures, see tests/vectors/rtp/README.md."""
    return (37 * frame + 1000 * channel) % 65536 - 32768


def ramp24(frame: int, channel: int) -> int:
    return ramp16(frame, channel) * 256 + (frame + channel) % 256


@pytest.mark.parametrize(("name", "start"), [("gst_l24_first", 0), ("gst_l24_second", 48)])
def test_samples_gstreamer_packed(name: str, start: int) -> None:
    data = rtp.parse((VECTORS / f"{name}.bin").read_bytes()).payload
    expected = tuple(ramp24(start + i // 2, i % 2) for i in range(96))
    assert payload.parse_samples(data, L24, 2) == expected
    assert payload.pack_samples(expected, L24) == data


def test_samples_ffmpeg_packed() -> None:
    data = rtp.parse((VECTORS / "ffmpeg_l16.bin").read_bytes()).payload
    expected = tuple(ramp16(i // 2, i % 2) for i in range(96))
    assert payload.parse_samples(data, L16, 2) == expected
    assert payload.pack_samples(expected, L16) == data


@pytest.mark.parametrize(
    ("codec", "sample", "octets"),
    [
        (L16, -32768, "8000"), (L16, 32767, "7fff"), (L16, -1, "ffff"),
        (L24, -(2**23), "800000"), (L24, 1, "000001"),
        (AM824, -(2**31), "80000000"), (AM824, 2**31 - 1, "7fffffff"),
    ],
)  # fmt: skip
def test_extreme_samples(codec: Codec, sample: int, octets: str) -> None:
    assert payload.pack_samples([sample], codec) == bytes.fromhex(octets)
    assert payload.parse_samples(bytes.fromhex(octets), codec, 1) == (sample,)


@pytest.mark.parametrize(("codec", "sample"), [(L16, 32768), (L24, -(2**23) - 1), (AM824, 2**31)])
def test_samples_that_do_not_fit_are_refused(codec: Codec, sample: int) -> None:
    with pytest.raises(WireError, match="does not fit") as caught:
        payload.pack_samples([0, sample], codec)
    assert caught.value.offset == codec.sample_bytes


@pytest.mark.parametrize(("codec", "channels", "octets"), [(L24, 2, 7), (L16, 8, 15), (L24, 1, 1)])
def test_half_a_frame_is_refused(codec: Codec, channels: int, octets: int) -> None:
    with pytest.raises(WireError, match="no whole number of frames"):
        payload.parse_samples(bytes(octets), codec, channels)


@given(
    st.sampled_from([L16, L24, AM824]),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=40),
)
def test_samples_survive_the_wire(codec: Codec, samples: list[int]) -> None:
    fitting = tuple(sample >> (32 - codec.sample_bits) for sample in samples)
    data = payload.pack_samples(fitting, codec)
    assert len(data) == len(samples) * codec.sample_bytes
    assert payload.parse_samples(data, codec, 1) == fitting


@pytest.mark.parametrize(
    ("subframe", "octets"),
    [
        # one bit at a time: label, then 24 bits of audio, most significant first
        (Subframe(0), "00000000"),
        (Subframe(-(2**23), invalid=True), "01800000"),
        (Subframe(0, invalid=True), "09000000"),
        (Subframe(0, user=True), "0a000000"),
        (Subframe(0, channel_status=True), "0c000000"),
        (Subframe(1), "08000001"),
        (Subframe(3), "00000003"),
        (Subframe(0, frame_start=True), "10000000"),
        (Subframe(0, block_start=True, frame_start=True), "30000000"),
        (Subframe(-1, True, True, True, True, True), "3fffffff"),
    ],
)
def test_subframe_bits(subframe: Subframe, octets: str) -> None:
    assert subframe.pack() == bytes.fromhex(octets)
    assert payload.parse_subframe(bytes.fromhex(octets)) == subframe


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        ("000000", "subframe of 3"), ("0000000000", "subframe of 5"), ("", "subframe of 0"),
        ("40000000", "label 0x40"), ("80000000", "label 0x80"), ("00000001", "parity"),
        ("08000000", "parity"),
    ],
)  # fmt: skip
def test_malformed_subframes(octets: str, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        payload.parse_subframe(bytes.fromhex(octets))


def test_a_sample_too_large_for_a_subframe() -> None:
    with pytest.raises(WireError, match="24 bits"):
        Subframe(2**23).pack()


@given(st.binary(max_size=6))
def test_any_octets_are_a_subframe_or_a_wire_error(data: bytes) -> None:
    try:
        subframe = payload.parse_subframe(data)
    except WireError:
        return
    assert subframe.pack() == data


def test_subframe_constants_are_where_the_reference_puts_them() -> None:
    """IEC 61883-6: PAC 11 opens a block, 01 a frame, 00 is the second subframe."""
    assert payload.BLOCK_BIT | payload.FRAME_BIT == 0b11 << 28
    assert Subframe(0, frame_start=True).pack()[0] >> 4 == 0b01
    assert Subframe(0, block_start=True, frame_start=True).pack()[0] >> 4 == 0b11


@pytest.mark.parametrize(
    ("octets", "crc"),
    [
        # the two examples of AES3-2 (EBU Tech 3250), bit 0 of an octet first:
        # "bits 0, 2, 3, 4, 5, octet 1 bit 1, octet 4 bit 1" and "bit 0 alone"
        (bytes((0x3D, 0x02, 0, 0, 0x02)) + bytes(18), 0b10011011),
        (bytes((0x01,)) + bytes(22), 0b00110010),
    ],
)
def test_channel_status_crc_examples_of_the_standard(octets: bytes, crc: int) -> None:
    assert payload.channel_status_crc(octets) == crc


@pytest.mark.parametrize(
    ("rate", "octet0", "octet4"),
    [(48_000, 0x85, 0), (44_100, 0x45, 0), (96_000, 0x05, 0x10), (192_000, 0x05, 0x18),
     (88_200, 0x05, 0x50), (176_400, 0x05, 0x58)],
)  # fmt: skip
def test_channel_status_says_professional_24_bits_and_the_rate(
    rate: int, octet0: int, octet4: int
) -> None:
    block = payload.channel_status(rate)
    assert len(block) == payload.CHANNEL_STATUS_BYTES
    # 24-bit maximum (bits 0-2 = 001 read in bit order) and 24-bit word length (bits 3-5 = 101)
    assert (block[0], block[2], block[4]) == (octet0, 0x2C, octet4)
    assert block[23] == payload.channel_status_crc(block[:23])


def test_codec_numbers_are_those_of_the_tables() -> None:
    assert L16.number == layout.CODEC_L16
    assert L24.number == layout.CODEC_L24
    assert AM824.number == layout.CODEC_AM824
    assert AM824_AES3.number == layout.CODEC_AM824_AES3


@pytest.mark.parametrize(
    ("codec", "channels", "frames"), [(L24, 64, 7), (L24, 8, 60), (L16, 2, 365), (AM824, 8, 45)]
)
def test_most_frames_of_an_ethernet_frame(codec: Codec, channels: int, frames: int) -> None:
    assert codec.max_frames(channels) == frames
    assert 20 + 8 + 12 + frames * codec.frame_bytes(channels) <= 1500
    assert 20 + 8 + 12 + (frames + 1) * codec.frame_bytes(channels) > 1500


def test_codecs_by_name() -> None:
    assert payload.codec("l24") is L24
    assert payload.codec("AM824") is AM824
    assert payload.codec("AM824", "aes3") is AM824_AES3
    assert payload.codec("L16", "aes3") is L16
    with pytest.raises(WireError, match="'OPUS'"):
        payload.codec("OPUS")
