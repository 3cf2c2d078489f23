"""`aes67 ptp`: the clock's snapshot as the page shows it, once or live, in words or as JSON."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from aes67.cli.clock_text import clock_line, screen
from aes67.cli.output import colours_wanted, error, print_json, rows_shown
from aes67.client import Client, Unreachable

Commands = Any  # argparse's subparsers action is generic in a private type
SPANS = ("1min", "1h", "24h")


def add_commands(commands: Commands, options: argparse.ArgumentParser) -> None:
    """Add the command of this file."""
    ptp = commands.add_parser("ptp", parents=[options], help="the clock, and why it is as it is")
    ptp.add_argument("--watch", action="store_true", help="go on, every second")
    ptp.add_argument("--interval", type=seconds, default=1.0, help="seconds between two looks")
    ptp.add_argument("--count", type=looks, default=0, help="end after so many looks (0: never)")
    ptp.set_defaults(run=show_ptp)


def seconds(text: str) -> float:
    """An interval: 0.05 s or more."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 0.05 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text}: between 0.05 and 3600 seconds")
    return value


def looks(text: str) -> int:
    """How often to look: 0 (for ever) or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of looks: 0 or more")
    return int(text)


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
        lines = screen(clock, [history], changes).splitlines()
        fitting = "\n".join(lines[: rows_shown() - 1] if rows_shown() > 1 else lines)
        print(f"\x1b[H\x1b[J{fitting}", flush=True)
    else:
        print(clock_line(clock), flush=True)
