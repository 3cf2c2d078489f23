"""The engine's clock page and counters as plain dictionaries, read from its shared memory.

Reading never disturbs the engine and works on after its death, when the numbers simply stand still.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from aes67.errors import WireError
from aes67.services.leg_counters import legs_of, summary
from aes67.shm.layout import (
    CLOCK,
    CLOCK_MAGIC,
    RATE_FRACTION_BITS,
    TELEMETRY_MAGIC,
    VERSION_MAJOR,
    telemetry_offsets,
)
from aes67.shm.region import Region, attach, telemetry_views

SEQLOCK_TRIES = 100
ROW_TRIES = 3
_MEDIA_FIELDS = (
    "raw_ns", "media_ns", "rate_q40", "epoch", "state", "uncertainty_ns", "session_epoch",
)
_MONO_FIELDS = ("mono_ns", "mono_raw_ns", "tick_ns", "late_max_ns")
_ROW_KEYS = {
    "sources": "identity", "sinks": "identity", "pcms": "stream_id", "legs": "identity",
}  # fmt: skip


class EngineMemory:
    """Both read-only mappings of one engine.

    Args:
        clock_fd: descriptor of the clock page; taken over, as is the next.
        telemetry_fd: descriptor of the counters.

    Raises:
        WireError: it is not the memory of an engine of our version.
        OSError: it cannot be mapped.
    """

    def __init__(self, clock_fd: int, telemetry_fd: int) -> None:
        self._clock = attach(clock_fd)
        try:
            self._telemetry = attach(telemetry_fd)
        except BaseException:
            self._clock.close()
            raise
        try:
            _check(self._clock, CLOCK.size)
            _check(self._telemetry, telemetry_offsets()["total"])
            self._page = self._clock.view(CLOCK)
            self._views = telemetry_views(self._telemetry)
            if int(self._page[0]["magic"]) != CLOCK_MAGIC:
                raise WireError("clock page has another magic")
            if int(self._page[0]["major"]) != VERSION_MAJOR:
                raise WireError(f"clock page has version {int(self._page[0]['major'])}")
            if int(self._views["engine"][0]["magic"]) != TELEMETRY_MAGIC:
                raise WireError("counters have another magic")
        except WireError:
            self.close()
            raise
        self._stable: dict[str, dict[str, int]] = {}

    @property
    def clock_descriptor(self) -> int:
        """Of the clock page, for passing on; it stays ours."""
        return self._clock.fd

    def close(self) -> None:
        """Give the descriptors back; the mappings go with this object."""
        self._clock.close()
        self._telemetry.close()

    def read(self) -> dict[str, Any]:
        """One snapshot: `clock` and `engine` as a dictionary of integers each; `sources`, `sinks`
        (by id) and `pcms` (by slot) as dictionaries of such dictionaries, rows in use only; `legs`
        as lists, by sink, of the dictionaries of each leg, with `lost`, and `gaps` as a list.

        Names and units are those of `shm.layout`. Each number is whole; numbers of one row may be
        a tick apart. `clock` has two more: `media_now_ns`, and `heartbeat_age_ns`, the time since
        the tick's latest wake-up.
        """
        snapshot: dict[str, Any] = {
            "clock": self._read_clock(),
            "engine": _as_dict(self._views["engine"][0]),
        }
        for section, key in _ROW_KEYS.items():
            view = self._views[section]
            used = np.flatnonzero(view[key])
            rows = {int(index): _read_row(view, int(index), key) for index in used}
            snapshot[section] = {index: row for index, row in rows.items() if row[key] != 0}
        legs = snapshot["legs"]
        snapshot["legs"] = {number: legs_of(number, legs) for number in snapshot["sinks"]}
        for number, row in snapshot["sinks"].items():
            row |= summary(snapshot["legs"][number])
        return snapshot

    def _read_clock(self) -> dict[str, int]:
        mono_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        media = self._read_record("media_seq", _MEDIA_FIELDS)
        mono = self._read_record("mono_seq", _MONO_FIELDS)
        raw_ns = mono_ns + mono["mono_raw_ns"] - mono["mono_ns"]
        return {
            "generation": int(self._page[0]["generation"]),
            **media,
            **mono,
            "bus_done": int(self._page[0]["bus_done"]),
            "media_now_ns": _time_at(media, raw_ns),
            "heartbeat_age_ns": mono_ns - mono["mono_ns"],
        }

    def _read_record(self, lock: str, fields: tuple[str, ...]) -> dict[str, int]:
        return _read_locked(self._page[0], lock, fields, self._stable)


class SecondPage:
    """The read-only mapping of the second clock's page.

    Args:
        fd: its descriptor; taken over.

    Raises:
        WireError: it is no clock page of our version.
        OSError: it cannot be mapped.
    """

    def __init__(self, fd: int) -> None:
        self._region = attach(fd)
        self._stable: dict[str, dict[str, int]] = {}
        try:
            _check(self._region, CLOCK.size)
            self._page = self._region.view(CLOCK)
            found = int(self._page[0]["magic"]), int(self._page[0]["major"])
            if found != (CLOCK_MAGIC, VERSION_MAJOR):
                raise WireError("is no clock page of this version")
        except WireError:
            self.close()
            raise

    def read(self) -> dict[str, int]:
        """Its line, as `EngineMemory.read` has the media clock's, and `now_ns`: its time now."""
        raw_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        line = _read_locked(self._page[0], "media_seq", _MEDIA_FIELDS, self._stable)
        return line | {"now_ns": _time_at(line, raw_ns)}

    def close(self) -> None:
        """Give the descriptor back; the mapping goes with this object."""
        self._region.close()


def _time_at(line: dict[str, int], raw_ns: int) -> int:
    since = raw_ns - line["raw_ns"]
    return line["media_ns"] + since + (since * line["rate_q40"] >> RATE_FRACTION_BITS)


def _read_locked(
    page: Any, lock: str, fields: tuple[str, ...], stable: dict[str, dict[str, int]]
) -> dict[str, int]:
    """A seqlocked record; what was last whole when its writer died while writing."""
    for _ in range(SEQLOCK_TRIES):
        before = int(page[lock])
        values = {name: int(page[name]) for name in fields}
        if before % 2 == 0 and int(page[lock]) == before:
            stable[lock] = values
            return values
    return stable.get(lock, values)


def _check(region: Region, size: int) -> None:
    if region.size < size:
        raise WireError(f"shared memory has {region.size} bytes, not {size}")


def _read_row(view: np.ndarray[Any, Any], index: int, key: str) -> dict[str, Any]:
    """A row that belongs to one stream from its first to its last number."""
    for _ in range(ROW_TRIES):
        before = int(view[index][key])
        row = _as_dict(view[index])
        if before == row[key] == int(view[index][key]):
            break
    return row


def _as_dict(record: Any) -> dict[str, Any]:
    values = record.tolist()
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in zip(record.dtype.names, values, strict=True)
        if name != "magic"
    }
