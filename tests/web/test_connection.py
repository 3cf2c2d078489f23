"""What the page lives by: the websocket, polling where there is none, nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from aes67_api.listener import Listener
from sim.browser import chromium
from sim.http_node import SOURCE, HttpNode
from sim.page_user import User

WEB = Path(__file__).parent.parent.parent / "web"


def without_websockets(app: ASGIApp) -> ASGIApp:
    """As behind a proxy that knows no websockets."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        await app(scope, receive, send)

    return served


@pytest.mark.peer("chromium")
async def test_where_websockets_are_blocked_it_asks(node: HttpNode) -> None:
    listener = Listener(without_websockets(node.app), "127.0.0.1")
    await listener.open(0)
    try:
        async with chromium() as page:
            user = User(page)
            await page.open(f"http://127.0.0.1:{listener.port}/")
            await user.reads("#link", "asking every second")
            await node.client.put("/api/v1/sources/0", json=SOURCE | {"name": "Asked for"})
            await user.reads("#source-0", "Asked for")
            assert page.errors == []
    finally:
        await listener.close()


@pytest.mark.peer("chromium")
async def test_settings_are_found_refused_at_their_field_and_saved(
    user: User, node: HttpNode
) -> None:
    await user.ask("location.hash = '#system'")
    await user.enters("#set-ptp_domain", "200")
    await user.presses("Save", "#settings")
    await user.reads("#set-ptp_domain-error", "0 to 127")
    await user.enters("#set-ptp_domain", "5")
    await user.enters("#set-custom_node_id", "Desk")
    await user.presses("Save", "#settings")
    await user.reads("#settings", "saved: ptp_domain, custom_node_id")
    assert node.control.node.config.ptp_domain == 5
    assert node.config_file["custom_node_id"] == "Desk"
    await user.reads("h1", "Desk")
    await user.enters("#settings input[type=search]", "rtcp")
    await user.sees("document.querySelectorAll('#settings .field').length === 1")


@pytest.mark.peer("chromium")
async def test_it_asks_nobody_else_and_every_control_has_a_name(user: User) -> None:
    elsewhere = "performance.getEntriesByType('resource').filter(each => !each.name.startsWith"
    for view in ("#streams", "#clock", "#system"):
        await user.ask(f"location.hash = '{view}'")
        await user.sees(f"!!document.querySelector('nav a[href=\"{view}\"][aria-current]')")
        assert await user.ask(f"{elsewhere}(location.origin)).length") == 0
        assert await user.ask(
            "[...document.querySelectorAll('button, input, select, a')].filter(each => !("
            "each.getAttribute('aria-label') || each.innerText || each.labels?.length)).length"
        ) == 0  # fmt: skip


def test_no_file_of_ours_names_another_place() -> None:
    elsewhere = re.compile(r"""(src|href|from|import|url)\s*[=(]?\s*["']?(https?:)?//""")
    own = [file for file in WEB.iterdir() if file.suffix in (".html", ".css", ".js")]
    assert len(own) > 10
    for file in own:
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not elsewhere.search(line), (file.name, line)
