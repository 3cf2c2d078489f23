"""The status file: the text kept in it, and how its entries are taken over at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aes67.config.tree import to_text
from aes67.errors import Refused
from aes67.session.checks import check_sink_name, check_source_name
from aes67.session.contract import status_object
from aes67.session.model import Sink, Source
from aes67.session.plan import plan
from aes67.session.state import State


def status_text(state: State, controls: Mapping[str, Any] | None) -> str:
    """The file's text: sources and sinks, and the volumes if anybody has set them."""
    kept = status_object(state.sources.values(), state.sinks.values(), state.config)
    if controls is not None:
        kept["controls"] = controls
    return to_text(kept) + "\n"


def taken_over(state: State, sources: list[Source], sinks: list[Sink]) -> tuple[State, list[str]]:
    """The state with what the status file held, each entry by the rules of a request.

    Sinks are not compared with the grandmaster: at start there is none yet. Beside it a sentence
    for each entry left out.
    """
    problems = []
    for source in sources:
        try:
            check_source_name(source, state.sources.values())
            changed = {**state.sources, source.id: source}
            state = _valid(replace(state, sources=dict(sorted(changed.items()))))
        except Refused as refusal:
            problems.append(f"source {source.id} left out: {refusal}")
    for sink in sinks:
        try:
            check_sink_name(sink, state.sinks.values())
            wanted = {**state.sinks, sink.id: sink}
            state = _valid(replace(state, sinks=dict(sorted(wanted.items()))))
        except Refused as refusal:
            problems.append(f"sink {sink.id} left out: {refusal}")
    return state, problems


def _valid(state: State) -> State:
    plan(state)
    return state
