"""`aes67 ptp`: the clock's snapshot as the page shows it, once or live, in words or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from aes67.cli.output import (
    colours_wanted,
    error,
    facts,
    nanoseconds,
    paint,
    print_json,
    state,
    table,
)
from aes67.client import Client, Unreachable

Commands = Any  # argparse's subparsers action is generic in a private type
SPANS = ("1min", "1h", "24h")
BARS = "▁▂▃▄▅▆▇█"
SILENT_SECONDS = 10.0
NS = 1_000_000_000
PORT_KEYS = ("interface", "profile", "port_state", "rung", "trouble")
MESSAGE_HEAD = ("message", "received", "per second", "lost", "sent")
MASTER_HEAD = (
    "master", "state", "domain", "address", "grandmaster", "priority", "class", "3 sigma",
    "sync lost", "heard",
)  # fmt: skip
CHANGE_HEAD = ("changed", "to", "grandmaster", "why")
CHANGES_SHOWN = 6
HISTORY_HEAD = ("history", "worst state", "offset", "3 sigma up to", "path delay", "rate in ppm")
SENT = {
    "Announce": "announce_sent", "Sync": "sync_sent", "Follow_Up": "follow_up_sent",
    "Delay_Req": "delay_req_sent", "Delay_Resp": "delay_resp_sent",
}  # fmt: skip


def add_commands(commands: Commands, options: argparse.ArgumentParser) -> None:
    """Add the command of this file."""
    ptp = commands.add_parser("ptp", parents=[options], help="the clock, and why it is as it is")
    ptp.add_argument("--watch", action="store_true", help="go on, every second")
    ptp.add_argument("--interval", type=seconds, default=1.0, help="seconds between two looks")
    ptp.add_argument("--count", type=int, default=0, help="end after so many looks (0: never)")
    ptp.set_defaults(run=show_ptp)


def seconds(text: str) -> float:
    """An interval: 0.05 s or more."""
    value = float(text)
    if not 0.05 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text}: between 0.05 and 3600 seconds")
    return value


def show_ptp(arguments: argparse.Namespace, client: Client) -> int:
    """Print the clock once, or go on: a screen on a terminal, else a line or an object each."""
    if not arguments.watch:
        clock = client.get("/api/v1/clock")
        if arguments.json:
            print_json(clock)
        else:
            histories = [client.get(f"/api/v1/clock/history?span={span}") for span in SPANS]
            print(screen(clock, histories, client.get("/api/v1/clock/changes")))
        return 0
    shown = 0
    while True:
        try:
            _show_now(arguments, client)
        except Unreachable as problem:
            if not shown:
                raise
            error(f"{problem}; trying again")
        shown += 1
        if shown == arguments.count:
            return 0
        time.sleep(arguments.interval)


def _show_now(arguments: argparse.Namespace, client: Client) -> None:
    clock = client.get("/api/v1/clock")
    if arguments.json:
        print(json.dumps(clock), flush=True)
    elif colours_wanted():
        history = client.get(f"/api/v1/clock/history?span={SPANS[0]}")
        changes = client.get("/api/v1/clock/changes")
        print(f"\x1b[H\x1b[J{screen(clock, [history], changes)}", flush=True)
    else:
        print(clock_line(clock), flush=True)


def screen(
    clock: dict[str, Any], histories: list[dict[str, Any]], changes: list[dict[str, Any]]
) -> str:
    """Everything there is to say of the clock."""
    parts = [facts([*clock_facts(clock), *_more_facts(clock)])]
    rows = [_history_row(each) for each in histories]
    parts.append(table(HISTORY_HEAD, rows))
    if histories and (line := sparkline(histories[0]["series"]["offset_ns"]["mean"])):
        parts[-1] += f"\n{line}  offset, last minute"
    if changes:
        parts.append(table(CHANGE_HEAD, [change_row(each) for each in changes[:CHANGES_SHOWN]]))
    if messages := message_rows(clock.get("messages") or {}):
        parts.append(table(MESSAGE_HEAD, messages))
    if masters := clock.get("masters"):
        parts.append(table(MASTER_HEAD, [master_row(each, clock) for each in masters]))
    if second := clock.get("second"):
        parts.append(facts(second_clock_facts(second, clock)))
        if masters := second.get("masters"):
            parts.append(table(MASTER_HEAD, [master_row(each, second) for each in masters]))
    return "\n\n".join(parts)


def clock_word(clock: dict[str, Any]) -> str:
    """The clock's state in one word."""
    return str(clock.get("state") or clock.get("status") or "unknown")


