"""Configuration from and to text: the file is repaired with a warning, a request is refused.

The contract clamps what it reads from the file and checks nothing in a request; a service must
start with an old file, but whoever asks over HTTP should hear that a value is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from aes67.config.clock import domain_of, objections
from aes67.config.model import (
    CONTRACT_KEYS,
    FILE_ONLY,
    KEYS,
    OURS,
    PATHS,
    Config,
    extra_of,
)
from aes67.config.rules import refusals, rule
from aes67.config.tree import TreeError, as_boolean, as_integer, as_text, parse, to_text
from aes67.errors import Refused


@dataclass(frozen=True)
class Reading:
    """A configuration from a file, and a sentence for each value that had to be replaced."""

    config: Config
    warnings: tuple[str, ...]


def from_text(text: str | bytes) -> Reading:
    """Read a configuration file.

    Values out of range become what the contract makes of them, with one warning each naming key,
    value and range. Unknown keys are kept, with a warning.

    Raises:
        TreeError: no JSON, or a value of a wrong type.
    """
    tree = parse(text)
    values = _typed(tree)
    warnings = [f"unknown key {key!r} is kept but has no effect" for key in tree if key not in KEYS]
    values.setdefault("ptp_domain", domain_of(values))
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        for refusal in refusals(Config, error):
            key = refusal.field.partition("[")[0]
            repaired = extra_of(key).get("repair", Config.model_fields[key].default)
            values[key] = repaired
            warnings.append(f"{key} = {refusal.value!r} is not {refusal.rule}: using {repaired!r}")
        config = Config.model_validate(values)
    for refusal in objections(config):
        repaired = _default(refusal.field, values)
        what = f"{refusal.field} = {refusal.value!r}"
        warnings.append(f"{what} is not {refusal.rule}: using {repaired!r}")
        config = config.model_copy(update={refusal.field: repaired})
    if config.max_tic_frame_size < config.tic_frame_size_at_1fs:
        warnings.append(
            f"max_tic_frame_size = {config.max_tic_frame_size} is below "
            f"tic_frame_size_at_1fs = {config.tic_frame_size_at_1fs}: using 1024"
        )
        config = config.model_copy(update={"max_tic_frame_size": 1024})
    if not config.interfaces:
        warnings.append("interface_name names no interface: using 'eth0'")
        config = config.model_copy(update={"interface_name": "eth0"})
    return Reading(config, tuple(warnings))


def merged(config: Config, tree: Mapping[str, Any]) -> Config:
    """`config` with the keys of a request; keys that are not parameters are ignored.

    Raises:
        TreeError: a value of a wrong type.
        Refused: a value out of range, or a path that may only be set in the file.
    """
    known = {key: value for key, value in tree.items() if key in KEYS}
    changed = _typed(known)
    for key, value in changed.items():
        same = value == getattr(config, key)
        if key in FILE_ONLY and not same:
            raise Refused(key, value, "only the configuration file can set it")
        if key in PATHS and not same and not config.paths_by_api:
            raise Refused(key, value, "only the configuration file can set it (paths_by_api)")
    values = config.model_dump() | changed
    if "ptp_domain" not in changed and config.ptp_domain == domain_of(config.model_dump()):
        values["ptp_domain"] = domain_of(values)
    try:
        new = Config.model_validate(values)
    except ValidationError as error:
        raise refusals(Config, error)[0] from None
    if new.max_tic_frame_size < new.tic_frame_size_at_1fs:
        limit = f"at least tic_frame_size_at_1fs, {new.tic_frame_size_at_1fs}"
        raise Refused("max_tic_frame_size", new.max_tic_frame_size, limit)
    if not new.interfaces:
        raise Refused("interface_name", new.interface_name, "one or two names of interfaces")
    for refusal in objections(new):
        raise refusal
    return new


def _default(key: str, values: Mapping[str, Any]) -> Any:
    """What a value becomes that the profile of the clock does not allow."""
    return domain_of(values) if key == "ptp_domain" else Config.model_fields[key].default


def _typed(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with the type of their row; read-only ones are dropped, unknown ones kept."""
    values: dict[str, Any] = {}
    for key, value in tree.items():
        if key not in KEYS:
            values[key] = value
            continue
        extra = extra_of(key)
        if extra["effect"] == "ignored":
            continue
        annotation = Config.model_fields[key].annotation
        try:
            if annotation is bool:
                values[key] = as_boolean(value)
            elif annotation is int:
                values[key] = as_integer(value, str(extra["letter"]))
            elif annotation == (int | None):
                absent = value is None or value == ""
                values[key] = None if absent else as_integer(value, str(extra["letter"]))
            else:
                values[key] = as_text(value)
        except TreeError as error:
            raise TreeError(error.text, key) from None
    return values


@dataclass(frozen=True)
class Computed:
    """The values of the configuration that nobody sets."""

    node_id: str
    mac_addr: str
    ip_addr: str


def contract_report(config: Config, computed: Computed) -> dict[str, Any]:
    """The 37 keys of the contract in its order."""
    return _report(config, computed, CONTRACT_KEYS)


def full_report(config: Config, computed: Computed) -> dict[str, Any]:
    """All parameters, the contract's first."""
    return _report(config, computed, KEYS)


def file_text(config: Config, computed: Computed) -> str:
    """The text of the configuration file: the contract's keys, ours, then unknown ones as read."""
    report = _report(config, computed, CONTRACT_KEYS)
    ours = {key: getattr(config, key) for key in OURS if getattr(config, key) is not None}
    return to_text(report | ours | dict(config.model_extra or {})) + "\n"


def _report(config: Config, computed: Computed, keys: tuple[str, ...]) -> dict[str, Any]:
    values = {key: getattr(config, key) for key in keys}
    values["node_id"] = computed.node_id
    values["mac_addr"] = computed.mac_addr
    values["ip_addr"] = computed.ip_addr
    if "ptp_priority1" in values:
        values["ptp_priority1"] = config.priority1
        values["ptp_sync_interval"] = config.sync_interval
        values["ptp_announce_interval"] = config.announce_interval
    return values


def rows() -> list[dict[str, Any]]:
    """Every parameter as documentation: key, default, range, unit, effect, help."""
    table = []
    for key in KEYS:
        field, extra = Config.model_fields[key], extra_of(key)
        table.append(
            {
                "key": key,
                "default": field.default,
                "range": rule(Config, key),
                "unit": extra.get("unit", ""),
                "effect": extra["effect"],
                "help": field.description or "",
            }
        )
    return table
