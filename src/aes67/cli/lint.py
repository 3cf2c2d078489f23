"""`aes67 lint`: what a strict receiver would object to in a session description, line by line."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from aes67.cli.node import Commands
from aes67.cli.origins import MOST_OCTETS, origin
from aes67.cli.output import (
    GREEN,
    RED,
    YELLOW,
    columns_shown,
    paint,
    print_json,
    visible,
    wrapped,
)
from aes67.client import Client
from aes67.errors import Refused

COLOURS = {"error": RED, "warning": YELLOW, "note": GREEN}
PROFILES = ("aes67", "st2110", "dante")
INDENT = 4


def add_commands(commands: Commands, options: argparse.ArgumentParser) -> None:
    """Add the command of this file."""
    words = "what is wrong with a session description (SDP), line by line"
    parser = commands.add_parser("lint", parents=[options], help=words)
    parser.add_argument(
        "origin", metavar="SDP",
        help="an SDP file, - for standard input, source:N for ours, or remote:ID for one that "
        "browse lists",
    )  # fmt: skip
    parser.add_argument(
        "--for", dest="profile", choices=PROFILES, default="aes67",
        help="whose rules: AES67's (default), ST 2110-30's, or what Dante devices take",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, client: Client) -> int:
    """Print all findings; 1 when one of them is an error."""
    from aes67.wire.sdp_lint import lint  # 20 ms that --help need not pay

    findings = lint(description(arguments.origin, client), arguments.profile)
    if arguments.json:
        print_json([asdict(each) for each in findings])
    for each in () if arguments.json else findings:
        severity = paint(each.severity, COLOURS[each.severity])
        words = f"line {each.line}: {severity}: {visible(each.message)} [{each.rule}]"
        print(wrapped(words, INDENT, columns_shown()))
    if not findings and not arguments.json:
        print(f"nothing to object to ({arguments.profile})")
    return int(any(each.severity == "error" for each in findings))


def description(text: str, client: Client) -> str | bytes:
    """The description that is meant, with the line ends it has.

    Raises:
        Refused: there is none.
    """
    if text == "-":
        return sys.stdin.buffer.read(MOST_OCTETS)
    if Path(text).exists() and not Path(text).is_dir():
        with Path(text).open("rb") as file:
            return file.read(MOST_OCTETS)
    url, sdp = origin(text, client, "sdp")
    if url:
        raise Refused("sdp", text, "save it in a file first, and name that")
    return sdp
