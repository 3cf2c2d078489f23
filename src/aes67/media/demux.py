"""From (media socket, destination address) to the sinks that want the datagram.

Open addressing in a small fixed table; a socket has one port, so the port needs no place in the
key. Several legs, of one sink or of many, may want the same address: they are chained.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes67.jit import kernel

Integers = npt.NDArray[np.int64]

TABLE_SIZE = 512
"""A power of two, four times the legs there can be."""
EMPTY = -1


@kernel
def place_of(socket: int, address: int) -> int:
    """Where the search for an address begins."""
    return (address ^ address >> 9 ^ address >> 18 ^ socket * 37) & (TABLE_SIZE - 1)


@kernel
def find(keys: Integers, heads: Integers, socket: int, address: int) -> int:
    """First leg of the chain for a destination address (host byte order), or EMPTY.

    Args:
        keys: TABLE_SIZE of them, `socket << 32 | address` or EMPTY.
        heads: first leg of each key's chain.
    """
    key = socket << 32 | address
    at = place_of(socket, address)
    for _ in range(TABLE_SIZE):
        if keys[at] == key:
            return int(heads[at])
        if keys[at] == EMPTY:
            return EMPTY
        at = (at + 1) & (TABLE_SIZE - 1)
    return EMPTY


@kernel
def insert(
    keys: Integers, heads: Integers, chain: Integers, socket: int, address: int, leg: int
) -> None:
    """Put a leg at the head of its address's chain; `chain[leg]` becomes the leg after it."""
    key = socket << 32 | address
    at = place_of(socket, address)
    while keys[at] != EMPTY and keys[at] != key:
        at = (at + 1) & (TABLE_SIZE - 1)
    chain[leg] = heads[at] if keys[at] == key else EMPTY
    keys[at] = key
    heads[at] = leg
