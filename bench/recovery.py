"""`recovery`: how long a stream is away after an accident of the network or of its sender.

Two daemons on a wire between two namespaces. An accident is over when the sink has accepted
AGAIN_PACKETS again; it is looked at over HTTP every LOOK_SECONDS, so figures are that coarse. They
count from the moment the link is back, the address is another one, the successor's first packet has
come, the change is asked for.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

from aes67.client import ApiError, Unreachable
from aes67.selftest.node import Node, Settings
from bench.daemon import run_inside, sink, source
from bench.network import run
from bench.rounds import Effort, verdict

LIMIT_SECONDS = 1.0
LOOK_SECONDS = 0.005
PATIENCE_SECONDS = 60.0
AGAIN_PACKETS = 20
"""So many more are the stream, and not what was under way."""
DELAY_FRAMES = 3840
NEAR, FAR = "near", "far"
GROUPS = ("239.77.0.1", "239.77.0.2")
ADDRESSES = ("10.77.0.1", "10.77.0.3")
FAR_ADDRESS = "10.77.0.2"


class Pair:
    """A sender here, a receiver at the far end of the wire, and a stream between them."""

    def __init__(self, sender: Node, receiver: Node) -> None:
        self.sender, self.receiver = sender, receiver
        self.frames, self.group, self.addressed = 48, 0, 0
        self.send()
        self.receiver.wait("the announcement", lambda: bool(self._announced()))
        sdp = self._announced()[0]["sdp"]
        self.receiver.client.put("/api/v1/sinks/0", sink(0, sdp, DELAY_FRAMES))
        self.receiver.wait_receiving(1)

    def send(self) -> None:
        """Give the sender its source as it is to be now."""
        body = {"address": GROUPS[self.group], "max_samples_per_packet": self.frames}
        self.sender.client.put("/api/v1/sources/0", source(0) | body)

    def row(self) -> dict[str, Any]:
        """The sink as it is."""
        found: dict[str, Any] = self.receiver.status()["sinks"][0]
        return found

    def until(self, done: Callable[[dict[str, Any]], bool]) -> float:
        """Seconds until the sink's row is as wanted."""
        begun = time.monotonic()
        while time.monotonic() < begun + PATIENCE_SECONDS:
            try:
                if done(self.row()):
                    return time.monotonic() - begun
            except (Unreachable, ApiError):
                pass  # the wire is what is away
            time.sleep(LOOK_SECONDS)
        raise TimeoutError("the sink did not get over it")

    def until_received(self) -> float:
        """Seconds until the sink has accepted AGAIN_PACKETS more."""
        before = int(self.row()["counters"]["packets"])
        beyond = range(before, before + AGAIN_PACKETS)
        return self.until(lambda row: row["counters"]["packets"] not in beyond)

    def link(self) -> float:
        """The wire is pulled out and put back."""
        run("ip", "link", "set", NEAR, "down")
        run("ip", "link", "set", NEAR, "up")
        run("ip", "route", "replace", "224.0.0.0/4", "dev", NEAR)
        return self.until_received()

    def address(self) -> float:
        """The sender gets another address, as by DHCP; the sink follows what it announces then."""
        old, new = ADDRESSES[self.addressed], ADDRESSES[1 - self.addressed]
        self.addressed = 1 - self.addressed
        run("ip", "address", "add", f"{new}/24", "dev", NEAR)
        run("ip", "address", "del", f"{old}/24", "dev", NEAR)
        run("ip", "route", "replace", "224.0.0.0/4", "dev", NEAR)
        return self.until(lambda row: row["legs"][0]["source"] == new) + self.until_received()

    def change(self) -> float:
        """The source is sent to another group; the sink follows its announcement."""
        self.group = 1 - self.group
        group = GROUPS[self.group]
        self.send()
        return self.until(lambda row: row["legs"][0]["address"] == group) + self.until_received()

    def reboot(self) -> float:
        """The sender is started anew as another sender: from its first packet on."""
        before = self.row()["legs"][0]
        assert self.sender.stop() == 0
        self.sender.start()
        self.frames = 72 - self.frames
        self.send()
        self.until(lambda row: row["legs"][0]["wrong_ssrc"] > before["wrong_ssrc"])
        return self.until_received()

    def _announced(self) -> list[dict[str, Any]]:
        found = self.receiver.client.get("/api/browse/sources/sap")["remote_sources"]
        return [each for each in found if each["address"] in ADDRESSES]


def inside(effort: Effort) -> dict[str, Any]:
    """The benchmark, in the sender's namespace."""
    far = f"bench-far-{os.getpid()}"
    run("ip", "netns", "add", far)
    try:
        run("ip", "link", "add", NEAR, "type", "veth", "peer", "name", FAR, "netns", far)
        near_end = (("ip",), NEAR, ADDRESSES[0])
        far_end = (("ip", "-n", far), FAR, FAR_ADDRESS)
        for words, name, address in (near_end, far_end):
            run(*words, "address", "add", f"{address}/24", "dev", name)
            run(*words, "link", "set", name, "up")
            run(*words, "link", "set", "lo", "up")
            run(*words, "route", "replace", "224.0.0.0/4", "dev", name)
        run("sysctl", "-qw", f"net.ipv4.conf.{NEAR}.promote_secondaries=1")
        extra = (("sap_interval", 1),)
        here = Settings(interface=NEAR, clock_mode="gm", extra=extra)
        there = Settings(
            interface=FAR, clock_mode="ptp-slave", prefix=("ip", "netns", "exec", far),
            host=FAR_ADDRESS, extra=extra,
        )  # fmt: skip
        with Node(here) as sender, Node(there) as receiver:
            sender.wait_locked()
            receiver.wait_locked()
            return figures(Pair(sender, receiver), effort.rounds)
    finally:
        subprocess.run(["ip", "netns", "del", far], check=False, capture_output=True)


def figures(pair: Pair, rounds: int) -> dict[str, Any]:
    """Each accident so often, by turns; the median is judged."""
    accidents = {"link": pair.link, "change": pair.change, "address": pair.address}
    seconds: dict[str, list[float]] = {name: [] for name in (*accidents, "reboot")}
    for _ in range(2 * rounds):  # the address is the first one again
        for name, accident in accidents.items():
            seconds[name].append(accident())
    for _ in range(rounds):
        seconds["reboot"].append(pair.reboot())
    return {
        name: verdict(statistics.median(each), LIMIT_SECONDS)
        | {"least": round(min(each), 3), "most": round(max(each), 3), "times": len(each)}
        for name, each in seconds.items()
    }


def measure(effort: Effort) -> dict[str, Any]:
    """Seconds until a sink receives again, for each kind of accident."""
    return run_inside(__name__, effort)
