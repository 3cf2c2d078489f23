"""Samples in, bytes a listener can play out: AAC frames, Ogg pages with Opus, WAV.

Every encoder has the same three: `head` (what each listener gets first), `push` (chunks that are
whole, so that a listener may begin or skip at any of them), `media_type`. PyAV is imported when the
first encoder needs it; WAV needs none.
"""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from aes67.streamer import adts
from aes67.streamer.capture import Samples

if TYPE_CHECKING:
    import av

AAC_FRAME = 1024
AAC_BITS_A_CHANNEL = 64_000
AAC_RATE_MAX = 48_000
OPUS_RATE = 48_000
OPUS_BITS_A_CHANNEL = 80_000
OPUS_CHANNELS_MAX = 2
PAGE_US = 40_000
"""Length of an Ogg page: what a listener has to wait for."""
WAV_BITS = 24
UNKNOWN_BYTES = 0xFFFF_FFFF
"""Length of a WAV file that does not end."""

_FULL_SCALE = np.float32(2.0**31)


class NoCodec(Exception):
    """PyAV is not installed, or was built without this codec."""


class Encoder(Protocol):
    """What a feed needs of an encoder."""

    head: bytes

    def push(self, samples: Samples) -> list[bytes]:
        """Take frames, give the chunks they completed."""


def encoder(format: str, rate: int, channels: int) -> Encoder:
    """An encoder of one of `protocol.FORMATS` for so many channels at a device rate.

    Raises:
        NoCodec: see there.
        ValueError: more channels than the format takes.
    """
    if format == "wav":
        return Wav(rate, channels)
    try:
        return Opus(rate, channels) if format == "opus" else Aac(rate, channels)
    except ImportError as error:
        raise NoCodec(str(error)) from error


def aac_rate(rate: int) -> int:
    """The rate AAC runs at for a device rate in Hz: the same as far as AAC goes, else halved."""
    while rate > AAC_RATE_MAX:
        rate //= 2
    return rate


def aac_channels(channels: int) -> int:
    """The channels of the AAC stream that carries so many: the next count AAC has.

    Raises:
        ValueError: there is none.
    """
    for count in sorted(adts.LAYOUTS):
        if count >= channels:
            return count
    raise ValueError(f"AAC carries at most {max(adts.LAYOUTS)} channels, not {channels}")


class Aac:
    """AAC-LC in ADTS, a chunk a frame; every channel in full bandwidth."""

    head = b""

    def __init__(self, rate: int, channels: int) -> None:
        import av

        self.rate, self.channels = aac_rate(rate), aac_channels(channels)
        layout = adts.LAYOUTS[self.channels]
        codec: Any = _codec(av, "aac")
        codec.sample_rate, codec.layout, codec.format = self.rate, layout, "fltp"
        codec.bit_rate = AAC_BITS_A_CHANNEL * self.channels
        codec.time_base = Fraction(1, self.rate)
        codec.open()
        self._codec = codec
        self._element = adts.program_config(bytes(codec.extradata or b""))
        self._frames = _Frames(av, rate, self.rate, layout, self.channels, AAC_FRAME)

    def push(self, samples: Samples) -> list[bytes]:
        """Frames with their headers."""
        found = []
        for frame in self._frames.push(samples):
            for packet in self._codec.encode(frame):
                payload = self._element + bytes(packet)
                found.append(adts.header(self.rate, self.channels, len(payload)) + payload)
        return found


