"""Log records as syslog datagrams (RFC 3164), to /dev/log or to a server, waiting for neither."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import socket
import time
from pathlib import Path

USER, LOCAL0 = 1, 16
"""Facilities: of the local syslog, and of the server, as the contract has them."""
SEVERITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
DEBUG = 7
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MAX_BYTES = 1024
"""RFC 3164, 4.1: the longest datagram a server has to take."""
TAG = "aes67"


def severity(level: int) -> int:
    """The syslog severity of a logging level."""
    return next((number for least, number in SEVERITIES if level >= least), DEBUG)


def server(text: str) -> tuple[str, int]:
    """Address and port of `a.b.c.d:port` or `[v6]:port`.

    Raises:
        OSError: it is neither; names are not looked up, since that would stall the service.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536:
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(host)), int(port)
    raise OSError(f"syslog_server {text!r} is not address:port")


def datagram(record: logging.LogRecord, text: str, facility: int, host: str) -> bytes:
    """One record; `host` only for a server, the local syslog knows where it is."""
    now = time.localtime(record.created)
    when = f"{MONTHS[now.tm_mon - 1]} {now.tm_mday:2d} {now.tm_hour:02d}:{now.tm_min:02d}"
    head = f"<{facility * 8 + severity(record.levelno)}>{when}:{now.tm_sec:02d} "
    head += f"{host} " if host else ""
    line = "".join(each for each in " | ".join(text.splitlines()) if each.isprintable())
    return f"{head}{TAG}[{os.getpid()}]: {line}".encode()[:MAX_BYTES]


class Syslog(logging.Handler):
    """Sends each record at once or not at all: a log nobody reads must not stop the audio.

    Args:
        to: path of a socket, or (address, port) of a server.

    Raises:
        OSError: there is no such socket or no way there.
    """

    def __init__(self, to: Path | tuple[str, int]) -> None:
        super().__init__()
        self._to = to
        self._facility, self._host = USER, ""
        if isinstance(to, tuple):
            self._facility, self._host = LOCAL0, socket.gethostname().partition(".")[0] or "-"
        self._sock = self._connect()

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            data = datagram(record, self.format(record), self._facility, self._host)
            try:
                self._sock.send(data)
            except BlockingIOError:
                return  # it does not keep up
            except OSError:
                # A syslog that was started anew has another socket; a server's "port unreachable"
                # is the answer to an earlier record.
                self._sock.close()
                self._sock = self._connect()
                with contextlib.suppress(OSError):
                    self._sock.send(data)
        except OSError:
            return
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Let go of the socket."""
        self._sock.close()
        super().close()

    def _connect(self) -> socket.socket:
        to: str | tuple[str, int]
        if isinstance(self._to, tuple):
            to = self._to
            family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
        else:
            to, family = str(self._to), socket.AF_UNIX
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.connect(to)
        except OSError:
            sock.close()
            raise
        return sock
