"""Where the log goes and how much of it, as the configuration says; changed while running."""

from __future__ import annotations

import logging
import logging.handlers
import socket
import sys
from pathlib import Path

from aes67.config.model import Config

LEVELS = (5, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
"""By `log_severity`: trace, debug, info, warning, error, fatal."""

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
LOCAL_SYSLOG = Path("/dev/log")


def early() -> None:
    """Log to standard error until a configuration says where."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    _install(handler)


def set_up(config: Config) -> str:
    """Send the log where `config` says; returns a warning when it cannot, else ''.

    Without a local syslog (a container) the log goes to standard error.
    """
    handler, warning = _handler(config)
    _install(handler)
    logging.getLogger().setLevel(LEVELS[config.log_severity])
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        # below this uvicorn logs every client's nonsense
        logging.getLogger(name).setLevel(max(LEVELS[config.log_severity], logging.ERROR))
    return warning


def _install(handler: logging.Handler) -> None:
    root = logging.getLogger()
    for old in [each for each in root.handlers if getattr(each, "of_aes67", False)]:
        root.removeHandler(old)
        old.close()
    handler.of_aes67 = True  # type: ignore[attr-defined]
    root.addHandler(handler)


def _handler(config: Config) -> tuple[logging.Handler, str]:
    facility = logging.handlers.SysLogHandler
    warning = ""
    try:
        if config.syslog_proto == "udp":
            host, _, port = config.syslog_server.rpartition(":")
            if not host or not port.isdecimal():
                raise OSError(f"syslog_server {config.syslog_server!r} is not address:port")
            return _named(facility((host, int(port)), facility.LOG_LOCAL0, socket.SOCK_DGRAM)), ""
        if config.syslog_proto == "" and LOCAL_SYSLOG.exists():
            return _named(facility(str(LOCAL_SYSLOG), facility.LOG_USER)), ""
    except (OSError, OverflowError) as error:
        warning = f"the log goes to standard error: {error}"
    stream = sys.stdout if config.syslog_proto == "none" else sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(FORMAT))
    return handler, warning


def _named(handler: logging.Handler) -> logging.Handler:
    handler.setFormatter(logging.Formatter("aes67: %(levelname)s %(name)s: %(message)s"))
    return handler
