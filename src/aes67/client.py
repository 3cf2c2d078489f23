"""HTTP client of the daemon's API for the command line and the self-tests; standard library only.

One connection a request, short time-outs, and errors in words that say what to do next.
"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlsplit

from aes67.errors import Aes67Error

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_S = 10.0


class Unreachable(Aes67Error):
    """Nobody answers at the daemon's address."""


class ApiError(Aes67Error):
    """The daemon answered with an error: `code` is the HTTP status, `text` its words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text or f"the daemon answered {code} without a word")
        self.code = code
        self.text = text


def default_url() -> str:
    """Address of the daemon: `$AES67_URL`, else http://127.0.0.1:8080."""
    return os.environ.get("AES67_URL") or DEFAULT_URL


class Client:
    """Speaks to the daemon at `url` (scheme, host and port; a path is ignored)."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        """Raise Unreachable for an address that cannot be one."""
        self.url = url if "//" in url else f"http://{url}"
        self._timeout_s = timeout_s
        parts = urlsplit(self.url)
        try:
            self._host, self._port = parts.hostname or "", parts.port or 80
        except ValueError:
            self._host, self._port = "", 0
        if parts.scheme != "http" or not self._host:
            raise Unreachable(f"{url} is no address of a daemon; it looks like {DEFAULT_URL}")

    def get(self, path: str) -> Any:
        """The JSON value (or the text, when it is none) at `path`."""
        return self._request("GET", path, None)

    def put(self, path: str, value: object) -> Any:
        """Store `value` as JSON at `path`."""
        return self._request("PUT", path, value)

    def patch(self, path: str, value: object) -> Any:
        """Change what `value` names at `path`."""
        return self._request("PATCH", path, value)

    def delete(self, path: str) -> Any:
        """Remove `path`."""
        return self._request("DELETE", path, None)

    def _request(self, method: str, path: str, value: object) -> Any:
        from http.client import HTTPConnection, HTTPException  # 30 ms that --help need not pay

        body = None if value is None else json.dumps(value)
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except TimeoutError:
            raise Unreachable(
                f"the daemon at {self.url} has not answered for {self._timeout_s:g} s; "
                "its log may say why"
            ) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "strerror", None) or error
            raise Unreachable(
                f"no daemon at {self.url} ({reason}); start one with aes67-daemon, "
                "or say where it is with --url or AES67_URL"
            ) from None
        finally:
            connection.close()
        kind = answer.getheader("Content-Type") or ""
        if answer.status == 404 and path.startswith("/api/v1/") and "problem" not in kind:
            raise Unreachable(
                f"what answers at {self.url} is not this daemon. The one it stands in for? "
                "(systemctl disable --now aes67-daemon) Else --url or AES67_URL names another one"
            )
        if answer.status >= 400:
            raise ApiError(answer.status, _words(text))
        if "json" in kind and text:
            return json.loads(text)
        return text


def _words(text: str) -> str:
    """What an error body says: plain text, or the detail of a JSON object."""
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip()
    if not isinstance(value, dict):
        return text.strip()
    if {"field", "value", "rule"} <= value.keys():
        if not value["field"]:
            return str(value["rule"])
        return f"{value['field']} = {value['value']!r}: {value['rule']}"
    for key in ("detail", "title", "error"):
        if value.get(key):
            found = value[key]
            return found if isinstance(found, str) else json.dumps(found)
    return text.strip()
