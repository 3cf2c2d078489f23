"""32-bit arithmetic in int64, as every kernel of this package needs it; no memory is touched here.

Kernels know int64 only (Numba turns uint64 with int64 into float64), so a 32-bit value is kept in
the low half of an int64 and brought back to a signed one before it is stored.
"""

from __future__ import annotations

from aes67.jit import kernel

MASK32 = 0xFFFF_FFFF
SIGN32 = 0x8000_0000
INT32_MAX = 0x7FFF_FFFF
INT32_MIN = -0x8000_0000


@kernel
def signed32(value: int) -> int:
    """The low 32 bits of `value` as a signed number: -2^31 to 2^31 - 1."""
    return ((value & MASK32) ^ SIGN32) - SIGN32


@kernel
def swapped32(value: int) -> int:
    """The low 32 bits of `value` with their bytes reversed: 0 to 2^32 - 1."""
    return (
        ((value >> 24) & 0xFF)
        | ((value >> 8) & 0xFF00)
        | ((value << 8) & 0xFF_0000)
        | ((value << 24) & 0xFF00_0000)
    )


@kernel
def unwrapped32(value: int, near: int) -> int:
    """The number equal to `value` modulo 2^32 that lies nearest to `near`."""
    return near + signed32(value - near)
