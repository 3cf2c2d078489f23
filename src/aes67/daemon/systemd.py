"""What systemd is told (sd_notify(3))."""

from __future__ import annotations

import os
import socket


def notify(text: str) -> None:
    """Tell systemd, if it listens (sd_notify(3)); what it does not get is not worth an error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address[0] == "@":
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.setblocking(False)
            sock.sendto(text.encode(), address)
        except OSError:
            return
