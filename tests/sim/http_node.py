"""The control process in a test: the real application over the real node, engine or not."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

from aes67.control.control import Control
from aes67.control.files import load_config
from aes67_api.app import create
from aes67_api.listener import Listener


@dataclass
class HttpNode:
    """A control process, its application, and a client of it that needs no port."""

    control: Control
    app: ASGIApp
    client: httpx.AsyncClient
    directory: Path

    @property
    def config_file(self) -> dict[str, Any]:
        """The configuration file as it stands."""
        content: dict[str, Any] = json.loads((self.directory / "daemon.conf").read_text())
        return content

    @property
    def status_file(self) -> dict[str, Any]:
        """The status file as it stands."""
        content: dict[str, Any] = json.loads((self.directory / "status.json").read_text())
        return content


@contextlib.contextmanager
def own_logging() -> Iterator[None]:
    """Give the test run its logging back: a control process sets up its own."""
    names = ("", "uvicorn", "uvicorn.error", "asyncio")
    levels = {name: logging.getLogger(name).level for name in names}
    try:
        yield
    finally:
        root = logging.getLogger()
        for handler in [each for each in root.handlers if getattr(each, "of_aes67", False)]:
            root.removeHandler(handler)
            handler.close()
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextlib.asynccontextmanager
async def http_node(directory: Path, **changes: Any) -> AsyncIterator[HttpNode]:
    """A control process on lo with its files in `directory`; `changes` of the configuration."""
    path = directory / "daemon.conf"
    if not path.exists():
        values = {
            "interface_name": "lo", "syslog_proto": "none", "log_severity": 5,
            "status_file": str(directory / "status.json"), "clock_mode": "free",
            "device_channels": 64,
        }  # fmt: skip
        path.write_text(json.dumps(values | changes))
    with own_logging():
        control = Control(load_config(path), path, directory)
        app = create(control)
        await control.start()
        try:
            transport = httpx.ASGITransport(app, raise_app_exceptions=True)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost"
            ) as client:
                yield HttpNode(control, app, client, directory)
        finally:
            await control.close()


@contextlib.asynccontextmanager
async def served(node: HttpNode) -> AsyncIterator[str]:
    """The same over a real port; gives the base URL."""
    listener = Listener(node.app, "127.0.0.1")
    await listener.open(0)
    try:
        yield f"http://127.0.0.1:{listener.port}"
    finally:
        await listener.close()


SOURCE = {
    "enabled": True, "name": "A", "io": "Audio Device", "map": [0, 1],
    "max_samples_per_packet": 48, "codec": "L24", "address": "", "ttl": 15, "payload_type": 98,
    "dscp": 34, "refclk_ptp_traceable": False,
}  # fmt: skip
SINK = {
    "name": "B", "io": "Audio Device", "source": "", "use_sdp": True, "sdp": "", "delay": 576,
    "ignore_refclk_gmid": False, "map": [0, 1],
}  # fmt: skip