class Opus:
    """Opus in Ogg (RFC 7845), a chunk a page."""

    def __init__(self, rate: int, channels: int) -> None:
        import av

        if channels > OPUS_CHANNELS_MAX:
            raise ValueError(f"Opus carries {OPUS_CHANNELS_MAX} channels here, not {channels}")
        layout = adts.LAYOUTS[channels]
        _codec(av, "libopus")
        self._pages = _Pages()
        options = {"page_duration": str(PAGE_US), "flush_packets": "1"}
        self._container = av.open(self._pages, "w", format="ogg", options=options)  # type: ignore[call-overload]
        self._stream: Any = self._container.add_stream(
            "libopus", rate=OPUS_RATE, layout=layout, options={"application": "audio"}
        )
        self._stream.bit_rate = OPUS_BITS_A_CHANNEL * channels
        self._container.start_encoding()
        self.head = b"".join(self._pages.take())
        self._frames = _Frames(av, rate, OPUS_RATE, layout, channels, OPUS_RATE // 50)

    def push(self, samples: Samples) -> list[bytes]:
        """Ogg pages."""
        for frame in self._frames.push(samples):
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        return self._pages.take()


class Wav:
    """Linear PCM of 24 bits, of a length nobody knows."""

    def __init__(self, rate: int, channels: int) -> None:
        self.head = wav_header(rate, channels)

    def push(self, samples: Samples) -> list[bytes]:
        """The frames, little-endian."""
        if not samples.shape[1]:
            return []
        octets = np.ascontiguousarray(samples.T, dtype="<i4").view(np.uint8)
        return [octets.reshape(-1, 4)[:, 1:].tobytes()]


def wav_header(rate: int, channels: int) -> bytes:
    """RIFF, `fmt ` and the beginning of `data`; above two channels as WAVE_FORMAT_EXTENSIBLE."""
    frame_bytes = channels * WAV_BITS // 8
    extensible = channels > 2
    tag = 0xFFFE if extensible else 1
    layout = struct.pack("<HHIIHH", tag, channels, rate, rate * frame_bytes, frame_bytes, WAV_BITS)
    if extensible:
        # no speaker positions; sub-format KSDATAFORMAT_SUBTYPE_PCM
        pcm = struct.pack("<IHH", 1, 0, 16) + bytes.fromhex("800000aa00389b71")
        layout += struct.pack("<HHI", 22, WAV_BITS, 0) + pcm
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", UNKNOWN_BYTES, b"WAVE"),
            struct.pack("<4sI", b"fmt ", len(layout)),
            layout,
            struct.pack("<4sI", b"data", UNKNOWN_BYTES),
        )
    )


class _Pages(io.RawIOBase):
    """Where the muxer writes: each write is a whole page."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def take(self) -> list[bytes]:
        """What was written since the last call."""
        taken, self._parts = self._parts, []
        return taken


class _Frames:
    """Cuts samples into the codec's frames, at its rate."""

    def __init__(
        self, av: Any, rate: int, to_rate: int, layout: str, channels: int, frame: int
    ) -> None:
        self._av, self._layout, self._channels = av, layout, channels
        self._frame, self._rate, self._to_rate = frame, rate, to_rate
        self._rest: npt.NDArray[np.float32] = np.zeros((channels, 0), np.float32)
        self._pts = 0
        self._resampler = None
        if rate != to_rate:
            self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=to_rate)

    def push(self, samples: Samples) -> list[av.AudioFrame]:
        values = np.zeros((self._channels, samples.shape[1]), np.float32)
        values[: samples.shape[0]] = samples.astype(np.float32) / _FULL_SCALE
        if self._resampler is not None and values.shape[1]:
            values = self._resampled(values)
        rest = np.concatenate([self._rest, values], axis=1)
        whole = rest.shape[1] - rest.shape[1] % self._frame
        self._rest = rest[:, whole:].copy()
        return [
            self._made(rest[:, start : start + self._frame], self._to_rate)
            for start in range(0, whole, self._frame)
        ]

    def _resampled(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        assert self._resampler is not None
        made = self._resampler.resample(self._made(values, self._rate))
        parts = [_planes(frame, self._channels) for frame in made]
        return np.concatenate([np.zeros((self._channels, 0), np.float32), *parts], axis=1)

    def _made(self, values: npt.NDArray[np.float32], rate: int) -> Any:
        frame = self._av.AudioFrame(format="fltp", layout=self._layout, samples=values.shape[1])
        planes = frame.planes
        for channel in range(self._channels):  # PyAV counts one plane too many for eight
            planes[channel].update(np.ascontiguousarray(values[channel]))
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        if rate == self._to_rate:
            frame.pts = self._pts
            self._pts += values.shape[1]
        return frame


def _planes(frame: Any, channels: int) -> npt.NDArray[np.float32]:
    planes = frame.planes
    return np.stack(
        [np.frombuffer(planes[each], np.float32, frame.samples) for each in range(channels)]
    )


def _codec(av: Any, name: str) -> Any:
    try:
        return av.CodecContext.create(name, "w")
    except (ValueError, av.FFmpegError) as error:
        raise NoCodec(f"PyAV has no encoder {name}") from error
