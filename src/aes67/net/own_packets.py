"""A socket's own multicast packets come back to it: a filter in the kernel spares their reading.

They cannot be turned off at the sender (`net.loop_back`) while another PTP stack on this host is to
hear them.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct

SO_ATTACH_FILTER = 26
UDP_HEADER = 8
SOURCE = 20
"""Where a PTP message names the port that sent it (1588 13.3.1): eight bytes and the number."""
IDENTITY = struct.Struct(">IIH")

_LENGTH, _WORD, _HALF = 0x80, 0x20, 0x28
_AT_LEAST, _EQUAL, _RETURN = 0x35, 0x15, 0x06
_INSTRUCTION = struct.Struct("HBBI")
_WHOLE = 0xFFFFFFFF


def drop_own(each: socket.socket, clock_identity: bytes, port_number: int) -> None:
    """Let a UDP socket receive no PTP message that this very port has sent.

    A kernel without socket filters changes nothing: who sent a message is looked at anyway.
    """
    start = UDP_HEADER + SOURCE
    high, low, number = IDENTITY.unpack(clock_identity + port_number.to_bytes(2, "big"))
    program = (
        (_LENGTH, 0, 0, 0),
        (_AT_LEAST, 0, 6, start + IDENTITY.size),  # shorter ones are counted as malformed
        (_WORD, 0, 0, start),
        (_EQUAL, 0, 4, high),
        (_WORD, 0, 0, start + 4),
        (_EQUAL, 0, 2, low),
        (_HALF, 0, 0, start + 8),
        (_EQUAL, 1, 0, number),
        (_RETURN, 0, 0, _WHOLE),
        (_RETURN, 0, 0, 0),
    )
    code = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*line) for line in program))
    described = struct.pack("HP", len(program), ctypes.addressof(code))
    with contextlib.suppress(OSError):
        each.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)
