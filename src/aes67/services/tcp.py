"""Listening TCP sockets, taken over from a service that has just ended but shared with nobody."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from aes67.errors import Aes67Error

LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""
TURN_SECONDS = 1.0


class PortBusy(Aes67Error):
    """Somebody listens there, or we may not; the text says so."""


def listen(
    address: str,
    port: int,
    backlog: int,
    what: str,
    *,
    device: str = "",
    ours: Collection[socket.socket] = (),
) -> socket.socket:
    """A listening, non-blocking socket with SO_REUSEADDR and SO_REUSEPORT.

    Both, because sockets the AES67 daemon left in TIME_WAIT carry only the second. Since the
    second would also let two services share the port, a listener there is looked for before, by
    one of us at a time.

    Args:
        address: to listen at, empty: all of IPv4.
        port: 0 for any free one.
        backlog: connections the kernel keeps until they are accepted.
        what: the service, for the error's text.
        device: the interface connections have to come in by; empty: any.
        ours: sockets that may listen there already.

    Raises:
        PortBusy: why it cannot be had.
    """
    host = address or "0.0.0.0"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named asyncio sets TCP_NODELAY; else each answer waits 40 ms for an ACK.
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with _turn(port):
            if device:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
            if port and _listened(host, port, {os.fstat(each.fileno()).st_ino for each in ours}):
                raise PortBusy(f"{what} port {port} is busy: another program listens there")
            sock.bind((host, port))
            sock.listen(backlog)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or str(error)
        where = f"{device} port {port}" if device else f"{host}:{port}"
        raise PortBusy(f"{what}: cannot listen on {where}: {reason}") from None
    except PortBusy:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def _turn(port: int) -> Iterator[None]:
    """A lock between processes of this network namespace: two that look at the same moment would
    both find the port free. A name in the abstract namespace; it goes with the process."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as lock:
        deadline = time.monotonic() + TURN_SECONDS
        while time.monotonic() < deadline:
            try:
                lock.bind(f"\0aes67-tcp-{port}")
                break
            except OSError:
                time.sleep(0.01)
        yield  # without the lock, too: whoever keeps it must not keep us from starting


def _listened(host: str, port: int, ours: set[int]) -> bool:
    """Whether a socket of this network namespace, other than those of these inodes, listens there
    or, in part, on all addresses."""
    wanted = ipaddress.ip_address(host)
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(name).read_text().splitlines()[1:]:
                fields = line.split()
                address, _, number = fields[1].rpartition(":")
                if fields[3] != LISTEN or int(number, 16) != port or int(fields[9]) in ours:
                    continue
                found = _address(address)
                if found == wanted or found.is_unspecified or wanted.is_unspecified:
                    return True
    return False


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address of /proc/net/tcp: 32-bit words in hexadecimal, in the machine's byte order."""
    words = bytes.fromhex(text)
    if sys.byteorder == "little":
        words = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
    found = ipaddress.ip_address(words)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
