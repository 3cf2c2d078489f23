"""Where the description of a sink comes from (`--from`), and what it says of itself."""

from __future__ import annotations

import sys
from pathlib import Path

from aes67.cli.stream_words import MAX_STREAMS
from aes67.client import Client
from aes67.errors import Refused

MOST_OCTETS = 65_537
"""Of a file, one more than a description may have: somebody may name a recording, or a device."""


def origin(text: str, client: Client, option: str = "from") -> tuple[str, str]:
    """(URL, SDP text) of `--from`; one of them is empty. Refused names the `option`."""
    if text.startswith("source:"):
        number = text.removeprefix("source:")
        if not number.isdecimal():
            raise Refused(option, text, "source:N names one of our own sources, 0 to 63")
        return "", str(client.get(f"/api/source/sdp/{number}"))
    if text.startswith("remote:"):
        return "", remote_sdp(text.removeprefix("remote:"), client, option)
    if text.startswith(("http://", "rtsp://")):
        return text, ""
    path = Path(text)
    if text == "-":
        sdp = sys.stdin.read(MOST_OCTETS)
    elif path.is_dir():
        raise Refused(option, text, "it is a folder; an SDP file is wanted")
    elif not path.exists():
        rule = "no such file, and neither source:N, remote:ID, http:// nor rtsp://"
        raise Refused(option, text, rule)
    else:
        with path.open("rb") as file:
            sdp = file.read(MOST_OCTETS).decode("utf-8", errors="replace")
    if not sdp.strip():
        raise Refused(option, text, "nothing is in it; an SDP is wanted")
    return "", sdp


def remote_sdp(wanted: str, client: Client, option: str = "from") -> str:
    """The SDP of the remote source with that id or (if only one has it) name.

    A source announced by SAP and by mDNS is one source: the newest description is taken.
    """
    rows = client.get("/api/browse/sources/all")["remote_sources"]
    found = [row["sdp"] for row in rows if wanted in (row["id"], row["name"])]
    if len({session_of(sdp)[0] for sdp in found}) != 1:
        rule = "no remote source has this id or name" if not found else "several have this name"
        raise Refused(option, f"remote:{wanted}", f"{rule}; aes67 browse lists them")
    return str(max(found, key=lambda sdp: session_of(sdp)[1]))


def session_of(sdp: str) -> tuple[str, int]:
    """Which session a description is of, whatever its version (RFC 8866, 5.2), and the version."""
    for line in sdp.splitlines():
        words = line.removeprefix("o=").split()
        if line.startswith("o=") and len(words) == 6:
            return " ".join((*words[:2], *words[3:])), int(words[2]) if words[2].isdecimal() else 0
    return sdp, 0


def sdp_channels(sdp: str) -> int:
    """Channel count of the first rtpmap that names one; 2 when none does."""
    for line in sdp.splitlines():
        if line.startswith("a=rtpmap:"):
            parts = line.split("/")
            if len(parts) >= 3 and parts[2].strip().isdecimal():
                return max(1, min(MAX_STREAMS, int(parts[2])))
    return 2
