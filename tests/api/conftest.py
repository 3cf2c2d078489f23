"""A node of one's own for each test of the HTTP interfaces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sim.http_node import HttpNode, http_node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[HttpNode]:
    """A control process without an engine, on lo."""
    async with http_node(tmp_path) as made:
        yield made
