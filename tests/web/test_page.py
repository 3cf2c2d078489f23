"""The page in a real browser: what it shows of the clock, and that it outlives the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from aes67.clock.timebase import NS
from aes67.ptp.snapshot import render
from aes67_api.listener import Listener
from sim.browser import Page, chromium
from sim.http_node import HttpNode
from sim.page_user import PATIENCE_S
from sim.world import Master, Oscillator, World

# a first compilation of the clock on a busy machine takes its time
pytestmark = [pytest.mark.peer("chromium"), pytest.mark.timeout(300)]

MASTER = "00-1D-C1-FF-FE-00-00-01"
STATE = "document.querySelector('#clock .word strong')?.textContent"
REASON = "document.querySelector('#clock .reason')?.textContent"
VERDICT = "document.querySelector('#verdict').textContent"
LINK = "document.querySelector('#link')?.textContent"
LOST = "document.querySelector('#lost')?.textContent"
INK = """[...document.querySelectorAll('#clock .plot canvas')].map(canvas => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let ink = 0;
  for (let i = 3; i < data.length; i += 4) ink += data[i] > 0;
  return ink / (data.length / 4);
})"""
POINT = """(() => {
  const over = document.querySelector('#clock .plot .u-over'), box = over.getBoundingClientRect();
  const at = {clientX: box.left + box.width / 2, clientY: box.top + 20, bubbles: true};
  over.dispatchEvent(new MouseEvent('mouseenter', at));
  over.dispatchEvent(new MouseEvent('mousemove', at));
})()"""
READINGS = "[...document.querySelectorAll('#clock figcaption output')].map(each => each.innerText)"
WIDER_THAN_THE_WINDOW = "document.documentElement.scrollWidth > window.innerWidth"


def snapshots(seconds: int) -> list[dict[str, Any]]:
    """A clock that locks to one master, with another one in domain 4: one snapshot a second."""
    world = World()
    Master(world, law=Oscillator(ppm=30, start_ns=1_700_000_000 * NS)).start()
    Master(world, clock=b"\xec" * 8, domain=4).start()
    clock = world.slave()
    found = []
    for second in range(1, seconds + 1):
        world.run(second)
        found.append(render(clock, world.local.at(world.now)))
    return found


@pytest.fixture
async def page(served: Listener) -> AsyncIterator[Page]:
    async with chromium() as made:
        await made.open(f"http://127.0.0.1:{served.port}/#clock")
        yield made
        assert made.errors == []


def tell(node: HttpNode, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """As if an engine had told these, one a second, and were still there."""
    import time

    now_ns = time.monotonic_ns()
    for i, snapshot in enumerate(told):
        node.control.told.history.add(snapshot, now_ns - (len(told) - i) * NS)
    node.control.told.ptp = told[-1]
    node.control.told.ptp_ns = now_ns
    monkeypatch.setattr(type(node.control.link), "connected", True)


async def test_without_an_engine_it_says_so(page: Page) -> None:
    await page.until(f"{STATE} === 'unlocked'", PATIENCE_S)
    assert await page.ask(REASON) == "the engine is not running"
    assert await page.ask("document.querySelectorAll('.charts figure').length") == 1
    await page.until(
        "document.querySelector('.why')?.textContent.startsWith('The engine said')", PATIENCE_S
    )


async def test_it_shows_the_clock_its_history_and_every_master(
    page: Page, node: HttpNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = snapshots(50)
    tell(node, told, monkeypatch)
    await page.until(f"{STATE} === 'locked'", PATIENCE_S)
    text = await page.ask("document.querySelector('#clock').innerText")
    for word in (MASTER, "EC-EC-EC-EC-EC-EC-EC-EC", "followed", "other domain", "Delay_Resp"):
        assert word in text
    assert f"{told[-1]['rate_ppm']:.3f} ppm" in text
    for span in ("1 h", "24 h", "1 min"):
        buttons = "[...document.querySelectorAll('.spans button')]"
        button = f"{buttons}.find(button => button.innerText === '{span}')"
        await page.ask(f"{button}.click()")
        await page.until(f"{button}.getAttribute('aria-pressed') === 'true'", PATIENCE_S)
        await page.until(
            "document.querySelectorAll('#clock .plot canvas').length === 3", PATIENCE_S
        )
        await page.until(f"{INK}.every(ink => ink > 0.005)", PATIENCE_S)
    await page.until("document.querySelectorAll('.changes li').length > 1", PATIENCE_S)
    await page.ask(POINT)
    await page.until(f"{READINGS}.every(text => text !== '')", PATIENCE_S)
    offset, delay, rate = await page.ask(READINGS)
    assert "±" in offset, "with its 3 sigma"
    assert "locked" in offset
    assert delay.endswith("µs") or " to " in delay
    assert "ppm" in rate


async def test_when_a_change_happened_does_not_wander_between_two_answers(
    page: Page, node: HttpNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drawn_again(outliers: int) -> None:
        node.control.told.ptp = told[-1] | {"outliers": outliers}
        counts = "document.querySelector('.counts')?.innerText ?? ''"
        await page.until(f"({counts}).includes('{outliers} outliers')", PATIENCE_S)

    told = snapshots(20)
    tell(node, told, monkeypatch)
    times = "[...document.querySelectorAll('.changes time')].map(each => each.innerText)"
    await page.until(f"{times}.length > 1", PATIENCE_S)
    await page.ask("fetch = Response.prototype.json = () => new Promise(() => 0); true")
    await drawn_again(321)
    before = await page.ask(times)
    await page.ask("Date.now = (now => () => now() + 3000)(Date.now); true")
    await drawn_again(322)
    assert await page.ask(times) == before


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_it_fits_a_telephone_in_both_schemes(
    page: Page, node: HttpNode, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    tell(node, snapshots(20), monkeypatch)
    await page.until(f"{STATE} === 'locked'", PATIENCE_S)
    before = await page.look(1280, 900, "dark" if scheme == "light" else "light")
    narrow = await page.look(390, 844, scheme)
    assert narrow[:8] == before[:8] == b"\x89PNG\r\n\x1a\n"
    assert await page.ask(WIDER_THAN_THE_WINDOW) is False
    wanted = "'#14171c'" if scheme == "dark" else "'#f4f6f8'"
    root = "getComputedStyle(document.documentElement)"
    assert await page.ask(f"{root}.getPropertyValue('--ground').trim() === {wanted}")


async def test_it_says_that_the_connection_is_lost_and_goes_on_when_it_is_back(
    page: Page, node: HttpNode, served: Listener
) -> None:
    await page.until(f"{LINK} === 'live'", PATIENCE_S)
    port = served.port
    await served.close()
    await page.until("document.body.classList.contains('stale')", PATIENCE_S)
    assert await page.ask(VERDICT) == "connection lost"
    assert "Trying again" in await page.ask(LOST)
    again = Listener(node.app, "127.0.0.1")
    await again.open(port)
    try:
        await page.until(f"{LINK} === 'live' && !{LOST}", PATIENCE_S)
        assert await page.ask("document.body.classList.contains('stale')") is False
        assert await page.ask(VERDICT) == "engine not running"
    finally:
        await again.close()
