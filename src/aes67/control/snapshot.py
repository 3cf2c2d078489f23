"""One snapshot of everything, as the browser, the command line and metrics show it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aes67.control.flags import flags
from aes67.session.checks import NO_GRANDMASTER
from aes67.session.contract import sink_object, source_object
from aes67.session.describe import Clock
from aes67.session.node import Node

CONTRACT_STATUS = {"unlocked": "unlocked", "locking": "locking", "locked": "locked"}
"""Clock states as the contract names them; holdover, where the master is silent, is `unlocked`."""


def contract_clock(ptp: Mapping[str, Any] | None) -> Clock:
    """The clock as sessions see it, from the engine's snapshot; empty without one."""
    if not ptp:
        return Clock()
    digits = re.sub("[^0-9a-fA-F]", "", str(ptp.get("gmid") or "")).upper()
    pairs = "-".join(digits[i : i + 2] for i in range(0, 16, 2)) if len(digits) == 16 else ""
    status = CONTRACT_STATUS.get(str(ptp.get("state", "")), "unlocked")
    return Clock(status, pairs or NO_GRANDMASTER)


def contract_ptp(clock: Clock, ptp: Mapping[str, Any] | None) -> dict[str, Any]:
    """The contract's PTP status; jitter is that of Sync messages, in us."""
    jitter_ns = ((ptp or {}).get("jitter_ns") or {}).get("sync") or 0
    return {"status": clock.status, "gmid": clock.gmid, "jitter": round(jitter_ns / 1000)}


def source_view(node: Node, number: int, counters: Mapping[str, Any] | None) -> dict[str, Any]:
    """A source with its counters (empty without an engine) and what is to be said of it."""
    source = node.source(number)
    return source_object(source, node.config) | {
        "framing": source.framing,
        "note": "; ".join(node.plan.source_notes.get(number, ())),
        "counters": dict(counters or {}),
    }


def sink_view(
    node: Node,
    number: int,
    counters: Mapping[str, Any] | None,
    before: Mapping[str, int] | None,
    media_now_ns: int,
) -> dict[str, Any]:
    """A sink with its stream, flags, timing and counters; `before`: counters of a moment ago."""
    sink = node.sink(number)
    stream = node.plan.streams.get(number)
    view = sink_object(sink) | {"timing": sink.timing, "framing": sink.framing, "timing_reason": ""}
    if stream is not None:
        leg, audio = stream.legs[0], stream.audio
        view |= {
            "timing": stream.timing,
            "timing_reason": stream.timing_reason,
            "session": stream.session_name,
            "address": leg.address,
            "port": leg.port,
            "codec": audio.encoding,
            "rate": audio.rate,
            "channels": audio.channels,
            "frames_per_packet": stream.frames_per_packet,
        }
    notes = node.plan.sink_notes.get(number, ())
    return view | {
        "note": "; ".join(notes),
        "flags": flags(counters, before, media_now_ns),
        "counters": dict(counters or {}),
    }
