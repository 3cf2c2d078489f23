"""Memory that is there before the tick needs it, whatever the size of the machine's pages."""

from __future__ import annotations

import mmap
import os
from typing import cast

import pytest

from aes67.engine.memory import populate
from aes67.shm.layout import PAGE_BYTES
from aes67.shm.region import Region, create

KIB = 1024


class Asked:
    """In the place of a mapping: notes what the kernel would be asked for."""

    def madvise(self, advice: int, start: int, length: int) -> None:
        self.start, self.end = start, start + length


@pytest.mark.parametrize("page", [4 * KIB, 16 * KIB, 64 * KIB])
@pytest.mark.parametrize("row", [0, 1, 7])
def test_the_kernel_is_asked_for_whole_pages_that_hold_a_row(
    page: int, row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """madvise(2) refuses an address that is not a multiple of the machine's page size."""
    monkeypatch.setattr(mmap, "PAGESIZE", page)
    asked, row_bytes = Asked(), 128 * KIB
    begin = PAGE_BYTES + row * row_bytes
    populate(Region(-1, PAGE_BYTES + 8 * row_bytes, cast(mmap.mmap, asked)), begin, row_bytes)
    assert asked.start % page == 0
    assert begin - page < asked.start <= begin
    assert asked.end == begin + row_bytes


def test_a_row_is_present_after_populating_it() -> None:
    """On this machine, with the pages it has: a memfd has no hole there any more."""
    row_bytes = 128 * KIB
    region = create("test-rows", PAGE_BYTES + 4 * row_bytes, read_only_for_others=True)
    try:
        begin = PAGE_BYTES + 2 * row_bytes
        populate(region, begin, row_bytes)
        assert os.lseek(region.fd, begin, os.SEEK_DATA) == begin
        assert os.lseek(region.fd, begin, os.SEEK_HOLE) >= begin + row_bytes
    finally:
        region.close()
