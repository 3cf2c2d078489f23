"""Every master on the wire, in other domains too: the first thing to look at when nothing locks."""

from __future__ import annotations

from dataclasses import dataclass

from aes67.wire import ptp_header as h
from aes67.wire.ptp_messages import Announce, Message

CAPACITY = 32


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
    """At most CAPACITY of them, the longest silent one makes room."""

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
                del self.masters[min(self.masters, key=lambda k: self.masters[k].last_ns)]
            master = HeardMaster(header.domain, header.source.clock, source, now_ns)
            master.major_sdo = header.major_sdo
            self.masters[key] = master
        master.source = source
        master.last_ns = now_ns
        master.messages += 1
        if isinstance(message, Announce):
            master.announce = message

    def elsewhere(self, domain: int, now_ns: int, within_ns: int) -> list[HeardMaster]:
        """Masters of other domains or profiles heard in the last `within_ns`."""
        return [
            m
            for m in self.masters.values()
            if (m.domain != domain or m.major_sdo) and now_ns - m.last_ns <= within_ns
        ]