def clock_facts(clock: dict[str, Any]) -> list[tuple[str, object]]:
    """The clock in words and figures."""
    measured = clock.get("offset_ns") is not None
    return [
        ("clock", clock_word(clock)),
        ("reason", clock.get("reason")),
        ("mode", clock.get("mode")),
        ("grandmaster", clock.get("gmid") or "none"),
        ("domain", clock.get("domain")),
        ("offset", nanoseconds(clock.get("offset_ns"))),
        ("uncertainty", f"{nanoseconds(clock.get('uncertainty_ns'))} (3 sigma)"),
        ("rate", f"{clock['rate_ppm']:.3f} ppm" if measured else "unknown"),
        ("path delay", nanoseconds(clock.get("path_delay_ns"))),
    ]


def second_clock_facts(
    second: dict[str, Any], clock: dict[str, Any]
) -> list[tuple[str, object]]:
    """The clock of a network that keeps a time of its own, in words and figures."""
    media = clock.get("name") or "media"
    ahead, ppm = second.get("ahead_of_media_ns"), second.get("ahead_of_media_ppm")
    far = "unknown" if ahead is None or ppm is None else f"{apart(ahead)}, {ppm:+.3f} ppm"
    return [
        ("second clock", f"{second['name']} {clock_word(second)}"),
        ("reason", second.get("reason")),
        ("interface", second.get("interface")),
        ("grandmaster", second.get("gmid") or "none"),
        ("domain", second.get("domain")),
        (f"ahead of {media}", far),
        ("uncertainty", f"{nanoseconds(second.get('uncertainty_ns'))} (3 sigma)"),
        ("path delay", nanoseconds(second.get("path_delay_ns"))),
        ("use", f"shown only: all that is sent and played runs on the clock {media}"),
    ]


def apart(ahead_ns: int) -> str:
    """How far one clock is ahead of another; from a second on in seconds."""
    return nanoseconds(ahead_ns) if abs(ahead_ns) < NS else f"{ahead_ns / NS:.6f} s"


def _more_facts(clock: dict[str, Any]) -> list[tuple[str, object]]:
    jitter = clock.get("jitter_ns") or {}
    found: list[tuple[str, object]] = [
        ("jitter", f"{nanoseconds(jitter.get('sync'))} from the master, "
                   f"{nanoseconds(jitter.get('delay'))} to it"),
    ]  # fmt: skip
    if clock.get("asymmetry_ns"):
        found.append(("asymmetry", f"{nanoseconds(clock['asymmetry_ns'])} (ptp_asymmetry_ns)"))
    for port in clock.get("ports") or []:
        found.append(("port", _joined(port, *PORT_KEYS)))
    if peer := clock.get("peer"):
        why = "802.1AS" if peer["as_capable"] else peer["objection"]
        delay = nanoseconds(peer.get("link_delay_ns"))
        found.append(("neighbour", f"{peer.get('neighbor') or 'none'}, {delay} away, {why}"))
    if reference := clock.get("reference"):
        found.append(("reference", _joined(reference, "clock", "method", "remark")))
    spent = [(name, s) for name, s in (clock.get("seconds_in") or {}).items() if s > 0]
    if spent:
        spent.sort(key=lambda each: -each[1])
        found.append(("time spent", ", ".join(f"{name} {duration(s)}" for name, s in spent)))
        found.append(
            ("events", f"{clock.get('state_changes', 0)} changes of state, "
                       f"{clock.get('handovers', 0)} handovers, {clock.get('steps', 0)} steps, "
                       f"{clock.get('outliers', 0)} outliers")
        )  # fmt: skip
    return found


def _joined(row: dict[str, Any], *keys: str) -> str:
    return ", ".join(str(row[key]) for key in keys if row.get(key))


def change_row(change: dict[str, Any]) -> tuple[object, ...]:
    """A change of state or grandmaster, as a line of a table."""
    when = f"{duration(change['seconds_ago'])} ago"
    return when, change["state"], change["gmid"], change["reason"]


