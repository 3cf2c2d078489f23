"""Every master on the wire, in other domains too: the first thing to look at when nothing locks."""

from __future__ import annotations

from dataclasses import dataclass

from aes67.clock.timebase import NS
from aes67.wire import ptp_header as h
from aes67.wire.ptp_messages import Announce, Message

CAPACITY = 32
SILENT_NS = 60 * NS
FAMILIAR = 16
"""Messages after which one master is as well known as another."""


@dataclass(slots=True)
class HeardMaster:
    """A sender of Announce, Sync or Follow_Up in some domain."""

    domain: int
    clock: bytes
    source: str
    last_ns: int
    major_sdo: int = 0
    messages: int = 0
    announce: Announce | None = None


class Heard:
    """At most CAPACITY of them; who was hardly heard makes room, or has been silent for long."""

    def __init__(self) -> None:
        self.masters: dict[tuple[int, int, bytes], HeardMaster] = {}

    def note(self, message: Message, source: str, now_ns: int) -> None:
        """Note a message of a master; messages of slaves are passed over."""
        header = message.header
        if header.message_type not in (h.ANNOUNCE, h.SYNC, h.FOLLOW_UP):
            return
        key = (header.major_sdo, header.domain, header.source.clock)
        master = self.masters.get(key)
        if master is None:
            if len(self.masters) >= CAPACITY:
                self._make_room(now_ns)
            master = HeardMaster(header.domain, header.source.clock, source, now_ns)
            master.major_sdo = header.major_sdo
            self.masters[key] = master
        master.source = source
        master.last_ns = now_ns
        master.messages += 1
        if isinstance(message, Announce):
            master.announce = message

    def again(self, key: tuple[int, int, bytes], source: str, now_ns: int) -> bool:
        """Note a message, no Announce, of (majorSdoId, domain, clock); False: never heard."""
        master = self.masters.get(key)
        if master is None:
            return False
        master.source = source
        master.last_ns = now_ns
        master.messages += 1
        return True

    def _make_room(self, now_ns: int) -> None:
        def worth(key: tuple[int, int, bytes]) -> tuple[bool, int, int]:
            master = self.masters[key]
            recent = now_ns - master.last_ns <= SILENT_NS
            return recent, min(master.messages, FAMILIAR), master.last_ns

        del self.masters[min(self.masters, key=worth)]

    def here(
        self, domain: int, now_ns: int, within_ns: int, major_sdo: int = 0
    ) -> list[HeardMaster]:
        """Masters of this domain and profile heard in the last `within_ns`."""
        return [
            m
            for m in self.masters.values()
            if (m.domain, m.major_sdo) == (domain, major_sdo) and now_ns - m.last_ns <= within_ns
        ]

    def elsewhere(
        self, domain: int, now_ns: int, within_ns: int, major_sdo: int = 0
    ) -> list[HeardMaster]:
        """Masters of other domains or profiles heard in the last `within_ns`."""
        return [
            m
            for m in self.masters.values()
            if (m.domain, m.major_sdo) != (domain, major_sdo) and now_ns - m.last_ns <= within_ns
        ]
