"""A user at the page: finds things by what they are called, and waits for what should be there."""

from __future__ import annotations

import json
from typing import Any

from sim.browser import Page

PATIENCE_S = 60.0


class User:
    """Somebody at the page: finds things by what they are called."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def ask(self, expression: str) -> Any:
        """The value of an expression."""
        return await self.page.ask(expression)

    async def sees(self, expression: str) -> None:
        """Wait until it is true."""
        await self.page.until(expression, PATIENCE_S)

    async def reads(self, selector: str, words: str) -> None:
        """Wait until an element contains these words."""
        await self.sees(f"{_one(selector)}?.innerText.includes({json.dumps(words)}) === true")

    async def presses(self, name: str, within: str = "body") -> None:
        """Press the button of this accessible name."""
        found = (
            f"[...document.querySelectorAll({json.dumps(within + ' button')})].find(each => "
            f"(each.getAttribute('aria-label') ?? each.innerText) === {json.dumps(name)})"
        )
        await self.sees(f"!!{found} && !{found}.disabled")
        # a gesture, or the browser would not let the page play
        await self.page.call("Runtime.evaluate", expression=f"{found}.click()", userGesture=True)

    async def strikes(self, key: str, code: int, text: str = "") -> None:
        """Strike a key, as the browser gets it from a keyboard."""
        about = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.page.call("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
        await self.page.call("Input.dispatchKeyEvent", type="keyUp", **about)

    async def enters(self, selector: str, value: str) -> None:
        """Put a value into an input, a text area or a choice."""
        await self.sees(f"!!{_one(selector)}")
        await self.ask(
            f"(() => {{ const input = {_one(selector)}; input.focus(); input.value = "
            f"{json.dumps(value)}; for (const kind of ['input', 'change']) "
            "input.dispatchEvent(new Event(kind, {bubbles: true})); })()"
        )
        await self.sees(f"{_one(selector)}.value === {json.dumps(value)}")


def _one(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)})"
