"""Words of a command line that end in a systemd unit: a user, interfaces, a configuration file."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?")
"""What systemd and useradd both take for a name: no number, nothing to be quoted."""
_INTERFACE = re.compile(r"[^\s/:,]{1,15}")
"""What the kernel takes for an interface's name (IFNAMSIZ)."""
_INTERFACES = 2
PRIVATE = (Path("/tmp"), Path("/var/tmp"))
"""Folders of which the service has its own (`PrivateTmp=`)."""


def user_name(text: str) -> str:
    """The name of a user."""
    if not _USER.fullmatch(text):
        words = "up to 31 letters, digits, '_', '.' and '-', a letter or '_' first"
        raise argparse.ArgumentTypeError(f"{text!r} is no user name: {words}")
    return text


def interface_names(text: str) -> str:
    """The name of a network interface, or of two with a comma."""
    names = text.split(",")
    if len(names) > _INTERFACES or not all(map(_INTERFACE.fullmatch, names)):
        raise argparse.ArgumentTypeError(f"{text!r} is no interface such as eth0 or eth0,eth1")
    return text


def config_file(text: str) -> Path:
    """The absolute path of a file that the service can reach; it need not exist."""
    if not text or text.endswith("/") or os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no file")
    path = Path(os.path.abspath(text))
    if problem := unreachable(path):
        raise argparse.ArgumentTypeError(f"{text!r}: {problem}")
    return path


def unreachable(path: Path) -> str:
    """Why the service has nothing of this file, empty when it can have it."""
    if not str(path).isprintable():
        return "a unit cannot name a file with such characters"
    for each in PRIVATE:
        if path.is_relative_to(each):
            return f"the service has a {each} of its own"
    return ""
