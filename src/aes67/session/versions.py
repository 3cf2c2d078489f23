"""Session versions of sources: they grow with every change, also over a restart."""

from __future__ import annotations

from collections.abc import Iterable

from aes67.session import identity


class Versions:
    """A counter that starts at the Unix time `start_s`; each source has its value at its change."""

    def __init__(self, start_s: int) -> None:
        self._counter = start_s
        self._at: dict[int, int] = {}

    def changed(self, numbers: Iterable[int]) -> None:
        """These sources were added or changed."""
        for number in numbers:
            self._counter += 1
            self._at[number] = self._counter

    def removed(self, number: int) -> None:
        """This source is gone."""
        self._at.pop(number, None)

    def version(self, number: int, address: str) -> int:
        """The session version of a source, 32 bits; `address` is ours."""
        return (identity.session_id(address, number) + self._at[number]) % 2**32
