"""The page where there are two clocks: the second one with its name, reason and distance."""

from __future__ import annotations

import time
from typing import Any

import pytest

from aes67_api.listener import Listener
from sim.browser import chromium
from sim.http_node import HttpNode
from sim.page_user import PATIENCE_S

pytestmark = [pytest.mark.peer("chromium"), pytest.mark.timeout(300)]

SHOWN = "document.querySelector('#second')?.innerText ?? ''"
MEDIA = {"state": "locked", "reason": "3 sigma 1 us", "gmid": "00-1D-C1-FF-FE-00-00-01"}
STAGE: dict[str, Any] = {
    "name": "stage", "state": "holdover", "reason": "no Sync from the stage", "interface": "eth1",
    "gmid": "00-1D-C1-FF-FE-00-00-02", "domain": 4, "uncertainty_ns": 2000,
    "ahead_of_media_ns": 3_600_000_000_000, "ahead_of_media_ppm": 20.0,
}  # fmt: skip


async def test_the_second_clock_is_on_the_page(
    node: HttpNode, served: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if an engine with two clocks had told so and were still there."""
    rows = {"interface_name": "lo,eth1", "ptp_clocks": "media,stage"}
    config = node.control.node.config.model_copy(update=rows)
    monkeypatch.setattr(type(node.control.node), "config", config)
    node.control.told.clock(MEDIA, time.monotonic_ns())
    node.control.told.second.told(STAGE)
    monkeypatch.setattr(type(node.control.link), "connected", True)
    async with chromium() as page:
        await page.open(f"http://127.0.0.1:{served.port}/#clock")
        await page.until(f"{SHOWN}.includes('no Sync from the stage')", PATIENCE_S)
        text = await page.ask(SHOWN)
        for words in ("stage", "holdover", "3600.0000", "20.000 ppm", STAGE["gmid"], "eth1"):
            assert words in text
        assert "shown only" in text
        assert page.errors == []
