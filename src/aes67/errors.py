"""The exceptions that cross package borders; a program error is an `assert`, never one of these."""

from __future__ import annotations


class Aes67Error(Exception):
    """Base of every error this package raises on purpose."""


class WireError(Aes67Error):
    """Bytes or text from a peer that do not follow their standard.

    `reason` says which rule was broken in words; `offset` is the byte (or, for text formats, the
    1-based line) at which it was noticed.
    """

    def __init__(self, reason: str, offset: int = 0) -> None:
        super().__init__(f"{reason} (at {offset})")
        self.reason = reason
        self.offset = offset


class Refused(Aes67Error):
    """A request that cannot be carried out: the field, the value it had and the rule it breaks.

    Nothing has changed when this is raised.
    """

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field} = {value!r}: {rule}")
        self.field = field
        self.value = value
        self.rule = rule
