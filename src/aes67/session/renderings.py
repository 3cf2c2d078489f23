"""The same session for receivers of other minds: ST 2110-strict, and as Dante likes it.

The contract's own text is `session.describe`. All three have one origin, so whoever reads two of
them sees one session. Differences stand in docs/interop/README.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aes67.session.reference_clock import TRACEABLE, ptp_reference

Rendering = Literal["contract", "st2110", "dante"]
Way = Literal["http", "sap", "rtsp"]
Pair = tuple[str, str]

CRLF = "\r\n"


@dataclass(frozen=True)
class Facts:
    """What all renderings say. `ttl` 0: unicast; `gmid` empty: no grandmaster."""

    origin: str
    name: str
    address: str
    destination: str
    ttl: int
    port: int
    payload_type: int
    codec: str
    rate: int
    channels: int
    frames: int
    ptime: str
    gmid: str
    domain: int
    mac: str
    traceable: bool
    gptp: bool = False

    @property
    def connection(self) -> str:
        """Value of c=."""
        return f"IN IP4 {self.destination}" + (f"/{self.ttl}" if self.ttl else "")

    @property
    def format(self) -> str:
        """Value of a=rtpmap."""
        return f"{self.payload_type} {self.codec}/{self.rate}/{self.channels}"

    @property
    def clock(self) -> str:
        """Value of a=ts-refclk; without a grandmaster the network card's own clock."""
        if self.traceable:
            return TRACEABLE
        if self.gmid:
            return ptp_reference(self.gmid, self.domain, gptp=self.gptp)
        return f"localmac={self.mac.replace(':', '-').upper()}"


def st2110(facts: Facts) -> list[Pair]:
    """ST 2110-10, 8 and -30, 6.2: the session's own lines last, nothing that is not in there."""
    return [
        ("v", "0"),
        ("o", facts.origin),
        ("s", facts.name),
        ("t", "0 0"),
        ("m", f"audio {facts.port} RTP/AVP {facts.payload_type}"),
        ("c", facts.connection),
        ("a", f"source-filter: incl IN IP4 {facts.destination} {facts.address}"),
        ("a", f"rtpmap:{facts.format}"),
        ("a", f"fmtp:{facts.payload_type} channel-order=SMPTE2110.({_order(facts)})"),
        ("a", f"ptime:{facts.ptime}"),
        ("a", f"ts-refclk:{facts.clock}"),
        ("a", "mediaclk:direct=0"),
    ]


def dante(facts: Facts) -> list[Pair]:
    """As Dante devices write it: the address for the session, no source-filter."""
    return [
        ("v", "0"),
        ("o", facts.origin),
        ("s", facts.name),
        ("c", facts.connection),
        ("t", "0 0"),
        ("m", f"audio {facts.port} RTP/AVP {facts.payload_type}"),
        ("i", f"{facts.channels} channels"),
        ("a", "recvonly"),
        ("a", f"rtpmap:{facts.format}"),
        ("a", f"ptime:{facts.ptime}"),
        ("a", f"ts-refclk:{facts.clock}"),
        ("a", "mediaclk:direct=0"),
    ]


def _order(facts: Facts) -> str:
    """ST 2110-30, table 1: what the channels are, undefined beyond two."""
    if facts.codec == "AM824":
        return "AES3" if facts.channels == 2 else f"U{facts.channels:02}"
    return {1: "M", 2: "ST"}.get(facts.channels, f"U{facts.channels:02}")


RENDERINGS: dict[Rendering, tuple[Callable[[Facts], list[Pair]], str]] = {
    "st2110": (st2110, CRLF),
    "dante": (dante, CRLF),
}
"""Beside the contract's: lines, and what ends them."""
