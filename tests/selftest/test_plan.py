"""From the options of a self-test to streams that fit an Ethernet frame."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.errors import Refused
from aes67.selftest.plan import RATES, case, frames_per_packet, packet_time, sink, source


@pytest.mark.parametrize(
    ("rate", "packet", "frames"),
    [
        (48000, "1ms", 48), (48000, "125us", 6), (48000, "250us", 12), (48000, "333us", 16),
        (48000, "4ms", 192), (96000, "1ms", 96), (44100, "1ms", 48), (88200, "0.125ms", 12),
        (192000, "250 us", 48), (384000, "125us", 48),
    ],
)  # fmt: skip
def test_packet_times_of_the_standard(rate: int, packet: str, frames: int) -> None:
    assert frames_per_packet(rate, packet_time(packet)) == frames


@pytest.mark.parametrize(
    ("channels", "rate", "codec", "packet", "streams"),
    [
        (2, 48000, "L24", "1ms", 1), (8, 48000, "L24", "1ms", 1), (64, 48000, "L24", "1ms", 8),
        (64, 48000, "L24", "125us", 1), (64, 48000, "L16", "1ms", 8), (64, 96000, "L24", "1ms", 16),
        (3, 48000, "L24", "4ms", 3), (64, 48000, "AM824", "1ms", 16),
    ],
)  # fmt: skip
def test_many_channels_become_as_few_streams_as_fit(
    channels: int, rate: int, codec: str, packet: str, streams: int
) -> None:
    found = case("S24_3LE", rate, channels, codec, packet)
    assert found.streams == streams
    payload = found.stream_channels * found.frames_per_packet * found.wire_bits // 8
    assert payload <= 1460


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("S20_LE", 48000, 2, "L24", "1ms"), "format"),
        (("S16_LE", 47999, 2, "L24", "1ms"), "rate"),
        (("S16_LE", 48000, 0, "L24", "1ms"), "channels"),
        (("S16_LE", 48000, 65, "L24", "1ms"), "channels"),
        (("S16_LE", 48000, 2, "L20", "1ms"), "codec"),
        (("S16_LE", 48000, 2, "L24", "3ms"), "packet-time"),
        (("S16_LE", 48000, 2, "L24", "soon"), "packet-time"),
        (("S16_LE", 384000, 2, "L24", "4ms"), "packet-time"),
        (("S16_LE", 48000, 64, "L24", "1ms", 4), "sources"),
        (("S16_LE", 48000, 64, "L24", "1ms", 7), "sources"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    arguments: tuple[str, int, int, str, str], field: str
) -> None:
    with pytest.raises(Refused) as caught:
        case(*arguments)
    assert caught.value.field == field


@given(text=st.text(max_size=12))
def test_any_text_is_a_packet_time_or_refused(text: str) -> None:
    with contextlib.suppress(Refused):
        assert packet_time(text) > 0


@given(
    rate=st.sampled_from(RATES),
    channels=st.integers(1, 64),
    codec=st.sampled_from(["L16", "L24", "AM824"]),
    packet=st.sampled_from(["125us", "250us", "1ms"]),
)
def test_streams_cover_each_channel_once(rate: int, channels: int, codec: str, packet: str) -> None:
    try:
        found = case("S32_LE", rate, channels, codec, packet)
    except Refused:
        return
    sources = [channel for i in range(found.streams) for channel in source(found, i)["map"]]
    sinks = [channel for i in range(found.streams) for channel in sink(found, i, "v=0", 1)["map"]]
    assert sources == sinks == list(range(channels))


def test_the_least_delay_is_a_packet_two_ticks_and_a_margin() -> None:
    assert case("S16_LE", 48000, 2, "L24", "1ms").least_delay() == 48 + 3 * 12
    assert case("S16_LE", 48000, 2, "L24", "125us").least_delay() == 6 + 3 * 6
