"""Words of a command line that describe a stream: its number, address, channels and SDP form."""

from __future__ import annotations

import argparse
from ipaddress import AddressValueError, IPv4Address

MAX_STREAMS = 64


def sdp_form(text: str) -> tuple[str, str]:
    """`WAY=FORM` as a setting of a source."""
    way, _, form = text.partition("=")
    if way not in ("http", "sap", "rtsp") or form not in ("contract", "st2110", "dante"):
        raise argparse.ArgumentTypeError(
            f"{text}: http, sap or rtsp = contract, st2110 or dante, such as sap=dante"
        )
    return f"sdp_{way}", form


def stream_id(text: str) -> int:
    """A stream number, 0 to 63."""
    if not text.isdecimal() or int(text) >= MAX_STREAMS:
        raise argparse.ArgumentTypeError(f"{text!r} is no stream number; those are 0 to 63")
    return int(text)


def address(text: str) -> str:
    """An IPv4 address, or nothing: the daemon takes a word that is none for no wish at all."""
    try:
        return str(IPv4Address(text)) if text else ""
    except AddressValueError as problem:
        words = f"{text!r} is no IPv4 address such as 239.1.0.1"
        raise argparse.ArgumentTypeError(words) from problem


def channel_map(text: str) -> list[int]:
    """Channels of a list such as `0,1` or `8-15`."""
    channels: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise argparse.ArgumentTypeError(f"{text!r} is no list of channels such as 0,1 or 8-15")
        first, last = int(low), int(high) if dash else int(low)
        if last < first or last - first >= MAX_STREAMS:
            raise argparse.ArgumentTypeError(f"{part!r}: the last is 0 to 63 above the first")
        channels += range(first, last + 1)
    return channels
