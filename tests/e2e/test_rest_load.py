"""Thousands of requests while sixteen streams run: no packet is lost, late or left unsent."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from aes67.selftest.node import Node
from e2e.machine import without_stall

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

STREAMS = 16
ROUNDS, REQUESTS = 10, 1_000
"""Rounds are short, so that a machine that stands still at times spoils one of them."""
CLIENTS = 2
"""Enough to have one request wait while another is answered."""
DELAY_FRAMES = 960
"""20 ms: what keeps the engine from running for longer is heard."""
EXTRA = 40
"""Id of the source and sink that come and go meanwhile."""
SOURCE: dict[str, Any] = {
    "enabled": True, "name": "extra", "io": "Audio Device", "map": [40, 41],
    "max_samples_per_packet": 48, "codec": "L24", "address": "", "ttl": 15, "payload_type": 98,
    "dscp": 34, "refclk_ptp_traceable": False,
}  # fmt: skip
FAULTS = ("lost", "late", "early", "silent_frames", "sequence_errors", "timestamp_errors")

Call = tuple[str, str, bytes | None]


def calls(client: int, number: int) -> Iterator[Call]:
    """What one client asks, in turn: mostly reading, now and then a change of something else."""
    changes: list[Call] = [
        ("PUT", f"/api/source/{EXTRA + client}", json.dumps(
            SOURCE | {"name": f"extra {client}"}).encode()),
        ("POST", "/api/config", b'{"sap_interval": 31}'),
        ("DELETE", f"/api/source/{EXTRA + client}", None),
        ("POST", "/api/config", b'{"sap_interval": 30}'),
    ]  # fmt: skip
    reading = [
        "/api/version", "/api/sink/status/{}", "/api/ptp/status", "/api/source/sdp/{}",
        "/api/sinks", "/api/v1/ptp", "/api/v1/sinks/{}", "/api/config", "/api/streams",
        "/api/browse/sources/all",
    ]  # fmt: skip
    for turn in range(number):
        if turn % 50 == 49:
            yield changes[turn // 50 % len(changes)]
        elif turn % 50 == 24:
            yield "GET", ("/metrics", "/api/v1/status")[turn // 50 % 2], None
        else:
            path = reading[turn % len(reading)]
            yield "GET", path.format(turn % STREAMS), None


def ask_all(node: Node) -> int:
    """How many of REQUESTS were answered with 200."""
    answered = [0] * CLIENTS

    def ask(client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
        for method, path, body in calls(client, REQUESTS // CLIENTS):
            connection.request(method, path, body)
            answer = connection.getresponse()
            answer.read()
            answered[client] += answer.status == 200
        connection.close()

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answered)


def faults(node: Node) -> dict[str, int]:
    """What went wrong with the sixteen so far, and packets sent and received."""
    status = node.status()
    found = dict.fromkeys(("skipped_packets", "send_errors", *FAULTS), 0)
    for row in status["sources"]:
        if row["id"] < STREAMS:
            for name in ("skipped_packets", "send_errors"):
                found[name] += row["counters"][name]
    for row in status["sinks"]:
        for name in FAULTS:
            found[name] += row["counters"][name]
    return found


def packets(node: Node) -> list[int]:
    return [row["counters"]["packets"] for row in node.status()["sinks"]]


@pytest.fixture
def streaming(node: Node) -> Node:
    """A node that sends sixteen streams and receives them."""
    for number in range(STREAMS):
        body = {"name": f"S{number}", "map": [2 * number, 2 * number + 1]}
        node.client.put(f"/api/v1/sources/{number}", body)
        sdp = node.client.get(f"/api/source/sdp/{number}")
        node.client.put(f"/api/v1/sinks/{number}", body | {"sdp": sdp, "delay": DELAY_FRAMES})
    node.wait_receiving(STREAMS)
    return node


def test_no_packet_is_lost_while_the_interface_is_busy(streaming: Node) -> None:
    def attempt() -> tuple[int, dict[str, int]]:
        before, had = faults(streaming), packets(streaming)
        answered = ask_all(streaming)
        after, have = faults(streaming), packets(streaming)
        assert all(now > then for now, then in zip(have, had, strict=True))
        grown = {name: after[name] - before[name] for name in after}
        return answered, grown

    for _ in range(ROUNDS):
        answered, new = without_stall(attempt, lambda result: not any(result[1].values()))
        assert answered == REQUESTS
        assert new == dict.fromkeys(new, 0)
