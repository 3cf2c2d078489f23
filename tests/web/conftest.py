"""The page over a real control process, in a real browser; no engine unless a test starts one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aes67_api.listener import Listener
from sim.browser import chromium
from sim.http_node import HttpNode, http_node
from sim.page_user import User


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[HttpNode]:
    async with http_node(tmp_path) as made:
        yield made


@pytest.fixture
async def served(node: HttpNode) -> AsyncIterator[Listener]:
    listener = Listener(node.app, "127.0.0.1")
    await listener.open(0)
    yield listener
    await listener.close()


@pytest.fixture
async def user(served: Listener) -> AsyncIterator[User]:
    async with chromium() as page:
        await page.open(f"http://127.0.0.1:{served.port}/")
        made = User(page)
        await made.reads("#link", "live")
        yield made
        assert page.errors == []
