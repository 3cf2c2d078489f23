"""`aes67 alsa`: make the device known to every program of this machine or user, or take it away."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from aes67.cli.node import Commands
from aes67.cli.output import facts, print_json
from aes67.client import Client

STREAMS = Path("/run/aes67/streams")
"""What the system's daemon says of its streams."""
STREAMS_FILE = Path("/var/lib/alsa/conf.d/60-aes67-streams.conf")


def add_commands(commands: Commands, options: argparse.ArgumentParser) -> None:
    """Add the commands of this file."""
    parser = commands.add_parser("alsa", help="the ALSA device: install, remove, status")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, words, run in (
        ("install", "define the device (as root for all users, else for you)", install),
        ("remove", "take exactly that away again", remove),
        ("status", "what is defined where; 1 when nothing is", status),
    ):
        actions.add_parser(name, parents=[options], help=words).set_defaults(run=run)
    words = "the streams of the daemon as ALSA names"
    listed = actions.add_parser("names", parents=[options], help=words)
    listed.add_argument("--write", action="store_true",
                        help=f"those of the system's daemon into {STREAMS_FILE} (as root)")
    listed.set_defaults(run=names)


def install(arguments: argparse.Namespace, client: Client) -> int:
    """Write the ALSA configuration."""
    from aes67.alsa.install import install as write

    return _told(arguments, write(system=os.geteuid() == 0))


def remove(arguments: argparse.Namespace, client: Client) -> int:
    """Take the ALSA configuration away."""
    from aes67.alsa.install import remove as take_away

    return _told(arguments, take_away() or ["nothing was installed"])


def status(arguments: argparse.Namespace, client: Client) -> int:
    """Say what is installed; 1 when the device is not."""
    value = _state()
    if arguments.json:
        print_json(value)
    else:
        missing = ", ".join(value["missing_libraries"])
        print(facts([*list(value.items())[:3], ("missing libraries", missing)]))
    return 0 if value["installed"] else 1


def _state() -> dict[str, Any]:
    from aes67.alsa.install import status as look

    found = look()
    return {
        "installed": found.is_installed,
        "system_file": str(found.system_file) if found.system_file else None,
        "user_file": str(found.user_file) if found.user_file else None,
        "missing_libraries": list(found.missing_libraries),
    }


def names(arguments: argparse.Namespace, client: Client) -> int:
    """Print the names of all streams, or write alsa-lib's list of them."""
    from aes67.session.pcm_names import Named, listing, read_table

    if arguments.write:
        text = STREAMS.read_text(encoding="utf-8") if STREAMS.exists() else ""
        STREAMS_FILE.parent.mkdir(parents=True, exist_ok=True)
        new = STREAMS_FILE.with_name(f".{STREAMS_FILE.name}.new")
        new.write_text(listing(read_table(text)), encoding="utf-8")
        new.chmod(0o644)
        new.replace(STREAMS_FILE)
        return 0
    streams = client.get("/api/streams")
    rows = [Named(kind, row["id"], row["name"], tuple(row["map"]))
            for kind in ("source", "sink") for row in streams[f"{kind}s"]]  # fmt: skip
    shown = [each.device for each in rows if each.can_be_opened]
    if arguments.json:
        print_json(shown)
    elif shown:
        print("\n".join(shown))
    return 0


def _told(arguments: argparse.Namespace, sentences: list[str]) -> int:
    if arguments.json:
        print_json(_state() | {"messages": sentences})
    else:
        print("\n".join(sentences))
    return 0
