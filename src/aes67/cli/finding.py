"""One thing `aes67 doctor` has looked at."""

from __future__ import annotations

from dataclasses import dataclass

GOOD, WARNING, BAD = "good", "warning", "bad"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: how it is, and what to do about it (empty when nothing)."""

    subject: str
    state: str
    words: str
    cure: str = ""
