"""ADTS: the seven bytes before each frame of AAC that make a stream one can join anywhere."""

from __future__ import annotations

RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Sampling frequency index of ISO/IEC 14496-3, 1.6.3.4."""
HEADER_BYTES = 7
FRAME_BYTES_MAX = (1 << 13) - 1
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""Channels of a stream, and the arrangement that has them; the key gives the configuration."""

_AAC_LC = 1
_BUFFER_FULLNESS_VARIABLE = 0x7FF


def configuration(channels: int) -> int:
    """Channel configuration (ISO/IEC 14496-3, table 1.19); KeyError for a count without one."""
    if channels not in LAYOUTS:
        raise KeyError(channels)
    return 7 if channels == 8 else channels


def header(rate: int, channels: int, payload_bytes: int) -> bytes:
    """The header of one frame (ISO/IEC 13818-7, 6.2): MPEG-4, AAC-LC, no CRC, one block.

    Raises:
        ValueError: a rate or a length ADTS cannot state.
        KeyError: a channel count without a configuration.
    """
    length = payload_bytes + HEADER_BYTES
    if length > FRAME_BYTES_MAX:
        raise ValueError(f"a frame of {length} bytes")
    if rate not in RATES:
        raise ValueError(f"{rate} Hz")
    fields = (
        (0xFFF, 12),  # syncword
        (0, 1),  # ID: MPEG-4
        (0, 2),  # layer
        (1, 1),  # protection_absent
        (_AAC_LC, 2),
        (RATES.index(rate), 4),
        (0, 1),  # private_bit
        (configuration(channels), 3),
        (0, 4),  # original_copy, home, copyright
        (length, 13),
        (_BUFFER_FULLNESS_VARIABLE, 11),
        (0, 2),  # one raw data block
    )
    word = 0
    for value, bits in fields:
        word = word << bits | value
    return word.to_bytes(HEADER_BYTES, "big")
