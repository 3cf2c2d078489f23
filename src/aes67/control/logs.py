"""Where the log goes and how much of it, as the configuration says; changed while running."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import TextIO

from aes67.config.model import Config
from aes67.control.syslog import Syslog, server, severity

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
    logging.getLogger("zeroconf").addFilter(_without_traceback)
    return warning


def _without_traceback(record: logging.LogRecord) -> bool:
    """zeroconf tells of a network that has gone with its whole stack; the first line says it."""
    if record.levelno <= logging.WARNING:
        record.exc_info = None
    return True


def _install(handler: logging.Handler) -> None:
    root = logging.getLogger()
    for old in [each for each in root.handlers if getattr(each, "of_aes67", False)]:
        root.removeHandler(old)
        old.close()
    handler.of_aes67 = True  # type: ignore[attr-defined]
    root.addHandler(handler)


def _handler(config: Config) -> tuple[logging.Handler, str]:
    warning = ""
    try:
        if config.syslog_proto == "udp":
            return _named(Syslog(server(config.syslog_server))), ""
        if config.syslog_proto == "" and LOCAL_SYSLOG.exists():
            return _named(Syslog(LOCAL_SYSLOG)), ""
    except OSError as error:
        warning = f"the log goes to standard error: {error}"
    stream = sys.stdout if config.syslog_proto == "none" else sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_ForJournal() if _is_journal(stream) else logging.Formatter(FORMAT))
    return handler, warning


def _named(handler: logging.Handler) -> logging.Handler:
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    return handler


def _is_journal(stream: TextIO) -> bool:
    """Whether systemd's journal reads this stream (systemd.exec(5), JOURNAL_STREAM)."""
    with contextlib.suppress(OSError, ValueError):
        found = os.fstat(stream.fileno())
        return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
    return False


class _ForJournal(logging.Formatter):
    """Lines as sd-daemon(3) has them: the severity in front; the journal adds the time itself."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        mark = f"<{severity(record.levelno)}>"
        return "\n".join(mark + line for line in super().format(record).splitlines())
