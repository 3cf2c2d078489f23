"""What the engine says: of itself, once it is there, and to whom it says the rest."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aes67.errors import Refused


@dataclass(frozen=True)
class Hello:
    """What an engine says of itself.

    `serial` is that of the table in force, 0 without one; `realtime` says whether the tick runs
    with real-time priority; `controls` are the volumes, None when nobody has set any yet;
    `sender_name` is that of the plan in force (`session.sender_name`), empty without one.
    """

    generation: int
    serial: int
    realtime: bool
    warnings: tuple[str, ...]
    controls: dict[str, Any] | None
    sender_name: str = ""

    @classmethod
    def read(cls, fields: dict[str, Any]) -> Hello:
        """From the fields of its `hello` message."""
        return cls(
            generation=int(fields["generation"]),
            serial=int(fields["serial"]),
            realtime=bool(fields["realtime"]),
            warnings=tuple(fields["warnings"]),
            controls=fields.get("controls"),
            sender_name=str(fields.get("sender_name", "")),
        )


@dataclass(frozen=True)
class Callbacks:
    """What the link calls, on the loop; none of them may block."""

    connected: Callable[[Hello], None] = lambda hello: None
    disconnected: Callable[[], None] = lambda: None
    ptp: Callable[[dict[str, Any]], None] = lambda snapshot: None
    """The clock's snapshot, at each change and once a second."""
    second_clock: Callable[[dict[str, Any] | None], None] = lambda snapshot: None
    """The second clock's, the same; None once there is none any more."""
    second_page: Callable[[int], None] = os.close
    """Descriptor of the second clock's page, to be taken over; WireError if it is none."""
    network: Callable[[dict[str, Any]], None] = lambda network: None
    """Interfaces as the engine knows them, at each change and once a second."""
    pcms: Callable[[list[dict[str, Any]]], None] = lambda pcms: None
    controls: Callable[[dict[str, Any]], None] = lambda controls: None
    """Volumes and switches, after an application changed them and after connecting."""
    rate_request: Callable[[int], None] = lambda rate: None
    """Answer by `apply` with a plan of that rate, or by `refuse_rate`."""
    bus: Callable[[], None] = lambda: None
    """There is another capture bus."""
    plan_refused: Callable[[Refused], None] = lambda refused: None
    """A restarted engine does not take the plan its predecessor ran."""