def message_rows(messages: dict[str, Any]) -> list[tuple[object, ...]]:
    """A line for each kind of message that came or went."""
    received = messages.get("received") or {}
    sent = {name: messages[key] for name, key in SENT.items() if messages.get(key)}
    rates, lost = messages.get("per_second") or {}, messages.get("lost") or {}
    return [
        (name, received.get(name), rates.get(name), lost.get(name), sent.get(name))
        for name in {**received, **sent}
    ]


def master_row(master: dict[str, Any], clock: dict[str, Any]) -> tuple[object, ...]:
    """A master that was heard, as a line of a table."""
    far = master.get("grandmaster") or {}
    itself = far.get("identity") == master["clock"]
    sigma = master.get("uncertainty_ns")
    return (
        master["clock"], master_word(master, clock), master["domain"], master.get("address"),
        "itself" if itself else far.get("identity"),
        f"{far['priority1']}/{far['priority2']}" if far else None, far.get("clock_class"),
        None if sigma is None else nanoseconds(sigma), master.get("sync_lost"),
        f"{duration(master['last_heard_seconds'])} ago",
    )  # fmt: skip


def master_word(master: dict[str, Any], clock: dict[str, Any]) -> str:
    """What a master is to us."""
    if not master.get("allowed", True):
        return "not allowed"
    if master["last_heard_seconds"] > SILENT_SECONDS:
        return "silent"
    if master.get("selected"):
        return "followed"
    if master["domain"] != clock.get("domain"):
        return "other domain"
    return "not the best" if master.get("qualified") else "not qualified"


def _history_row(history: dict[str, Any]) -> tuple[object, ...]:
    seen = [each for each in history["state"] if each]
    order = ("unlocked", "locking", "holdover", "locked")
    worst = min(seen, key=order.index, default=None)
    series = history["series"]
    offset = _extent(series["offset_ns"])
    sigma = _extent(series["uncertainty_ns"])
    delay = _extent(series["path_delay_ns"])
    rate = _extent(series["rate_ppm"])
    return (
        history["span"], worst,
        f"{nanoseconds(offset[0])} to {nanoseconds(offset[1])}" if offset else None,
        nanoseconds(sigma[1]) if sigma else None,
        f"{nanoseconds(delay[0])} to {nanoseconds(delay[1])}" if delay else None,
        f"{rate[0]:.3f} to {rate[1]:.3f}" if rate else None,
    )  # fmt: skip


def _extent(values: dict[str, list[float | None]]) -> tuple[float, float] | None:
    least = [each for each in values["least"] if each is not None]
    greatest = [each for each in values["greatest"] if each is not None]
    return (min(least), max(greatest)) if least else None


def sparkline(values: list[float | None]) -> str:
    """Values as bars from the least to the greatest; empty where the terminal has no such signs."""
    known = [each for each in values if each is not None]
    if not known or "utf" not in (sys.stdout.encoding or "").lower():
        return ""
    low, span = min(known), max(known) - min(known) or 1.0
    top = len(BARS) - 1
    return "".join(" " if v is None else BARS[round((v - low) / span * top)] for v in values)


def duration(value: float) -> str:
    """Seconds in the two largest units that are not zero."""
    if value < 10:
        return f"{value:.1f} s"
    rest, parts = round(value), []
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if rest >= length:
            parts.append(f"{rest // length} {unit}")
        rest %= length
    return " ".join(parts[:2])


def clock_line(clock: dict[str, Any]) -> str:
    """The clock in one line."""
    line = (
        f"{state(clock_word(clock).ljust(8))}  {clock.get('gmid') or 'no grandmaster'}  "
        f"offset {nanoseconds(clock.get('offset_ns'))}  "
        f"3 sigma {nanoseconds(clock.get('uncertainty_ns'))}  "
        f"delay {nanoseconds(clock.get('path_delay_ns'))}"
    )
    if second := clock.get("second"):
        ahead = second.get("ahead_of_media_ns")
        far = "" if ahead is None else f" {apart(ahead)} ahead"
        line += f"  {second['name']} {clock_word(second)}{far}"
    if clock_word(clock) == "locked":
        return line
    return f"{line}  {paint(str(clock.get('reason') or ''), '33')}".rstrip()
