"""The page's listen control in a real browser: what can be chosen, and why it does not play."""

from __future__ import annotations

from pathlib import Path

import pytest

from aes67_api.listener import Listener
from sim.browser import chromium
from sim.http_node import SINK, SOURCE, http_node

pytestmark = pytest.mark.peer("chromium")

OPTIONS = "[...document.querySelectorAll('#listen-sink option')].map(each => each.textContent)"
SAID = "document.querySelector('#listen-state').textContent"


async def test_it_offers_the_sinks_and_says_why_it_cannot(tmp_path: Path) -> None:
    async with http_node(tmp_path) as node:
        await node.client.put("/api/v1/sources/0", json=SOURCE)
        sdp = (await node.client.get("/api/source/sdp/0")).text
        for number, name in ((2, "Küche"), (7, "Studio")):
            body = SINK | {"name": name, "sdp": sdp}
            await node.client.put(f"/api/v1/sinks/{number}", json=body)
        listener = Listener(node.app, "127.0.0.1")
        await listener.open(0)
        try:
            async with chromium() as page:
                await page.open(f"http://127.0.0.1:{listener.port}/")
                await page.until(f"{OPTIONS}.length === 2")
                assert await page.ask(OPTIONS) == ["2  Küche", "7  Studio"]
                await page.ask("document.querySelector('#listen-button').click()")
                await page.until(f"{SAID}.includes('streamer_enabled')")
        finally:
            await listener.close()
