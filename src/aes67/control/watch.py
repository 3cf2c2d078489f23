"""What changes, for those who watch: the snapshot cut into parts, and which parts are new to whom.

One comparison of snapshots serves all watchers. Each is told parts, not changes: of a part that
changed three times while a watcher was slow it gets the newest only, so nothing queues up, and one
who missed many gets a new snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from aes67.session.events import Event

PERIOD_SECONDS = 1.0
"""Between two looks while nothing is known to have happened: counters, meters, the clock."""
SETTLE_SECONDS = 0.02
PARTS_MAX = 32
"""Who has missed more than so many parts gets a snapshot instead."""

Part = tuple[str, int]
"""Kind of a message, and the id of the source or sink it is about (else -1)."""
WHOLE = -1


def parts(status: dict[str, Any], remote: list[dict[str, Any]]) -> dict[Part, Any]:
    """The snapshot's parts; the counters apart, since they change whenever one looks."""
    engine = dict(status["engine"])
    counters: dict[str, Any] = {"engine": engine.pop("counters"), "sources": {}, "sinks": {}}
    found: dict[Part, Any] = {}
    for kind, plural in (("source", "sources"), ("sink", "sinks")):
        for view in status[plural]:
            number = view["id"]
            counters[plural][str(number)] = view["counters"]
            found[(kind, number)] = {k: v for k, v in view.items() if k != "counters"}
    clock = {k: v for k, v in status["clock"].items() if k != "page"}
    known = {"engine": engine, "clock": clock, "remote_sources": remote, "counters": counters}
    others = {k: v for k, v in status.items() if k not in ("engine", "clock", "sources", "sinks")}
    for kind in ("version", "node_id"):
        others.pop(kind, None)
    for kind, value in (known | others).items():
        found[(kind, WHOLE)] = value
    return found


def differing(old: dict[Part, Any], new: dict[Part, Any]) -> set[Part]:
    """Parts that came, went or changed."""
    return {part for part in old.keys() | new.keys() if old.get(part) != new.get(part)}


def steady(remote: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Remote sources without the age that changes every second."""
    return [{k: v for k, v in each.items() if k != "last_seen"} for each in remote]


class Watcher:
    """One who watches: `next` gives what to tell it."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._missed: set[Part] = set()
        self._behind = True
        self._wake = asyncio.Event()
        self._wake.set()
        self.serial = 0

    def missed(self, changed: set[Part]) -> None:
        """These parts are new."""
        if self._behind or not changed:
            return
        self._missed |= changed
        if len(self._missed) > PARTS_MAX:
            self._behind = True
            self._missed.clear()
        self._wake.set()

    async def next(self) -> list[dict[str, Any]]:
        """The next messages, as soon as there are any; the first is a snapshot."""
        await self._wake.wait()
        self._wake.clear()
        missed, self._missed = self._missed, set()
        if self._behind:
            snapshot = self._watch.snapshot()
            self._behind = False  # not before: what it finds to be new is in it
            return [self._numbered(snapshot)]
        return [self._numbered(self._watch.message(part)) for part in sorted(missed)]

    def _numbered(self, message: dict[str, Any]) -> dict[str, Any]:
        self.serial += 1
        return {"type": message["type"], "serial": self.serial} | message


class Watch:
    """Looks at the node while anybody watches.

    Args:
        status: the snapshot.
        remote: the remote sources.
        config: all parameters.
    """

    def __init__(
        self,
        status: Callable[[], dict[str, Any]],
        remote: Callable[[], list[dict[str, Any]]],
        config: Callable[[], dict[str, Any]],
    ) -> None:
        self._status, self._remote, self._config = status, remote, config
        self._current: dict[Part, Any] = {}
        self._watchers: set[Watcher] = set()
        self._task: asyncio.Task[None] | None = None
        self._happened = asyncio.Event()

    def __len__(self) -> int:
        return len(self._watchers)

    def happened(self, event: Event) -> None:
        """Something changed: look at once."""
        self._happened.set()

    def begin(self) -> Watcher:
        """A new watcher."""
        watcher = Watcher(self)
        self._watchers.add(watcher)
        if self._task is None:
            self._task = asyncio.create_task(self._look_again_and_again())
        return watcher

    def end(self, watcher: Watcher) -> None:
        """A watcher has gone."""
        self._watchers.discard(watcher)
        if not self._watchers and self._task is not None:
            self._task.cancel()
            self._task = None

    def snapshot(self) -> dict[str, Any]:
        """Everything now; it becomes what further changes are measured by."""
        self.look()
        return {
            "type": "snapshot",
            "status": self._status(),
            "config": self._config(),
            "remote_sources": self._remote(),
        }

    def message(self, part: Part) -> dict[str, Any]:
        """The newest value of a part; null when there is none any more."""
        kind, number = part
        about = {} if number == WHOLE else {"id": number}
        return {"type": kind, **about, "value": self._current.get(part)}

    def look(self) -> None:
        """Compare with what was, and tell the watchers."""
        new = parts(self._status(), steady(self._remote()))
        new["config", WHOLE] = self._config()
        changed, self._current = differing(self._current, new), new
        for watcher in self._watchers:
            watcher.missed(changed)

    async def _look_again_and_again(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PERIOD_SECONDS):
                    await self._happened.wait()
                    await asyncio.sleep(SETTLE_SECONDS)
            self._happened.clear()
            self.look()
