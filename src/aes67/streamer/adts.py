"""ADTS: what stands before each frame of AAC so that a stream can be joined anywhere.

From six channels on the arrangements AAC has a number for make one channel a low-frequency channel,
which carries nothing above some hundred hertz. Ours have none, and say so in a program
configuration element before each frame.
"""

from __future__ import annotations

RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Sampling frequency index of ISO/IEC 14496-3, 1.6.3.4."""
HEADER_BYTES = 7
FRAME_BYTES_MAX = (1 << 13) - 1
LAYOUTS = {
    1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "hexagonal", 7: "7.0", 8: "octagonal",
    16: "hexadecagonal",
}  # fmt: skip
"""Channels of a stream, and the arrangement that has them, none of them a low-frequency one."""
NUMBERED_MOST = 5
"""Up to so many channels the header's channel configuration says which they are."""

_AAC_LC = 1
_ID_PCE = "101"
_BUFFER_FULLNESS_VARIABLE = 0x7FF


def configuration(channels: int) -> int:
    """Channel configuration (ISO/IEC 14496-3, table 1.19), 0 where an element says it; KeyError
    for a count without an arrangement."""
    if channels not in LAYOUTS:
        raise KeyError(channels)
    return channels if channels <= NUMBERED_MOST else 0


def program_config(specific: bytes) -> bytes:
    """The program configuration element to put before each frame (ISO/IEC 14496-3, 4.4.1.1), out
    of an encoder's AudioSpecificConfig; empty where the channel configuration says enough.

    Its last bytes are the encoder's name, which we leave out.

    Raises:
        ValueError: cut short.
    """
    bits = "".join(f"{each:08b}" for each in specific)
    if int(bits[9:13] or "0", 2):
        return b""
    element = bits[16:]  # type, rate, channels, and three flags of GASpecificConfig
    at = 10  # tag, object type, rate
    widths = (4, 4, 4, 2, 3, 4)
    counts = []
    for width in widths:
        counts.append(int(element[at : at + width] or "0", 2))
        at += width
    for width in (4, 4, 3):  # mixdowns
        at += 1 + (width if element[at : at + 1] == "1" else 0)
    front, side, back, low, data, coupling = counts
    at += 5 * (front + side + back + coupling) + 4 * (low + data)
    if len(element) < at:
        raise ValueError("an AudioSpecificConfig that is cut short")
    whole = _ID_PCE + element[:at]
    whole += "0" * (-len(whole) % 8) + "0" * 8  # no comment
    return int(whole, 2).to_bytes(len(whole) // 8, "big")


def header(rate: int, channels: int, payload_bytes: int) -> bytes:
    """The header of one frame (ISO/IEC 13818-7, 6.2): MPEG-4, AAC-LC, no CRC, one block.

    Raises:
        ValueError: a rate or a length ADTS cannot state.
        KeyError: a channel count without an arrangement.
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
