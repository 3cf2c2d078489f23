"""What the encoders make, judged by ffmpeg: frequency, level, channels, from any point on."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import numpy.typing as npt
import pytest

from aes67.streamer import adts
from aes67.streamer.encoders import Encoder, NoCodec, Wav, aac_channels, aac_rate, encoder
from sim.capture_memory import AMPLITUDE, frequency, sine

pytestmark = [
    pytest.mark.peer("ffmpeg"),
    pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed"),
]

SECONDS = 2


def chunks(made: Encoder, rate: int, channels: int, seconds: float = SECONDS) -> list[bytes]:
    """All chunks of sines, pushed as the worker does."""
    step, total = rate // 50, int(rate * seconds)
    found = []
    for first in range(0, total, step):
        block = np.stack([sine(channel, rate, first, step) for channel in range(channels)])
        found += made.push(block)
    return found


def decoded(data: bytes) -> tuple[dict[str, str], npt.NDArray[np.float32]]:
    """What ffprobe says of a stream, and its samples as [channels][frames]."""
    probe = [
        "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,sample_rate,channels",
        "-of", "json", "-",
    ]  # fmt: skip
    said = subprocess.run(probe, input=data, capture_output=True, timeout=60, check=True).stdout
    stream = json.loads(said)["streams"][0]
    command = ["ffmpeg", "-v", "error", "-i", "-", "-f", "f32le", "-"]
    raw = subprocess.run(command, input=data, capture_output=True, timeout=60, check=True).stdout
    samples = np.frombuffer(raw, "<f4").reshape(-1, int(stream["channels"])).T
    return stream, samples


def treble(samples: npt.NDArray[np.float32], rate: int) -> float:
    """Share of the power above 2 kHz."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(power[int(2000 * len(samples) / rate) :].sum() / power.sum())


def tone(samples: npt.NDArray[np.float32], rate: int) -> tuple[float, float]:
    """Frequency in Hz and amplitude of a sine, from its middle."""
    middle = samples[len(samples) // 4 :][: rate // 2]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return np.argmax(spectrum) * rate / len(middle), float(np.sqrt(2 * np.mean(middle**2)))


@pytest.mark.parametrize(
    ("format", "rate", "channels", "codec", "rate_out"),
    [
        ("aac", 48000, 1, "aac", 48000),
        ("aac", 48000, 2, "aac", 48000),
        ("aac", 44100, 4, "aac", 44100),
        ("aac", 48000, 6, "aac", 48000),
        ("aac", 48000, 7, "aac", 48000),
        ("aac", 48000, 8, "aac", 48000),
        ("aac", 48000, 12, "aac", 48000),
        ("aac", 192000, 2, "aac", 48000),
        ("opus", 48000, 2, "opus", 48000),
        ("opus", 44100, 1, "opus", 48000),
        ("opus", 384000, 2, "opus", 48000),
        ("wav", 48000, 2, "pcm_s24le", 48000),
        ("wav", 96000, 5, "pcm_s24le", 96000),
    ],
)
def test_a_sine_comes_out_as_it_went_in(
    format: str, rate: int, channels: int, codec: str, rate_out: int
) -> None:
    made = encoder(format, rate, channels)
    stream, samples = decoded(made.head + b"".join(chunks(made, rate, channels)))
    assert (stream["codec_name"], int(stream["sample_rate"])) == (codec, rate_out)
    carried = aac_channels(channels) if format == "aac" else channels
    assert samples.shape[0] == carried
    assert samples.shape[1] > 0.9 * SECONDS * rate_out
    for channel in range(channels):
        hertz, level = tone(samples[channel], rate_out)
        assert hertz == pytest.approx(frequency(channel), abs=2)
        assert level == pytest.approx(AMPLITUDE, rel=0.06)
    for channel in range(channels, carried):
        assert np.abs(samples[channel]).max() < 0.01


def test_wav_is_exact_to_24_bits() -> None:
    made = Wav(48000, 2)
    content = b"".join(chunks(made, 48000, 2, 0.1))
    octets = np.frombuffer(content, np.uint8).reshape(-1, 2, 3).astype(np.int32)
    found = octets[..., 0] | octets[..., 1] << 8 | octets[..., 2] << 16
    found = np.where(found >= 1 << 23, found - (1 << 24), found)
    for channel in range(2):
        assert np.array_equal(found[:, channel], sine(channel, 48000, 0, 4800) >> 8)


@pytest.mark.parametrize("channels", [6, 7, 8, 16])
def test_no_channel_of_aac_is_a_low_frequency_channel(channels: int) -> None:
    """A tone of 5 kHz in each channel in turn; with 5.1 or 7.1 it is lost in the fourth."""
    rate, burst = 48000, 12288
    tone_5k = (np.sin(2 * np.pi * 5000 / rate * np.arange(burst)) * 2**29).astype(np.int32)
    made, found = encoder("aac", rate, channels), b""
    for channel in range(channels):
        block = np.zeros((channels, burst), np.int32)
        block[channel] = tone_5k
        found += b"".join(made.push(block))
    samples = decoded(found)[1]
    for channel in range(channels):
        begin = channel * burst + burst // 3
        part = samples[channel][begin : begin + burst // 2]
        assert np.sqrt(2 * np.mean(part**2)) == pytest.approx(0.25, rel=0.1), channel
        assert treble(part, rate) > 0.98, channel


@pytest.mark.parametrize("octets", range(2, 9))
def test_a_configuration_that_is_cut_short_is_said(octets: int) -> None:
    whole = bytes.fromhex("118004c848002008c8200d")
    assert adts.program_config(whole)[0] >> 5 == 5
    with pytest.raises(ValueError, match="cut short"):
        adts.program_config(whole[:octets])


@pytest.mark.parametrize("format", ["aac", "opus"])
def test_one_may_join_at_any_chunk_and_miss_any(format: str) -> None:
    made = encoder(format, 48000, 2)
    all_of_them = chunks(made, 48000, 2, 3)
    part = all_of_them[20:]
    joined = made.head + b"".join(part[:10] + part[15:])
    samples = decoded(joined)[1]
    assert samples.shape[1] > 48000
    hertz, _ = tone(samples[1], 48000)
    assert hertz == pytest.approx(frequency(1), abs=2)


def test_nothing_in_nothing_out() -> None:
    for format in ("aac", "opus", "wav"):
        assert encoder(format, 48000, 2).push(np.zeros((2, 0), np.int32)) == []


def test_more_channels_than_a_format_has() -> None:
    with pytest.raises(ValueError, match="17"):
        encoder("aac", 48000, 17)
    with pytest.raises(ValueError, match="3"):
        encoder("opus", 48000, 3)
    assert len(encoder("wav", 48000, 64).head) == 68


@pytest.mark.parametrize(
    ("rate", "carried"),
    [(44100, 44100), (48000, 48000), (88200, 44100), (352800, 44100), (384000, 48000)],
)
def test_rates_beyond_aac_are_halved(rate: int, carried: int) -> None:
    assert aac_rate(rate) == carried


def test_without_pyav_there_is_wav_and_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    assert encoder("wav", 48000, 2).head[:4] == b"RIFF"
    for format in ("aac", "opus"):
        with pytest.raises(NoCodec, match="av"):
            encoder(format, 48000, 2)
