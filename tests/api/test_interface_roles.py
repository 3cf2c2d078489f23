"""Interfaces by role: who is found and reached where, with a node between two networks."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aes67.services.sap import open_ipv4
from aes67.wire import sap
from sim.http_node import SOURCE
from sim.netns import Namespace, ip, namespaces
from sim.waiting import wait_until

pytestmark = pytest.mark.root
NETWORKS = {"ck0": "10.67.0.", "ck1": "10.68.0."}


def join(node: Namespace, other: Namespace, name: str) -> None:
    """A cable from the node (.1) to another namespace (.2)."""
    ip("-n", node.name, "link", "add", name, "type", "veth", "peer", "name", name,
       "netns", other.name)  # fmt: skip
    for number, each in enumerate((node, other), 1):
        ip("-n", each.name, "addr", "add", f"{NETWORKS[name]}{number}/24", "dev", name)
        ip("-n", each.name, "link", "set", name, "up")


class Place:
    """A neighbour of the node: what it hears, and what it reaches."""

    def __init__(self, where: Namespace, interface: str) -> None:
        self.where = where
        with where.entered():
            index = socket.if_nametoindex(interface)
            self._sap = open_ipv4(interface, index, {sap.GROUP_GLOBAL})
            self._mdns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._mdns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            request = struct.pack("=4s4si", socket.inet_aton("224.0.0.251"), bytes(4), index)
            self._mdns.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
            self._mdns.bind(("", 5353))
        self.heard: list[tuple[str, str]] = []

    def listen(self) -> list[tuple[str, str]]:
        """All it has heard of the node: (protocol, address of the sender)."""
        while ready := select.select([self._sap, self._mdns], [], [], 0)[0]:
            data, sender = ready[0].recvfrom(9000)
            if ready[0] is self._sap:
                kind = "deletion" if sap.parse(data).deletion else "SAP"
                self.heard.append((kind, sender[0]))
            elif b"Box" in data:
                self.heard.append(("mDNS", sender[0]))
        return self.heard

    def reaches(self, address: str, port: int) -> bool:
        """Whether somebody listens there."""
        with self.where.entered(), contextlib.suppress(OSError):
            socket.create_connection((address, port), 5).close()
            return True
        return False

    def ask(self, method: str, address: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of the node's answer."""
        with self.where.entered():
            connection = http.client.HTTPConnection(address, 8080, timeout=30)
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, json.loads(content) if content else None

    def close(self) -> None:
        self._sap.close()
        self._mdns.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[Namespace, Place, Place]]:
    """A control process with its media on ck0, found and reached on ck1 only."""
    settings = {
        "interface_name": "ck0", "discovery_interfaces": "ck1", "control_interfaces": "ck1",
        "sap_interval": 1, "custom_node_id": "Box", "clock_mode": "free", "syslog_proto": "none",
        "status_file": str(tmp_path / "status.json"),
    }  # fmt: skip
    (tmp_path / "daemon.conf").write_text(json.dumps(settings))
    status = {"sources": [{"id": 0} | SOURCE], "sinks": []}
    (tmp_path / "status.json").write_text(json.dumps(status))
    with namespaces(3) as [node, media, office]:
        join(node, media, "ck0")
        join(node, office, "ck1")
        # to the office's address by way of the media network
        ip("-n", media.name, "route", "add", "10.68.0.0/24", "via", "10.67.0.1")
        places = Place(media, "ck0"), Place(office, "ck1")
        command = (sys.executable, "-m", "aes67_api.main", "-c", str(tmp_path / "daemon.conf"),
                   "--runtime-dir", str(tmp_path))  # fmt: skip
        node.spawn(*command, log=tmp_path / "log")
        try:
            yield node, *places
        finally:
            for place in places:
                place.close()


def test_each_role_has_its_interfaces(world: tuple[Namespace, Place, Place]) -> None:
    node, media, office = world
    wait_until(lambda: office.reaches("10.68.0.1", 8080))
    wait_until(lambda: office.listen().count(("SAP", "10.68.0.1")) >= 2)
    wait_until(lambda: ("mDNS", "10.68.0.1") in office.listen())
    assert office.reaches("10.68.0.1", 8854)
    assert media.listen() == []
    for address in ("10.67.0.1", "10.68.0.1"):
        assert not media.reaches(address, 8080), address
    assert not media.reaches("10.67.0.1", 8854)
    _, view = office.ask("GET", "10.68.0.1", "/api/v1/status")
    roles = {each["name"]: each["roles"] for each in view["network"]["interfaces"]}
    assert roles == {"ck0": ["media", "ptp"], "ck1": ["discovery", "control"]}

    for key in ("discovery_interfaces", "control_interfaces"):
        status, problem = office.ask("PATCH", "10.68.0.1", "/api/v1/config", {key: "nosuch9"})
        assert (status, problem["field"], problem["value"]) == (400, key, "nosuch9")
        assert "ck0" in problem["rule"]
        status, problem = office.ask("PATCH", "10.68.0.1", "/api/v1/config", {key: "a b/c"})
        assert (status, problem["field"]) == (400, key)

    change = {"discovery_interfaces": "ck0", "control_interfaces": "ck0,ck1"}
    assert office.ask("PATCH", "10.68.0.1", "/api/v1/config", change)[0] == 200
    wait_until(lambda: ("deletion", "10.68.0.1") in office.listen())
    wait_until(lambda: ("SAP", "10.67.0.1") in media.listen())
    wait_until(lambda: ("mDNS", "10.67.0.1") in media.listen())
    wait_until(lambda: media.reaches("10.67.0.1", 8080) and office.reaches("10.68.0.1", 8080))
    wait_until(lambda: media.reaches("10.67.0.1", 8854))
    wait_until(lambda: not office.reaches("10.68.0.1", 8854))
    change = {"control_interfaces": "ck1"}
    assert media.ask("PATCH", "10.67.0.1", "/api/v1/config", change)[0] == 200
    wait_until(lambda: not media.reaches("10.67.0.1", 8080))


def test_an_interface_that_comes_back_is_reached_again(
    world: tuple[Namespace, Place, Place],
) -> None:
    node, media, office = world
    wait_until(lambda: office.reaches("10.68.0.1", 8080))
    ip("-n", node.name, "link", "delete", "ck1")
    join(node, office.where, "ck1")
    wait_until(lambda: office.reaches("10.68.0.1", 8080))
    assert not media.reaches("10.67.0.1", 8080)
    alone = Place(node, "lo")
    assert alone.reaches("127.0.0.1", 8080), "the machine itself always reaches it"
    alone.close()
