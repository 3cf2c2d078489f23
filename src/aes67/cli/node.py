"""`aes67 status`, `aes67 config`, `aes67 doctor`: the daemon as a whole."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from aes67.cli.clock_text import clock_facts, clock_word
from aes67.cli.output import (
    columns_shown,
    facts,
    paint,
    print_json,
    state,
    table,
    visible,
    wrapped,
)
from aes67.client import Client
from aes67.errors import Refused

Commands = Any  # argparse's subparsers action is generic in a private type


def add_commands(commands: Commands, options: argparse.ArgumentParser) -> None:
    """Add the commands of this file."""
    status = commands.add_parser("status", parents=[options], help="what is going on")
    status.set_defaults(run=show_status)

    config = commands.add_parser("config", parents=[options], help="settings of the daemon")
    config.add_argument(
        "changes", nargs="*", metavar="KEY=VALUE", help="settings to change; none: show them"
    )
    config.set_defaults(run=configure)

    words = "what would keep this machine from good audio"
    commands.add_parser("doctor", parents=[options], help=words).set_defaults(run=examine)


def show_status(arguments: argparse.Namespace, client: Client) -> int:
    """Print the snapshot the web page shows."""
    status = client.get("/api/v1/status")
    if arguments.json:
        print_json(status)
        return 0
    engine, clock = status.get("engine", {}), status.get("clock", {})
    running = "running" if engine.get("connected") else paint("not running", "31")
    columns = columns_shown()
    print(f"aes67 {status.get('version', '')}, engine {running}, clock {state(clock_word(clock))}")
    for warning in engine.get("warnings") or []:
        print(paint(f"! {wrapped(visible(warning), 2, columns)}", "33"))
    interfaces = status.get("network", {}).get("interfaces", [])
    print(f"\n{facts(clock_facts(clock), columns)}\n")
    print(f"{sources_text(status['sources'])}\n")
    print(f"{sinks_text(status['sinks'])}\n")
    pcms = [pcm_row(row) for row in status.get("pcms", [])]
    print(table(PCM_HEAD, pcms, columns) if pcms else "no application has the device open")
    print()
    print(table(NETWORK_HEAD, [interface_row(row) for row in interfaces], columns))
    return 0


def sources_text(rows: list[dict[str, Any]]) -> str:
    """All sources as a table, and under it what is to be known of them."""
    return _listed("source", SOURCE_HEAD, [source_row(row) for row in rows], rows)


def sinks_text(rows: list[dict[str, Any]]) -> str:
    """All sinks as a table, and under it what is to be known of them."""
    return _listed("sink", SINK_HEAD, [sink_row(row) for row in rows], rows)


def _listed(
    kind: str, head: tuple[str, ...], lines: list[tuple[object, ...]], rows: list[dict[str, Any]]
) -> str:
    if not rows:
        return f"no {kind}; aes67 {kind} add --help says how to make one"
    columns = columns_shown()
    notes = [
        paint(f"! {wrapped(visible(kind + ' {id}: {note}'.format_map(row)), 2, columns)}", "33")
        for row in rows
        if row.get("note")
    ]
    return "\n".join((table(head, lines, columns), *notes))


SOURCE_HEAD = ("source", "name", "state", "address", "codec", "channels", "packets", "errors")
SINK_HEAD = (
    "sink", "name", "state", "timing", "packets", "lost", "late", "silent", "jitter", "spare",
)  # fmt: skip
PCM_HEAD = ("application", "direction", "process", "channels", "rate")


def source_row(row: dict[str, Any]) -> tuple[object, ...]:
    """A source as a line of a table."""
    counters = row.get("counters") or {}
    word = "sending" if row.get("sending") else "not sending"
    return (
        row["id"], row["name"], word if row.get("enabled", True) else "disabled", row["address"],
        row["codec"], len(row["map"]), counters.get("packets"),
        counters.get("send_errors", 0) + counters.get("skipped_packets", 0),
    )  # fmt: skip


def sink_row(row: dict[str, Any]) -> tuple[object, ...]:
    """A sink as a line of a table."""
    flags, counters = row.get("flags") or {}, row.get("counters") or {}
    word = "no packets"
    if flags.get("receiving_rtp_packet"):
        word = "silence" if counters.get("muted", flags.get("muted")) else "audio"
    legs, silent = row.get("legs") or [], counters.get("silent_frames")
    return (
        row["id"], row["name"], word, row.get("timing"), counters.get("packets"),
        counters.get("lost"), counters.get("late"), f"{silent} frames" if silent else silent,
        milliseconds([leg.get("jitter_us") for leg in legs], max),
        milliseconds([leg.get("margin_min_us") for leg in legs], min),
    )  # fmt: skip


def milliseconds(values: list[float | None], choose: Callable[[list[float]], float]) -> str:
    """The worst of what the legs say, in ms; empty when none does."""
    known = [value for value in values if value is not None]
    return f"{choose(known) / 1000:.2f} ms" if known else ""


NETWORK_HEAD = ("interface", "roles", "link", "addresses", "groups", "querier")


def interface_row(row: dict[str, Any]) -> tuple[object, ...]:
    """A network interface as a line of a table."""
    link = "up" if row["running"] else "down" if row["present"] else "missing"
    querier = row["querier_address"] if row["querier"] == "heard" else row["querier"]
    roles, addresses = ", ".join(row["roles"]), ", ".join(row["addresses"])
    return (row["name"], roles, link, addresses, row["groups"], querier)


def pcm_row(row: dict[str, Any]) -> tuple[object, ...]:
    """An open PCM as a line of a table."""
    last = row["first"] + row["channels"] - 1
    return (row["application"], row["direction"], row["pid"], f"{row['first']}-{last}", row["rate"])


def examine(arguments: argparse.Namespace, client: Client) -> int:
    """Look at the machine and the daemon; what that takes is imported for this command only."""
    from aes67.cli.doctor import doctor

    return doctor(arguments, client)


def configure(arguments: argparse.Namespace, client: Client) -> int:
    """Show the settings, or change those named."""
    wishes = [wish(text) for text in arguments.changes]
    config = client.get("/api/v1/config")
    if wishes:
        changes = {key: typed(value, config.get(key)) for key, value in wishes}
        config = client.patch("/api/v1/config", changes)
    if arguments.json:
        print_json(config)
    elif not arguments.changes:
        print(facts(sorted(config.items()), columns_shown()))
    return 0


def wish(text: str) -> tuple[str, str]:
    """Key and value of `KEY=VALUE`.

    Raises:
        Refused: it is none.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise Refused("setting", text, "it looks like KEY=VALUE")
    return key, value


def typed(value: str, now: object) -> object:
    """A value as typed at a shell, of the type that the setting has `now`.

    What is no JSON stays text, for the daemon to say what it should have been.
    """
    if isinstance(now, bool) and value in ("0", "1"):
        return value == "1"
    try:
        read = json.loads(value)
    except ValueError:
        return value
    return value if isinstance(now, str) and not isinstance(read, str) else read
