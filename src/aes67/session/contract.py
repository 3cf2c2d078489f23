"""Sources and sinks as the contract's JSON objects, both ways; also the form of the status file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aes67.config.model import Config
from aes67.config.rules import validated
from aes67.config.tree import TreeError, as_boolean, as_integer, as_integers, as_text, require
from aes67.errors import Refused
from aes67.session.checks import effective_address
from aes67.session.model import (
    CONTRACT_SINK_KEYS,
    CONTRACT_SOURCE_KEYS,
    OWN_SOURCE_KEYS,
    Sink,
    Source,
)

Reader = Callable[[Any], Any]


def _integer(letter: str) -> Reader:
    return lambda value: as_integer(value, letter)


SOURCE_READERS: dict[str, Reader] = {
    "enabled": as_boolean,
    "name": as_text,
    "io": as_text,
    "map": as_integers,
    "max_samples_per_packet": _integer("j"),
    "codec": as_text,
    "address": as_text,
    "ttl": _integer("h"),
    "payload_type": _integer("h"),
    "dscp": _integer("h"),
    "refclk_ptp_traceable": as_boolean,
} | dict.fromkeys(OWN_SOURCE_KEYS, as_text)

SINK_READERS: dict[str, Reader] = {
    "name": as_text,
    "io": as_text,
    "source": as_text,
    "use_sdp": as_boolean,
    "sdp": as_text,
    "delay": _integer("j"),
    "ignore_refclk_gmid": as_boolean,
    "map": as_integers,
    "timing": as_text,
    "framing": as_text,
}


def read_source(number: int, tree: Mapping[str, Any], before: Source | None = None) -> Source:
    """A source from a request or the status file; the id in the object does not count.

    What the contract does not know (OWN_SOURCE_KEYS) is kept from `before` if the object lacks it.

    Raises:
        TreeError: a key is missing or of a wrong type.
        Refused: a value is out of range.
    """
    values = _read(tree, CONTRACT_SOURCE_KEYS, SOURCE_READERS)
    if before is not None:
        for key in OWN_SOURCE_KEYS:
            values.setdefault(key, getattr(before, key))
    return validated(Source, values | {"id": number})


def read_sink(number: int, tree: Mapping[str, Any], before: Sink | None = None) -> Sink:
    """A sink, like `read_source`; ours are `timing` and `framing`.

    Raises:
        TreeError: a key is missing or of a wrong type.
        Refused: a value is out of range.
    """
    values = _read(tree, CONTRACT_SINK_KEYS, SINK_READERS)
    if before is not None:
        values.setdefault("framing", before.framing)
        values.setdefault("timing", before.timing)
    return validated(Sink, values | {"id": number})


def _read(
    tree: Mapping[str, Any], required: Iterable[str], readers: Mapping[str, Reader]
) -> dict[str, Any]:
    values = {}
    for key in required:
        require(tree, (key,))
        values[key] = _value(tree, key, readers)
    for key in readers:
        if key not in values and key in tree:
            values[key] = _value(tree, key, readers)
    return values


def _value(tree: Mapping[str, Any], key: str, readers: Mapping[str, Reader]) -> Any:
    try:
        return readers[key](tree[key])
    except TreeError as error:
        raise TreeError(error.text, key) from None


def source_object(source: Source, config: Config) -> dict[str, Any]:
    """A source as the contract shows it: the address is the one in effect."""
    return {
        "id": source.id,
        "enabled": source.enabled,
        "name": source.name,
        "io": source.io,
        "max_samples_per_packet": source.max_samples_per_packet,
        "codec": source.codec,
        "address": effective_address(source, config),
        "ttl": source.ttl,
        "payload_type": source.payload_type,
        "dscp": source.dscp,
        "refclk_ptp_traceable": source.refclk_ptp_traceable,
        "map": list(source.map),
    }


def sink_object(sink: Sink) -> dict[str, Any]:
    """A sink as the contract shows it: `use_sdp` is true, since its SDP is in force."""
    return {
        "id": sink.id,
        "name": sink.name,
        "io": sink.io,
        "use_sdp": True,
        "source": sink.source,
        "sdp": sink.sdp,
        "delay": sink.delay,
        "ignore_refclk_gmid": sink.ignore_refclk_gmid,
        "map": list(sink.map),
    }


def automatic_address(source: Source, config: Config) -> Source:
    """The source with an empty address if its address is what an empty one would give.

    Clients send back the effective address they were shown; taking that for a wish would pin every
    edited source, and a later change of rtp_mcast_base would not move it.
    """
    automatic = source.model_copy(update={"address": ""})
    return automatic if source.address == effective_address(automatic, config) else source


def status_object(
    sources: Iterable[Source], sinks: Iterable[Sink], config: Config
) -> dict[str, Any]:
    """The status file: the contract's objects, and in each what only we know."""
    return {
        "sources": [
            source_object(each, config)
            | {"address_from_base": not each.address}
            | {key: getattr(each, key) for key in OWN_SOURCE_KEYS}
            for each in sources
        ],
        "sinks": [
            sink_object(each) | {"timing": each.timing, "framing": each.framing} for each in sinks
        ],
    }


def read_status_object(
    tree: Mapping[str, Any], config: Config
) -> tuple[list[Source], list[Sink], list[str]]:
    """Sources, sinks and a sentence for each entry that had to be left out.

    Raises:
        TreeError: `sources` or `sinks` is missing or no list.
    """
    require(tree, ("sources", "sinks"))
    sources: list[Source] = []
    sinks: list[Sink] = []
    problems: list[str] = []
    for kind in ("sources", "sinks"):
        entries = tree[kind] if tree[kind] != "" else []
        if not isinstance(entries, list):
            raise TreeError(f"error parsing JSON: {kind} is no list", kind)
        for index, entry in enumerate(entries):
            try:
                if not isinstance(entry, dict):
                    raise TreeError("error parsing JSON: not an object", kind)
                require(entry, ("id",))
                number = as_integer(entry["id"])
                if kind == "sources":
                    sources.append(_restored(read_source(number, entry), entry, config))
                else:
                    sinks.append(read_sink(number, entry))
            except (TreeError, Refused) as error:
                problems.append(f"{kind}[{index}] left out: {error}")
    return sources, sinks, problems


def _restored(source: Source, entry: Mapping[str, Any], config: Config) -> Source:
    if "address_from_base" in entry and as_boolean(entry["address_from_base"]):
        return source.model_copy(update={"address": ""})
    return automatic_address(source, config)
