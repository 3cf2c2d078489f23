"""What a node announces by SAP (RFC 2974), when, and how it takes it back; no socket, no clock.

A new or changed description goes out at once and then once an interval. What it replaces is deleted
three times: once before it, and once in each of the next two intervals, since SAP has no answer and
datagrams get lost. Datagrams leave one by one, never in a burst.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aes67.wire import sap

SECOND_NS = 1_000_000_000
PACE_NS = 5_000_000
"""Between two datagrams."""
DELETIONS = 3
AUTOMATIC_S = 300.0
"""RFC 2974, 3.1: the least interval; longer where all announcements need more than BANDWIDTH."""
BANDWIDTH = 4_000
"""Bits a second all announcements of a group may take (RFC 2974, 3.1)."""
MAX_WITHDRAWN = 256
"""Descriptions being deleted; beyond it the oldest is forgotten and expires at the listeners."""


@dataclass(frozen=True)
class _Announced:
    text: str
    origin: str
    message_hash: int

    def message(self, *, deletion: bool) -> bytes:
        payload = _origin_line(self.text) if deletion else self.text
        octets = payload.encode("utf-8", "surrogateescape")
        return sap.SapMessage(octets, self.origin, self.message_hash, deletion).pack()


@dataclass(eq=False)
class _Withdrawn:
    what: _Announced
    left: int = DELETIONS


class Announcer:
    """The announcements of one node to one group.

    Args:
        interval_s: between two announcements of a session, 0 for RFC 2974's rule.
        chance: gives a number from 0 to 1 (1 excluded), asked once for each automatic interval.
    """

    def __init__(self, interval_s: int, chance: Callable[[], float]) -> None:
        self.heard_bytes = 0
        """Size of everybody else's announcements, which the automatic interval counts in."""
        self._interval_s, self._chance = interval_s, chance
        self._current: dict[int, _Announced] = {}
        self._withdrawn: list[_Withdrawn] = []
        self._queue: deque[int | _Withdrawn] = deque()
        self._send_at = 0
        self._round_at: int | None = None
        self._out: list[bytes] = []

    def announce(self, sessions: Mapping[int, str], origin: str, now_ns: int) -> None:
        """Announce exactly these descriptions, by number, as coming from the address `origin`.

        What came from another address is deleted after the new is announced: a deletion then has
        another sender than its session, and is believed of who announces the same stream.
        """
        changed = [
            number
            for number, old in self._current.items()
            if sessions.get(number) != old.text or old.origin != origin
        ]
        for number in changed:
            self._withdraw(self._current.pop(number))
        for number, text in sessions.items():
            if number not in self._current:
                self._current[number] = self._announced(text, origin)
                self._enqueue(number)
        for moved in [each for each in self._withdrawn if each.what.origin != origin]:
            if moved in self._queue:
                self._queue.remove(moved)
                self._queue.append(moved)
        if self._round_at is None and (self._current or self._withdrawn):
            self._round_at = now_ns + self._interval_ns()

    def announce_again(self) -> None:
        """Announce everything now as well: somebody may listen who did not before."""
        for number in self._current:
            self._enqueue(number)

    def deletions(self) -> list[bytes]:
        """One deletion of everything, for a place that is left; nothing changes elsewhere."""
        what = [*self._current.values(), *(each.what for each in self._withdrawn)]
        return [each.message(deletion=True) for each in what]

    def change_interval(self, interval_s: int, now_ns: int) -> None:
        """Take another interval from now on."""
        if interval_s != self._interval_s:
            self._interval_s = interval_s
            if self._round_at is not None:
                self._round_at = now_ns + self._interval_ns()

    def handle_timer(self, now_ns: int) -> None:
        """Do what is due; a round that is late is not made up for."""
        if self._round_at is not None and now_ns >= self._round_at:
            self._round_at = now_ns + self._interval_ns()
            self._begin_round()
        while self._queue and now_ns >= self._send_at:
            if self._send(self._queue.popleft()):
                self._send_at = now_ns + PACE_NS

    def next_deadline(self) -> int | None:
        """When `handle_timer` has something to do; None when never."""
        times = [self._send_at] if self._queue else []
        if self._round_at is not None:
            times.append(self._round_at)
        return min(times, default=None)

    def outgoing(self) -> list[bytes]:
        """Datagrams to send now."""
        out, self._out = self._out, []
        return out

    def close(self) -> list[bytes]:
        """One deletion of everything, for the end."""
        deletions = self.deletions()
        self._current, self._withdrawn, self._round_at = {}, [], None
        self._queue.clear()
        self._out.clear()
        return deletions

    def _withdraw(self, what: _Announced) -> None:
        entry = _Withdrawn(what)
        self._withdrawn.append(entry)
        self._enqueue(entry)
        del self._withdrawn[:-MAX_WITHDRAWN]

    def _announced(self, text: str, origin: str) -> _Announced:
        """With a hash no other session of ours has, or has had a moment ago.

        The same description announced again is the old session, which is then not deleted.
        """
        for each in self._withdrawn:
            if each.what.text == text and each.what.origin == origin:
                self._withdrawn.remove(each)
                return each.what
        taken = {each.message_hash for each in self._current.values()}
        taken |= {each.what.message_hash for each in self._withdrawn}
        number = sap.message_hash(text.encode("utf-8", "surrogateescape"))
        while number in taken:
            number = number % 0xFFFF + 1
        return _Announced(text, origin, number)

    def _enqueue(self, item: int | _Withdrawn) -> None:
        if item not in self._queue:
            self._queue.append(item)

    def _begin_round(self) -> None:
        for withdrawn in self._withdrawn:
            self._enqueue(withdrawn)
        for number in self._current:
            self._enqueue(number)
        if not self._queue:
            self._round_at = None

    def _send(self, item: int | _Withdrawn) -> bool:
        """Send what was queued, unless it has changed its mind since."""
        if isinstance(item, int):
            if item not in self._current:
                return False
            self._out.append(self._current[item].message(deletion=False))
            return True
        if item not in self._withdrawn:
            return False
        self._out.append(item.what.message(deletion=True))
        item.left -= 1
        if item.left == 0:
            self._withdrawn.remove(item)
        return True

    def _interval_ns(self) -> int:
        if self._interval_s:
            return self._interval_s * SECOND_NS
        size = sum(len(each.message(deletion=False)) for each in self._current.values())
        seconds = max(AUTOMATIC_S, 8 * (size + self.heard_bytes) / BANDWIDTH)
        return int(seconds * (2 + 2 * self._chance()) / 3 * SECOND_NS)


def _origin_line(text: str) -> str:
    return next((f"{line}\n" for line in text.splitlines() if line.startswith("o=")), "o=\n")
