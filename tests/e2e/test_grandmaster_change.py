"""Two real ptp4l masters, one dies: sessions, announcements and the script follow at once."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aes67.selftest.node import Node, Settings
from aes67.wire.sap import parse
from e2e.machine import Watch
from sim.netns import Namespace, ip, namespaces, plug, ptp4l
from sim.waiting import PATIENCE_S

pytestmark = [pytest.mark.root, pytest.mark.peer("ptp4l")]

SAP_GROUP, SAP_PORT = "239.195.255.255", 9875
WITHIN_S = 1.0
SOURCES = 3
REFERENCE = re.compile(r"a=ts-refclk:ptp=IEEE1588-2008:([0-9A-F-]{23}):0")


@dataclass
class Scene:
    """A daemon on a bridge with two masters, by clock identity."""

    node: Node
    masters: dict[str, tuple[Namespace, subprocess.Popen[str]]]
    announcements: socket.socket
    script_output: Path


def identity(where: Namespace, interface: str) -> str:
    """The clock identity ptp4l makes of the interface's address (EUI-48 to EUI-64)."""
    command = ["ip", "netns", "exec", where.name, "cat", f"/sys/class/net/{interface}/address"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    mac = text.upper().split(":")
    return "-".join([*mac[:3], "FF", "FE", *mac[3:]])


def bridged(hub: Namespace, ends: list[Namespace]) -> None:
    """Plug every end into a bridge `br0` in the hub."""
    ip("-n", hub.name, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
    for number, end in enumerate(ends, 2):
        name = f"m{number}"
        plug(hub, end, name)
        ip("-n", hub.name, "addr", "flush", "dev", name)
        ip("-n", hub.name, "link", "set", name, "master", "br0")
        ip("-n", end.name, "addr", "replace", f"10.67.0.1{number}/24", "dev", name)
    ip("-n", hub.name, "addr", "add", "10.67.0.1/24", "dev", "br0")
    ip("-n", hub.name, "link", "set", "br0", "up")
    ip("-n", hub.name, "route", "replace", "224.0.0.0/4", "dev", "br0")


def listener(where: Namespace, interface: str) -> socket.socket:
    """A socket that hears the SAP announcements of the network."""
    with where.entered():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((SAP_GROUP, SAP_PORT))
        index = socket.if_nametoindex(interface)
    request = struct.pack("=4s4si", socket.inet_aton(SAP_GROUP), bytes(4), index)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    sock.setblocking(False)
    return sock


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    output = tmp_path / "states"
    script = tmp_path / "status.sh"
    script.write_text(f"#!/bin/sh\necho $1 >> {output}\n")
    script.chmod(0o755)
    extra = (("ptp_status_script", str(script)), ("sap_mcast_addr", SAP_GROUP))
    with namespaces(4) as (hub, first, second, bystander):
        bridged(hub, [first, second, bystander])
        masters = {}
        for where, interface in ((first, "m2"), (second, "m3")):
            process, _ = ptp4l(where, interface, tmp_path, master=True, log_announce=-1)
            masters[identity(where, interface)] = (where, process)
        announcements = listener(bystander, "m4")
        try:
            with hub.entered():
                settings = Settings(clock_mode="ptp-slave", interface="br0", extra=extra)
                with Node(settings) as node:
                    yield Scene(node, masters, announcements, output)
        finally:
            announcements.close()


def source(number: int) -> dict[str, Any]:
    return {
        "enabled": True, "name": f"S{number}", "io": "Audio Device", "map": [0, 1],
        "max_samples_per_packet": 48, "codec": "L24", "address": "", "ttl": 15,
        "payload_type": 98, "dscp": 34, "refclk_ptp_traceable": False,
    }  # fmt: skip


def await_that(what: str, done: Callable[[], bool], timeout_s: float = PATIENCE_S) -> float:
    """When it was so, on the monotonic clock."""
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.01)
    return time.monotonic()


def described(node: Node) -> set[str]:
    """The grandmasters the session descriptions of all sources name."""
    texts = [str(node.client.get(f"/api/source/sdp/{number}")) for number in range(SOURCES)]
    return {match for text in texts for match in REFERENCE.findall(text)}


def announced(sock: socket.socket, found: dict[str, str]) -> dict[str, str]:
    """Session name -> grandmaster of the announcements that came since; extends `found`."""
    while True:
        try:
            data = sock.recv(2048)
        except BlockingIOError:
            return found
        packet = parse(data)
        text = packet.payload.decode()
        if not packet.deletion and (match := REFERENCE.search(text)):
            name = re.search(r"^s=(.*)$", text, re.MULTILINE)
            assert name is not None
            found[name[1].strip()] = match[1]


def test_everything_follows_another_grandmaster_within_a_second(scene: Scene) -> None:
    node = scene.node
    node.wait_locked()
    for number in range(SOURCES):
        node.client.put(f"/api/v1/sources/{number}", source(number))

    def clock() -> dict[str, Any]:
        return dict(node.client.get("/api/v1/clock"))

    await_that("the choice between both", lambda: len(clock()["masters"]) == 2)
    await_that("the better one", lambda: clock()["gmid"] == min(scene.masters))
    old, new = clock()["gmid"], max(scene.masters)
    await_that("descriptions of the first", lambda: described(node) == {old})

    where, process = scene.masters[old]
    heard: dict[str, str] = {}
    with Watch() as watch:
        where.stop(process)
        changed = await_that("the other grandmaster", lambda: clock()["gmid"] == new)
        in_force = await_that("descriptions of the second", lambda: described(node) == {new})
        told = await_that(
            "announcements of the second",
            lambda: list(announced(scene.announcements, heard).values()) == [new] * SOURCES,
        )
    within_s = WITHIN_S + watch.lost_ns / 1e9
    assert in_force - changed < within_s
    assert told - changed < within_s
    await_that("the lock", lambda: clock()["state"] == "locked")

    def states() -> list[str]:
        return scene.script_output.read_text().split()

    await_that("the script's newest word", lambda: states()[-1:] == ["locked"])
    assert states().count("unlocked") <= 2, "at the start, and while nobody announced"
