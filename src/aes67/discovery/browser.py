"""The list of remote sources: what SAP datagrams and mDNS say there is; no socket, no clock.

RFC 2974 names a session by announcer and 16-bit hash. Hashes collide (one set of 64 sources in
fifteen) and some senders always write 0, so here a session is named by announcer, hash and the o=
line without its version, and where the hash is 0 also by its name. A description that changes under
the same name replaces the old one; one with a larger version under another hash supersedes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from aes67.discovery.remote import SECOND_NS, RemoteSource, mdns_id, readable, sap_id
from aes67.discovery.remote_list import Change, Entry, Key, OriginKey, RemoteList
from aes67.errors import WireError
from aes67.wire import sap, sdp
from aes67.wire.sdp_fields import read_origin

MAX_SDP_BYTES = 16_384
PERIODS = 10
"""A source not heard of for this many of its periods is gone (RFC 2974, 4)."""
DEFAULT_PERIOD_S = 300
LEAST_S, MOST_S = 60, 86_400
"""Bounds of the time after which a source is gone, in seconds."""
UNMEASURED_S = 3_600
"""The least such time (RFC 2974, 4) as long as it was heard only once."""
DUPLICATE_NS = SECOND_NS // 2
"""Closer than this are copies of one announcement, from two interfaces or two groups."""

class Browser:
    """Remote sources. `period_s`: the period taken for a source heard once, 0 for the usual one."""

    def __init__(self, period_s: int = 0) -> None:
        self.period_s = period_s
        self.counters: Counter[str] = Counter()
        """Datagrams: received, malformed, refused (no room), foreign (no session description)."""
        self._list = RemoteList()

    @property
    def announced_bytes(self) -> int:
        """Size of all descriptions announced by SAP now."""
        entries = self._list.entries.values()
        return sum(len(each.source.sdp) + 24 for each in entries if each.source.kind == "SAP")

    def sources(self) -> list[RemoteSource]:
        """All of them, by name."""
        found = (each.source for each in self._list.entries.values())
        return sorted(found, key=lambda each: (each.name, each.id))

    def changes(self) -> list[Change]:
        """What has changed since the last call."""
        return self._list.take_changes()

    # SAP

    def receive(self, data: bytes, sender: str, now_ns: int) -> None:
        """A datagram from the address `sender`; whatever is in it, this does not raise."""
        self.counters["received"] += 1
        try:
            message = sap.parse(data)
            if message.payload_type and message.payload_type.strip().lower() != sap.SDP_TYPE:
                self.counters["foreign"] += 1
            elif message.deletion:
                self._delete(message, sender)
            else:
                self._announce(message, sender, now_ns)
        except WireError:
            self.counters["malformed"] += 1

    def _announce(self, message: sap.SapMessage, sender: str, now_ns: int) -> None:
        text = readable(message.payload)
        if len(message.payload) > MAX_SDP_BYTES:
            raise WireError("session description longer than what is kept")
        description = sdp.parse(text)
        key = _sap_key(message, description)
        entry = self._list.entries.get(key)
        if entry is not None:
            self._heard_again(entry, text, description, now_ns)
            self._list.move(entry, sender)
        elif self._list.has_room(sender):
            source = RemoteSource(
                kind="SAP",
                id=self._list.new_id(sap_id(message.origin, message.message_hash)),
                name=description.name,
                domain="",
                address=message.origin,
                sdp=text,
                description=description,
                seen_ns=now_ns,
                period_s=self.period_s or DEFAULT_PERIOD_S,
            )
            self._list.add(key, Entry(source, sender, message.message_hash))
        else:
            self.counters["refused"] += 1
            return
        self._supersede(key)

    def _heard_again(
        self, entry: Entry, text: str, description: sdp.SessionDescription, now_ns: int
    ) -> None:
        gap = now_ns - entry.source.seen_ns
        changed = text != entry.source.sdp
        if gap < DUPLICATE_NS and not changed:
            return
        if not changed:
            # A lost announcement doubles the gap, several sent at a change shorten it.
            entry.gap_ns = gap if gap > entry.gap_ns else (3 * entry.gap_ns + gap) // 4
        period = self.period_s or DEFAULT_PERIOD_S
        if entry.gap_ns:
            period = max(1, round(entry.gap_ns / SECOND_NS))
        entry.source = replace(
            entry.source,
            name=description.name,
            sdp=text,
            description=description,
            seen_ns=now_ns,
            period_s=period,
        )
        if changed:
            self._list.changed(entry)

    def _supersede(self, key: Key) -> None:
        """Drop older versions of the same session under other hashes: their deletion got lost."""
        entry = self._list.entries[key]
        if not entry.origin_key:
            return
        for other in self._list.of_session(entry.session) - {key}:
            older = self._list.entries[other]
            same = entry.message_hash != 0 or older.source.name == entry.source.name
            if same and older.version < entry.version:
                self._list.remove(other)

    def _delete(self, message: sap.SapMessage, sender: str) -> None:
        origin_key, name = _named_by(message.payload)
        found = []
        for key, entry in self._list.entries.items():
            if entry.source.kind != "SAP" or entry.source.address != message.origin:
                continue
            if entry.message_hash != message.message_hash:
                continue
            if origin_key and entry.origin_key != origin_key:
                continue
            if message.message_hash == 0 and name is not None and entry.source.name != name:
                continue
            found.append(key)
        if len(found) != 1:
            return  # unknown, or it could be any of several: those that are over expire
        known = sender in (self._list.entries[found[0]].sender, message.origin)
        if not known and not self._has_moved_to(found[0], sender):
            self.counters["foreign"] += 1
            return
        self._list.remove(found[0])

    def _has_moved_to(self, key: Key, sender: str) -> bool:
        """Whether `sender` announces the same stream: a node whose address has changed cannot send
        its deletions from the old one."""
        stream = _stream_lines(self._list.entries[key].source.sdp)
        return bool(stream) and any(
            each.sender == sender and _stream_lines(each.source.sdp) == stream
            for other, each in self._list.entries.items()
            if other != key and each.source.kind == "SAP"
        )

    # mDNS

    def found(self, name: str, domain: str, address: str, text: str, now_ns: int) -> None:
        """A service instance was described, for the first time or anew.

        Raises:
            WireError: the description cannot be read, or is too long.
        """
        if len(text) > MAX_SDP_BYTES:
            raise WireError("session description longer than what is kept")
        description = sdp.parse(text)
        key = ("mDNS", name, domain)
        before = self._list.entries.get(key)
        if before is None and not self._list.has_room(address):
            self.counters["refused"] += 1
            return
        source = RemoteSource(
            kind="mDNS",
            id=self._list.new_id(mdns_id(text), before.source.id if before else ""),
            name=name,
            domain=domain,
            address=address,
            sdp=text,
            description=description,
            seen_ns=now_ns,
        )
        if before is None:
            self._list.add(key, Entry(source, address))
        else:
            changed = before.source.sdp != text
            before.source = source
            self._list.move(before, address)
            if changed:
                self._list.changed(before)

    def lost(self, name: str, domain: str) -> None:
        """A service instance is gone."""
        if ("mDNS", name, domain) in self._list.entries:
            self._list.remove(("mDNS", name, domain))

    def forget(self, kind: Literal["SAP", "mDNS"]) -> None:
        """Everything found in one way is gone, since that way is closed."""
        for key in [key for key, each in self._list.entries.items() if each.source.kind == kind]:
            self._list.remove(key)

    # time

    def handle_timer(self, now_ns: int) -> None:
        """Drop what has not been heard of for too long."""
        for key, expiry in list(self._expiries()):
            if now_ns >= expiry:
                self._list.remove(key)

    def next_deadline(self) -> int | None:
        """When the next source is gone if it stays silent; None without SAP sources."""
        return min((expiry for _, expiry in self._expiries()), default=None)

    def _expiries(self) -> Iterator[tuple[Key, int]]:
        usual = self.period_s or DEFAULT_PERIOD_S
        for key, entry in self._list.entries.items():
            if entry.source.kind == "SAP":
                seconds = PERIODS * max(entry.source.period_s, usual)
                least = LEAST_S if entry.gap_ns else UNMEASURED_S
                seconds = min(max(seconds, least), MOST_S)
                yield key, entry.source.seen_ns + seconds * SECOND_NS

def _sap_key(message: sap.SapMessage, description: sdp.SessionDescription) -> Key:
    origin = description.origin.key if description.origin else ()
    name = (description.name,) if message.message_hash == 0 else ()
    return ("SAP", message.origin, str(message.message_hash), *origin, *name)


def _stream_lines(text: str) -> list[str]:
    """What a stream is on the wire, whoever sends it: destination, port, format."""
    kinds = ("m=", "c=", "a=rtpmap:")
    return [line.strip() for line in text.splitlines() if line.startswith(kinds)]


def _named_by(payload: bytes) -> tuple[OriginKey, str | None]:
    """What a deletion says of its session: the o= line without version and the name, if it does."""
    key: OriginKey = ()
    name = None
    for line in readable(payload).splitlines():
        if line.startswith("o=") and not key:
            origin = read_origin(line[2:].strip(), 1)
            key = origin.key if origin else ()
        elif line.startswith("s=") and name is None:
            name = line[2:].strip()
    return key, name
