"""What is shown of a running node: node, engine, counters and reports put together for a reader."""

from __future__ import annotations

import time
from typing import Any

from aes67.config.clock import media_clock, second_clock
from aes67.control.flag_windows import FlagWindows
from aes67.control.flags import flags, leg_missing, minimum_time_ms
from aes67.control.network_view import network_view, network_warnings
from aes67.control.snapshot import contract_ptp, sink_view, source_view
from aes67.control.told import NO_ENGINE, Told
from aes67.control.udp_losses import UdpLosses
from aes67.errors import Refused
from aes67.net.udp_counters import read_udp_counters
from aes67.ptp.history import History
from aes67.services.engine_link import EngineLink
from aes67.services.rtcp import RtcpService
from aes67.session.node import Node


class Views:
    """Everything the API, the page, metrics and the contract's clients read; changes nothing."""

    def __init__(self, node: Node, link: EngineLink, told: Told, rtcp: RtcpService) -> None:
        self.windows = FlagWindows()
        self._node, self._link, self._told, self._rtcp = node, link, told, rtcp
        self._udp = UdpLosses(read_udp_counters())

    def sink_status(self, number: int) -> dict[str, Any]:
        """The contract's status of a sink: flags latched since the last call, least time in ms.

        Raises:
            Refused: there is no such sink.
        """
        self._node.sink(number)
        snapshot = self._link.snapshot() or {}
        counters = snapshot.get("sinks", {}).get(number)
        now_ns = snapshot.get("clock", {}).get("media_now_ns", 0)
        legs = snapshot.get("legs", {}).get(number, [])
        wanted = self._node.plan.legs.get(number, ())
        missing = leg_missing(legs, len(wanted), self._node.state.rate)
        found = flags(counters, self.windows.last_read(number, counters), now_ns, missing)
        least = minimum_time_ms(counters, self._node.state.rate)
        return {"sink_flags": found, "sink_min_time": least}

    def ptp_status(self) -> dict[str, Any]:
        """The contract's PTP status."""
        return contract_ptp(self._node.clock, self._told.ptp)

    def sources(self) -> list[dict[str, Any]]:
        """All sources with counters."""
        snapshot = self._link.snapshot() or {}
        counters = snapshot.get("sources", {})
        now_ns = snapshot.get("clock", {}).get("media_now_ns", 0)
        running = self._link.connected  # what an engine counted stays when it has gone
        return [
            source_view(self._node, key, counters.get(key), now_ns, running=running)
            | {"receivers": self._rtcp.source_view(counters.get(key, {}).get("ssrc", -1))}
            for key in self._node.sources
        ]

    def sinks(self) -> list[dict[str, Any]]:
        """All sinks with counters; their flags look back a few seconds at most, latch nothing."""
        snapshot = self._link.snapshot() or {}
        counters = snapshot.get("sinks", {})
        now_ns = snapshot.get("clock", {}).get("media_now_ns", 0)
        legs = snapshot.get("legs", {})
        return [
            sink_view(
                self._node, key, counters.get(key), self.windows.recent(key, counters), now_ns,
                legs.get(key, ()),
            )
            | {"sender": self._rtcp.sink_view(counters.get(key, {}).get("ssrc", -1))}
            for key in self._node.sinks
        ]  # fmt: skip

    def clock(self) -> dict[str, Any]:
        """The engine's clock snapshot; without an engine, only that there is none."""
        if self._told.ptp is None or not self._link.connected:
            return {"state": "unlocked", "reason": NO_ENGINE}
        age_seconds = (time.monotonic_ns() - self._told.ptp_ns) / 1e9
        config = self._node.config
        second = self._told.second.view() if second_clock(config) else None
        named = {"name": media_clock(config), "second": second}
        return self._told.ptp | {"age_seconds": round(age_seconds, 3)} | named

    def clock_history(self, span: str, clock: str = "") -> dict[str, Any]:
        """What a clock did in the last `span`, a key of `ptp.history.SPANS`.

        Args:
            clock: its name; empty: the media clock.

        Raises:
            Refused: there is no such clock.
        """
        return self._history(clock).read(span, time.monotonic_ns())

    def clock_changes(self, clock: str = "") -> list[dict[str, Any]]:
        """Its newest changes of state or grandmaster with their reasons, newest first.

        Raises:
            Refused: there is no such clock.
        """
        return self._history(clock).changes(time.monotonic_ns())

    def _history(self, name: str) -> History:
        media, second = media_clock(self._node.config), self._told.second
        found = self._told.history if name in ("", media) else second.history()
        if found is None or name not in ("", media, second.name):
            there = ", ".join(each for each in (media, second.name) if each)
            raise Refused("clock", name, f"no such clock; there is {there}")
        return found

    def network(self) -> dict[str, Any]:
        """Interfaces in use, queriers heard, what the kernel dropped since the start."""
        return self._network()[0]

    def _network(self) -> tuple[dict[str, Any], list[str]]:
        """The network, and what is wrong with it."""
        facts = self._told.network if self._link.connected else None
        total, lately = self._udp.take(read_udp_counters(), time.monotonic())
        view = network_view(self._node, facts, total)
        return view, network_warnings(view, lately)

    def status(self, version: str) -> dict[str, Any]:
        """The whole snapshot."""
        snapshot = self._link.snapshot() or {}
        hello = self._link.hello
        network, wrong = self._network()
        return {
            "version": version,
            "node_id": self._node.computed.node_id,
            "engine": {
                "connected": self._link.connected,
                "realtime": bool(hello and hello.realtime),
                "warnings": self._warnings(wrong),
                "generation": hello.generation if hello else 0,
                "rate": self._node.state.rate,
                "counters": snapshot.get("engine", {}),
            },
            "clock": self.clock() | {"page": snapshot.get("clock", {})},
            "network": network,
            "sources": self.sources(),
            "sinks": self.sinks(),
            "pcms": self._told.pcms if self._link.connected else [],
        }

    def warnings(self) -> list[str]:
        """What the user should know, in sentences."""
        return self._warnings(self._network()[1])

    def _warnings(self, of_network: list[str]) -> list[str]:
        found = list(self._link.hello.warnings) if self._link.hello else [NO_ENGINE]
        if not self._node.state.network.address(self._node.config):
            found.append(f"{self._node.config.interfaces[0]} has no IPv4 address: nothing is sent")
        if self._node.in_force.refusal is not None:
            found.append(f"the engine refuses the table: {self._node.in_force.refusal}")
        found += of_network
        if self._rtcp.problem:
            found.append(self._rtcp.problem)
        return found + list(self._node.warnings.values())
