"""Memory behind descriptors: what one side does to it while the other has it mapped."""

from __future__ import annotations

import os

import pytest

from aes67.errors import WireError
from aes67.shm.layout import PAGE_BYTES
from aes67.shm.region import attach, create

SIZE = 16 * PAGE_BYTES


def test_discarded_memory_is_free_though_it_is_mapped() -> None:
    """A client that never lets go of what it was given cannot use memory up."""
    region = create("region", SIZE, read_only_for_others=False)
    client = attach(os.dup(region.fd), writable=True)
    region.map[:] = b"x" * SIZE
    assert client.map[SIZE - 1] == ord("x")
    assert os.fstat(client.fd).st_blocks * 512 == SIZE
    region.discard()
    assert os.fstat(client.fd).st_blocks == 0
    assert os.fstat(client.fd).st_size == SIZE
    assert client.map[:] == bytes(SIZE)
    region.close()
    client.close()


def test_nobody_can_resize_it() -> None:
    region = create("region", SIZE, read_only_for_others=False)
    for size in (0, SIZE - 1, SIZE + 1):
        with pytest.raises(PermissionError):
            os.ftruncate(region.fd, size)
    region.close()


def test_empty_memory_is_refused() -> None:
    with pytest.raises(WireError, match="empty"):
        attach(os.memfd_create("empty"))
