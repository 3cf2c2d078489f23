"""The page over a real daemon with its engine: what is made there is sent, heard and played."""

from __future__ import annotations

import asyncio

import pytest

from aes67.selftest.node import Node
from sim.browser import chromium
from sim.page_user import User

pytestmark = [pytest.mark.root, pytest.mark.peer("chromium", "aplay")]


def word(row: str) -> str:
    """The state of a row, as the page says it."""
    return f"document.querySelector('{row} .state-word')?.innerText.trim()"


async def test_a_user_sends_receives_and_sees_who_plays(node: Node) -> None:
    async with chromium() as page:
        await page.open(f"{node.client.url}/")
        user = User(page)
        await user.reads("#link", "live")
        await user.reads("#verdict", "clock locked")
        await user.presses("Add source")
        await user.enters("#f-name", "Studio")
        await user.presses("Save")
        await user.sees(f"{word('#source-0')} === 'sending'")
        await user.presses("Add sink")
        await user.enters("#f-origin", "own 0")
        await user.sees("document.querySelector('#f-sdp').value.startsWith('v=0')")
        await user.presses("Save")
        await user.sees(f"{word('#sink-0')} === 'receiving'")
        await user.presses("Details", "#sink-0")
        await user.reads("#sink-0 .legs", "Only from")
        await user.reads("#source-0 .meter + small", "silent")
        await _while_it_plays(node, user)
        await user.reads("#pcms", "No application")
        await user.ask("location.hash = '#clock'")
        await user.reads("#clock .figures", "Sync sent")
        assert "–" not in await user.ask("document.querySelector('#clock .figures').innerText")
        assert page.errors == []


async def _while_it_plays(node: Node, user: User) -> None:
    loud = node.directory / "loud.raw"
    loud.write_bytes(b"\x00\x40\x00\xc0" * 2_880_000)  # a minute
    command = ("aplay", "-q", "-D", "aes67", "-f", "S16_LE", "-r", "48000", "-c", "2", str(loud))
    player = await asyncio.create_subprocess_exec(*command, env=node.environment)
    try:
        await user.reads("#pcms", "sent as Studio")
        await user.reads("#source-0 .meter + small", "dBFS")
    finally:
        player.terminate()
        await player.wait()
