"""One snapshot of everything, as the browser, the command line and metrics show it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aes67.config.clock import media_clock
from aes67.control.flags import flags, is_sending, leg_missing
from aes67.session.checks import NO_GRANDMASTER
from aes67.session.contract import sink_object, source_object
from aes67.session.describe import Clock
from aes67.session.model import OWN_SOURCE_KEYS
from aes67.session.node import Node
from aes67.session.reference_clock import OtherClock, keeps_to_note
from aes67.session.rows import SinkLeg

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


def source_view(
    node: Node,
    number: int,
    counters: Mapping[str, Any] | None,
    media_now_ns: int,
    *,
    running: bool = True,
) -> dict[str, Any]:
    """A source with its counters (empty before the first engine) and what is to be said of it.

    `running`: there is an engine now.
    """
    source = node.source(number)
    frames = source.max_samples_per_packet
    return source_object(source, node.config) | {
        **{key: getattr(source, key) for key in OWN_SOURCE_KEYS},
        "note": "; ".join(node.plan.source_notes.get(number, ())),
        "sending": running and is_sending(counters, frames, node.state.rate, media_now_ns),
        "counters": dict(counters or {}),
    }


def sink_view(
    node: Node,
    number: int,
    counters: Mapping[str, Any] | None,
    before: Mapping[str, int] | None,
    media_now_ns: int,
    legs: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A sink with its stream, flags, timing, counters and legs; `before`: counters of a moment ago.
    """
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
    notes = list(node.plan.sink_notes.get(number, ()))
    if stream is not None:
        notes.append(keeps_to_note(stream.audio, _other_clock(node), media_clock(node.config)))
    ways = node.plan.legs.get(number, ())
    missing = leg_missing(legs, len(ways), node.state.rate)
    return view | {
        "note": "; ".join(each for each in notes if each),
        "flags": flags(counters, before, media_now_ns, missing),
        "counters": dict(counters or {}),
        "legs": [
            leg_view(interface, leg, legs[index] if index < len(legs) else {}, node.state.rate)
            for index, (interface, leg) in enumerate(ways)
        ],
    }


def _other_clock(node: Node) -> OtherClock | None:
    """The second clock while it follows another grandmaster than the media clock."""
    other, ours = node.other_clock, (node.clock.gmid, node.config.ptp_domain)
    return None if other is None or (other.gmid, other.domain) == ours else other


LEG_COUNTS = (
    "packets", "lost", "late", "early", "duplicate", "reordered",
    "wrong_ssrc", "wrong_payload_type", "wrong_source", "wrong_length",
)  # fmt: skip


def leg_view(
    interface: str, leg: SinkLeg, counters: Mapping[str, Any], rate: int
) -> dict[str, Any]:
    """What came by one way: counts, times in microseconds, pauses between packets by length."""

    def microseconds(frames: float) -> float:
        return round(frames * 1e6 / rate, 1)

    heard = bool(counters) and counters["ssrc"] >= 0
    least = int(counters["margin_min_frames"]) if heard else 0
    return {
        "interface": interface,
        "address": leg.address,
        "port": leg.port,
        "source": leg.source,
        "ssrc": int(counters["ssrc"]) if heard else None,
        **{name: int(counters.get(name, 0)) for name in LEG_COUNTS},
        "margin_us": microseconds(counters["margin_frames"]) if heard else None,
        "margin_min_us": microseconds(least) if heard and least < 2**62 else None,
        "jitter_us": microseconds(counters["jitter_q4"] / 16) if heard else None,
        "gap_max_us": microseconds(counters["gap_max_frames"]) if heard else None,
        "gaps": [int(each) for each in counters["gaps"]] if heard else [],
    }
