"""A headless Chromium driven over its DevTools protocol: opens a page, asks, collects errors."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

START_SECONDS = 60.0
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-port=0", "--remote-allow-origins=*",
)  # fmt: skip


class Page:
    """One page; `errors` are the exceptions and console errors of its scripts."""

    def __init__(self, socket: ClientConnection) -> None:
        self.errors: list[str] = []
        self._socket = socket
        self._numbers = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One DevTools command and its result."""
        self._numbers += 1
        answer = asyncio.get_running_loop().create_future()
        self._answers[self._numbers] = answer
        message = {"id": self._numbers, "method": method, "params": parameters}
        await self._socket.send(json.dumps(message))
        async with asyncio.timeout(START_SECONDS):
            result: dict[str, Any] = await answer
        return result

    async def open(self, url: str) -> None:
        """Go to a page."""
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=url)

    async def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        result = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, expression: str, seconds: float = 20.0) -> None:
        """Wait until an expression is true; TimeoutError names it."""
        try:
            async with asyncio.timeout(seconds):
                while not await self.ask(expression):  # noqa: ASYNC110 (the page tells nothing)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = await self.ask("document.body.innerText")
            raise TimeoutError(f"{expression} did not come true; the page says:\n{text}") from None

    async def look(self, width: int, height: int, scheme: str) -> bytes:
        """A picture (PNG) in a window of this size, `scheme` light or dark."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self.call("Emulation.setEmulatedMedia", features=[feature])
        await self.ask("new Promise(done => setTimeout(done, 300))")
        result = await self.call("Page.captureScreenshot", captureBeyondViewport=False)
        return base64.b64decode(result["data"])

    async def close(self) -> None:
        """Stop listening."""
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message.get("result", {}))
                continue
            details = message["params"]
            if message["method"] == "Runtime.exceptionThrown":
                self.errors.append(str(details["exceptionDetails"]))
            elif message["method"] == "Runtime.consoleAPICalled" and details["type"] == "error":
                self.errors.append(str(details["args"]))


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    """A browser with one empty page, gone at the end with all its processes."""
    with tempfile.TemporaryDirectory(prefix="aes67-chromium-", ignore_cleanup_errors=True) as home:
        process = await asyncio.create_subprocess_exec(
            "chromium", *OPTIONS, f"--user-data-dir={home}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"TMPDIR": home},  # where it leaves a folder at each start
        )  # fmt: skip
        try:
            port = await _port(process)
            async with connect(await _page_address(port, Path(home)), max_size=None) as socket:
                page = Page(socket)
                try:
                    yield page
                finally:
                    await page.close()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _port(process: asyncio.subprocess.Process) -> int:
    assert process.stderr is not None
    async with asyncio.timeout(START_SECONDS):
        async for line in process.stderr:
            if match := re.search(rb"DevTools listening on ws://127\.0\.0\.1:(\d+)/", line):
                return int(match[1])
    raise AssertionError("chromium did not start")


async def _page_address(port: int, home: Path) -> str:
    import httpx

    async with httpx.AsyncClient() as client:
        for target in (await client.get(f"http://127.0.0.1:{port}/json")).json():
            if target["type"] == "page":
                return str(target["webSocketDebuggerUrl"])
    raise AssertionError(f"no page in {home}")
