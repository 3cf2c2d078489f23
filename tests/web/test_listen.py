"""The page's listen control in a real browser: what can be chosen, and why it does not play."""

from __future__ import annotations

import pytest

from sim.http_node import SINK, SOURCE, HttpNode
from sim.page_user import User

pytestmark = pytest.mark.peer("chromium")


async def test_each_sink_can_be_heard_and_it_is_said_why_not(user: User, node: HttpNode) -> None:
    await node.client.put("/api/v1/sources/0", json=SOURCE)
    sdp = (await node.client.get("/api/source/sdp/0")).text
    for number, name in ((2, "Küche"), (7, "Studio")):
        body = SINK | {"name": name, "sdp": sdp}
        await node.client.put(f"/api/v1/sinks/{number}", json=body)
    await user.presses("Listen to Studio", "#sink-7")
    await user.reads(".player", "streamer_enabled")
    await user.reads(".player", "Studio")
    await user.presses("Close", ".player")
    await user.sees("!document.querySelector('.player')")
