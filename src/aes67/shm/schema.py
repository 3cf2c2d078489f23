"""How a record of shared memory is described: numpy makes its dtype of it, and C its struct."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["I16", "I32", "I64", "U16", "U32", "U64", "Field", "Struct"]

I64 = "<i8"
U64 = "<u8"
U32 = "<u4"
I32 = "<i4"
U16 = "<u2"
I16 = "<i2"


@dataclass(frozen=True)
class Field:
    """One field: its name, numpy type, offset in bytes, array length (1: scalar), meaning."""

    name: str
    type: str
    offset: int
    meaning: str
    count: int = 1


@dataclass(frozen=True)
class Struct:
    """A record of fixed size; `in_header` says whether C needs it."""

    name: str
    size: int
    meaning: str
    fields: tuple[Field, ...]
    in_header: bool = True

    @property
    def dtype(self) -> np.dtype[np.void]:
        """The numpy dtype with explicit offsets and item size."""
        formats = [(f.type, (f.count,)) if f.count > 1 else f.type for f in self.fields]
        return np.dtype(
            {
                "names": [f.name for f in self.fields],
                "formats": formats,
                "offsets": [f.offset for f in self.fields],
                "itemsize": self.size,
            }
        )

    def offset(self, name: str) -> int:
        """Offset in bytes of field `name`; KeyError when there is none."""
        for field in self.fields:
            if field.name == name:
                return field.offset
        raise KeyError(name)
