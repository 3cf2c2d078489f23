"""An audio stream as a session description offers it: legs, format, clocks and packet time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from aes67.wire.sdp_attributes import MediaClock, RefClock, RtpMap

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

LINEAR_ENCODINGS = ("L16", "L24", "AM824")
"""Encodings chosen first when an m= line offers several payload types."""


@dataclass(frozen=True)
class Leg:
    """Where one copy of the stream is sent to (ST 2022-7 calls two of them a seamless pair).

    `ttl` is None when not given (unicast, IPv6). `included` are the only senders allowed, empty:
    any; `excluded` the senders refused. `mid` names the m= block.
    """

    address: str
    port: int
    ttl: int | None = None
    address_type: str = "IP4"
    included: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    mid: str | None = None


@dataclass(frozen=True)
class AudioStream:
    """One audio stream of a description.

    Attributes:
        legs: one, or those of its DUP group in the group's order.
        formats: every payload type that has a meaning, in the order of the m= line.
        ptime, maxptime: ms, exact as written; None when not given.
        framecount: frames in a packet as RAVENNA devices write it.
        media_clock, ref_clocks, clock_domain: as given at media level, else at session level.
        sync_time: RTP timestamp at the epoch, RAVENNA's older way to say mediaclk:direct.
        fmtp: format parameters of `payload_type` by lower-case name.
        information: the i= line, where Dante and PipeWire name the channels.
        number: line of its first m= line.
    """

    legs: tuple[Leg, ...]
    formats: tuple[RtpMap, ...]
    protocol: str
    ptime: Fraction | None
    maxptime: Fraction | None
    framecount: int | None
    media_clock: MediaClock | None
    sync_time: int | None
    ref_clocks: tuple[RefClock, ...]
    clock_domain: str | None
    direction: Direction
    fmtp: dict[str, str]
    information: str | None
    number: int

    @property
    def format(self) -> RtpMap:
        """The payload type to receive: the first linear one, else the first."""
        return preferred(self.formats)

    @property
    def payload_type(self) -> int:
        """RTP payload type, 0 to 127."""
        return self.format.payload_type

    @property
    def encoding(self) -> str:
        """Encoding name in upper case, as `L24`."""
        return self.format.encoding.upper()

    @property
    def rate(self) -> int:
        """Sample rate in Hz."""
        return self.format.rate

    @property
    def channels(self) -> int:
        """Channel count, 1 to 1024; 1 when the rtpmap gives none."""
        return self.format.channels

    @property
    def channel_order(self) -> str | None:
        """`channel-order` of ST 2110-30, as `SMPTE2110.(ST)`."""
        return self.fmtp.get("channel-order")

    @property
    def frames_per_packet(self) -> int | None:
        """Frames in a packet, None when the description does not say (ffmpeg, VLC).

        ptime is a rounded decimal (AES67 writes 0.33 for 16 frames at 48 kHz and 1.09 for 48 at
        44.1 kHz), so the nearest whole count is taken; a framecount that rounds to the same ptime
        decides. Sources at 44.1, 88.2 ... kHz often give the packet time they would have at 48,
        96 ... kHz: only a framecount can tell, so there it is believed as well.
        """
        if self.ptime is None:
            return self.framecount
        exact = self.ptime * self.rate / 1000
        if self.framecount is not None:
            nominal = exact * 480 / 441 if self.rate % 11_025 == 0 else exact
            if min(abs(exact - self.framecount), abs(nominal - self.framecount)) < 1:
                return self.framecount
        return max(1, round(exact))

    @property
    def timestamp_offset(self) -> int | None:
        """RTP timestamp at the epoch, modulo 2^32; None when the description does not say.

        `mediaclk:direct` (RFC 7273) wins over RAVENNA's `sync-time`.
        """
        if self.media_clock is not None and self.media_clock.offset is not None:
            return self.media_clock.offset
        return self.sync_time


def preferred(formats: tuple[RtpMap, ...]) -> RtpMap:
    """The format to receive of those offered: the first linear one, else the first."""
    linear = (each for each in formats if each.encoding.upper() in LINEAR_ENCODINGS)
    return next(linear, formats[0])
