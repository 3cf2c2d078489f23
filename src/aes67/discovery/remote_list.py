"""The remote sources known now: bounded, each with an id of its own, and what has changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from aes67.discovery.remote import RemoteSource

MAX_SOURCES = 1024
MAX_OF_ONE_SENDER = 256

OriginKey = tuple[str, ...]
Key = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """A source was found, has another description, or is gone."""

    what: Literal["found", "changed", "lost"]
    source: RemoteSource


@dataclass
class Entry:
    """A remote source and who announces it; `message_hash` is that of SAP."""

    source: RemoteSource
    sender: str
    message_hash: int = 0
    gap_ns: int = 0
    """Between two announcements, 0 as long as one was heard."""

    @property
    def origin_key(self) -> OriginKey:
        """The o= line without its version."""
        origin = self.source.description.origin
        return origin.key if origin else ()

    @property
    def session(self) -> Key:
        """Announcer and session, whatever the hash."""
        return (self.source.kind, self.source.address, *self.origin_key)

    @property
    def version(self) -> int:
        """Of the session, 0 without an o= line."""
        origin = self.source.description.origin
        return origin.version if origin else 0


class RemoteList:
    """Entries by key, of which a sender has MAX_OF_ONE_SENDER at most."""

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}
        self._ids: set[str] = set()
        self._of_sender: Counter[str] = Counter()
        self._of_session: dict[Key, set[Key]] = {}
        """Entries by announcer and o= line without its version."""
        self._changes: list[Change] = []

    def take_changes(self) -> list[Change]:
        """What has changed since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def of_session(self, session: Key) -> set[Key]:
        """Keys of the entries announced by SAP with this `Entry.session`."""
        return self._of_session.get(session, set())

    def has_room(self, sender: str) -> bool:
        """Whether one more of this sender is taken."""
        if len(self.entries) >= MAX_SOURCES:
            return False
        return self._of_sender.get(sender, 0) < MAX_OF_ONE_SENDER

    def move(self, entry: Entry, sender: str) -> None:
        """Its announcer is another: copies over several interfaces come from several addresses."""
        if entry.sender == sender:
            return
        self._of_sender -= Counter((entry.sender,))
        entry.sender = sender
        self._of_sender[sender] += 1

    def new_id(self, wanted: str, instead: str = "") -> str:
        """An id nobody else has, `wanted` if it is free; `instead` is given back."""
        self._ids.discard(instead)
        number, found = 1, wanted
        while found in self._ids:
            number += 1
            found = f"{wanted}.{number}"
        self._ids.add(found)
        return found

    def add(self, key: Key, entry: Entry) -> None:
        """A source was found; `has_room` has said yes."""
        self.entries[key] = entry
        self._of_sender[entry.sender] += 1
        if entry.source.kind == "SAP":
            self._of_session.setdefault(entry.session, set()).add(key)
        self._changes.append(Change("found", entry.source))

    def changed(self, entry: Entry) -> None:
        """A source has another description."""
        self._changes.append(Change("changed", entry.source))

    def remove(self, key: Key) -> None:
        """A source is gone."""
        entry = self.entries.pop(key)
        self._ids.discard(entry.source.id)
        self._of_sender -= Counter((entry.sender,))
        if entry.source.kind == "SAP":
            self._of_session[entry.session].discard(key)
            if not self._of_session[entry.session]:
                del self._of_session[entry.session]
        self._changes.append(Change("lost", entry.source))
