"""What a client's stream header says, judged and turned into frames that may be read.

The header is hostile memory: the caller copies it once a tick, this module checks every number
before it is used, and nothing here is ever an index. A run's anchor is fixed: a client that wants
another one starts another run.
"""

from __future__ import annotations

from typing import NamedTuple

from aes67.jit import kernel
from aes67.media.state import Record
from aes67.shm.layout import RUN_DRAINING, RUN_IDLE, RUN_PAUSED, RUN_RUNNING

RULE_NUMBERS = 1
"""State, run, positions or anchor outside their range."""
RULE_ANCHOR = 2
"""A run that starts more than a day from now."""
RULE_CHANGED = 3
"""Anchor, start or epoch changed without a new run."""
RULE_AHEAD = 4
"""More written ahead than the ring holds."""

_FAR = 1 << 61
_DAY_S = 86_400


class Header(NamedTuple):
    """Lines 1 and 2 of a stream header, copied."""

    run: int
    state: int
    anchor: int
    start_pos: int
    epoch: int
    appl_pos: int


@kernel
def rule_broken(header: Header, state: Record, now: int, rate: int, ring_frames: int) -> int:
    """The RULE_... that a running header breaks, 0 when it breaks none. `now`: media frame."""
    if header.run < 0 or not -_FAR < header.anchor < _FAR:
        return RULE_NUMBERS
    if not 0 <= header.start_pos < _FAR or not 0 <= header.appl_pos < _FAR:
        return RULE_NUMBERS
    if header.run == state["run"] and state["ran"]:
        if (
            header.anchor != state["anchor"]
            or header.start_pos != state["start_pos"]
            or header.epoch != state["epoch"]
        ):
            return RULE_CHANGED
    elif abs(header.anchor + header.start_pos - now) > _DAY_S * rate:
        return RULE_ANCHOR
    if header.appl_pos - max(header.start_pos, now - header.anchor) > ring_frames:
        return RULE_AHEAD
    return 0


@kernel
def close_segment(header: Header, state: Record, now: int) -> None:
    """The run stops being audible at frame `now`: what was due before it may still be packed.

    A run that goes on where this one was, after a pause, has what was due from there on.
    """
    limit = now
    end = header.appl_pos
    if header.run != state["run"]:
        end = min(end, header.start_pos)
        if header.state == RUN_PAUSED or (header.state != RUN_IDLE and header.start_pos > 0):
            limit = min(now, state["anchor"] + min(max(header.start_pos, 0), _FAR))
    written = state["anchor"] + min(max(end, 0), _FAR)
    state["tail_anchor"] = state["anchor"]
    state["tail_from"] = state["from_frame"]
    state["tail_to"] = max(min(max(state["to_frame"], written), limit), state["from_frame"])
    state["audible"] = 0
    state["from_frame"] = 0
    state["to_frame"] = 0


@kernel
def observe(
    header: Header,
    state: Record,
    counters: Record,
    clock: tuple[int, int, int],
    ring_frames: int,
) -> int:
    """Take over what the client says; returns the silent frames that this added.

    Args:
        clock: media frame now, rate, clock epoch.
        ring_frames: of the stream's ring.
    """
    now, rate, epoch = clock
    rule = 0
    moves = header.state == RUN_RUNNING or header.state == RUN_DRAINING
    if moves:
        rule = rule_broken(header, state, now, rate, ring_frames)
    elif header.state != RUN_IDLE and header.state != RUN_PAUSED:
        rule = RULE_NUMBERS
    if header.run == state["run"] and state["rule"] != 0:
        rule = state["rule"]
    elif rule != 0:
        counters["rejects"] += 1
    audible = 1 if moves and rule == 0 and header.epoch == epoch else 0
    if state["audible"] and (audible == 0 or header.run != state["run"]):
        close_segment(header, state, now)
    if header.run != state["run"] or not state["ran"]:
        state["run"] = header.run
        state["anchor"] = header.anchor
        state["start_pos"] = header.start_pos
        state["epoch"] = header.epoch
        state["counted"] = header.start_pos
        state["ran"] = 1 if moves else 0
    state["rule"] = rule
    counters["state"] = header.state if rule == 0 else RUN_IDLE
    counters["fill_frames"] = 0
    state["audible"] = audible
    if audible == 0:
        return 0
    return account(header, state, counters, now, ring_frames)


@kernel
def account(header: Header, state: Record, counters: Record, now: int, ring_frames: int) -> int:
    """Set the readable frames of an audible run and count those that came too late.

    A run that drains ends with what is written: nothing after it was to come.
    """
    anchor = header.anchor
    start = max(header.start_pos, header.appl_pos - ring_frames)
    state["from_frame"] = anchor + start
    state["to_frame"] = anchor + max(start, header.appl_pos)
    passed = now - anchor
    silent = 0
    if passed > state["counted"]:
        if header.state != RUN_DRAINING:
            silent = passed - max(state["counted"], min(header.appl_pos, passed))
        state["counted"] = passed
        counters["silence_frames"] += silent
    counters["fill_frames"] = header.appl_pos - max(passed, header.start_pos)
    return silent
