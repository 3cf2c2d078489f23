"""Changes through the contract's interface while streams run: only what is changed is touched."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aes67.selftest.node import Node, free_port
from aes67.wire.rtp import RtpPacket

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

PROCESSORS = "/dev/cpu_dma_latency"
STREAMS = 6
Counters = dict[str, dict[int, dict[str, int]]]
"""By kind (`sources`, `sinks`), id and name."""
SOURCE: dict[str, Any] = {
    "enabled": True, "name": "A", "io": "Audio Device", "map": [0, 1],
    "max_samples_per_packet": 48, "codec": "L24", "address": "", "ttl": 15, "payload_type": 98,
    "dscp": 34, "refclk_ptp_traceable": False,
}  # fmt: skip
SINK: dict[str, Any] = {
    "name": "A", "io": "Audio Device", "source": "", "use_sdp": True, "sdp": "", "delay": 960,
    "ignore_refclk_gmid": False, "map": [0, 1],
}  # fmt: skip


class Api:
    """The contract's interface of a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.client = httpx.Client(base_url=node.client.url)

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return self.client.request(method, f"/api/{path}", json=body)

    def put(self, path: str, body: dict[str, Any]) -> None:
        answer = self.send("PUT", path, body)
        assert answer.status_code == 200, answer.text

    def connect(self, number: int, first: int) -> None:
        """A source and a sink of it, on two channels."""
        body = {"name": f"S{number}", "map": [first, first + 1]}
        self.put(f"source/{number}", SOURCE | body)
        sdp = self.client.get(f"/api/source/sdp/{number}").text
        self.put(f"sink/{number}", SINK | body | {"sdp": sdp})

    def counters(self) -> Counters:
        status = self.node.status()
        return {kind: {row["id"]: row["counters"] for row in status[kind]}
                for kind in ("sources", "sinks")}  # fmt: skip


@pytest.fixture
def api(node: Node) -> Iterator[Api]:
    made = Api(node)
    with made.client:
        yield made


def test_changes_of_others_cost_a_running_stream_nothing(api: Api) -> None:
    for number in range(STREAMS):
        api.connect(number, 2 * number)
    api.node.wait_receiving(STREAMS)
    before = api.counters()
    for turn in range(10):
        api.connect(STREAMS + turn % 3, 2 * STREAMS + 2 * (turn % 3))
        api.put("source/40", SOURCE | {"name": "odd", "max_samples_per_packet": 6 + turn})
        api.send("DELETE", "sink/7")
        api.send("POST", "config", {"sap_interval": 30 + turn, "rtp_port_sec": 6000 + turn})
        assert api.send("PUT", "source/41", SOURCE | {"map": list(range(64))}).status_code == 400
        assert api.send("PUT", "sink/0", SINK | {"sdp": "nonsense"}).status_code == 400
    after = api.counters()
    for number in range(STREAMS):
        for kind in ("sources", "sinks"):
            old, new = before[kind][number], after[kind][number]
            assert new["identity"] == old["identity"], "its counters were never reset"
            assert new["ssrc"] == old["ssrc"]
        lost_nothing(before, after, number)
        old, new = before["sinks"][number], after["sinks"][number]
        for wrong in ("wrong_ssrc", "wrong_source", "malformed", "wrong_length", "early"):
            assert new[wrong] == old[wrong], wrong


def test_no_setting_of_anything_else_costs_a_stream_a_packet(api: Api) -> None:
    for number in range(2):
        api.connect(number, 2 * number)
    api.node.wait_receiving(2)
    was = api.send("GET", "config").json()
    settings: dict[str, Any] = {
        "rtsp_port": free_port(), "log_severity": 3, "playout_delay": 96, "ptp_dscp": 34,
        "rtp_mcast_base_sec": "239.2.0.1", "rtp_port_sec": 6000, "sap_interval": 40,
        "sap_mcast_addr": "239.255.255.255", "max_tic_frame_size": 512, "streamer_files_num": 6,
        "tic_frame_size_at_1fs": 64, "auto_sinks_update": False, "nmos_label": "other",
        "custom_node_id": "Another name",
    }  # fmt: skip
    before = api.counters()
    for key, value in settings.items():
        assert api.send("POST", "config", {key: value}).status_code == 200, key
        time.sleep(0.05)  # what follows from it takes a moment
    after = api.counters()
    assert "s=Another name S0" in api.client.get("/api/source/sdp/0").text
    assert api.send("POST", "config", {key: was[key] for key in settings}).status_code == 200
    for number in range(2):
        for kind in ("sources", "sinks"):
            for name in ("identity", "ssrc"):
                assert after[kind][number][name] == before[kind][number][name]
        lost_nothing(before, after, number)


def holders(pid: int, file: str) -> list[str]:
    """Modules of the processes of a daemon that have a file open."""
    found = []
    for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            if file in [os.readlink(link) for link in Path(f"/proc/{each}/fd").iterdir()]:
                found.append(Path(f"/proc/{each}/cmdline").read_bytes().decode().split("\0")[3])
    return found


@pytest.mark.skipif(not os.access(PROCESSORS, os.W_OK), reason=f"no {PROCESSORS} here")
def test_processors_are_kept_awake_and_let_go_beside_running_streams(api: Api) -> None:
    api.connect(0, 0)
    api.node.wait_receiving(1)
    engine = api.node.status()["engine"]["generation"]
    assert api.node.process is not None
    pid, before = api.node.process.pid, api.counters()
    for limit_us in (0, 200, None):
        changed = api.client.patch("/api/v1/config", json={"cpu_latency_us": limit_us})
        assert changed.json()["cpu_latency_us"] == limit_us
        wanted = [] if limit_us is None else ["aes67.engine.main"]
        assert holders(pid, PROCESSORS) == wanted
        kept = json.loads((api.node.directory / "daemon.conf").read_text())
        assert kept.get("cpu_latency_us") == limit_us
        time.sleep(0.05)
    assert api.node.status()["engine"]["generation"] == engine
    after = api.counters()
    assert after["sources"][0]["identity"] == before["sources"][0]["identity"]
    lost_nothing(before, after, 0)


@contextlib.contextmanager
def foreign_sender(group: str, port: int) -> Iterator[None]:
    """Another program that sends a stream, 48 frames of stereo L16 a packet."""
    ended = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            own = socket.inet_aton("127.0.0.1")
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
            number, begun = 0, time.monotonic()
            while not ended.wait(0.001):
                while number < (time.monotonic() - begun) * 1000:
                    packet = RtpPacket(96, number % 2**16, 48 * number, 7, bytes(192))
                    sock.sendto(packet.pack(), (group, port))
                    number += 1

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_sockets_move_without_a_restart_and_others_stay_where_they_are(api: Api) -> None:
    group, port = "239.77.0.1", 6100
    sdp = (
        "v=0\no=- 9 1 IN IP4 127.0.0.1\ns=Foreign\nt=0 0\n"
        f"m=audio {port} RTP/AVP 96\nc=IN IP4 {group}/15\na=rtpmap:96 L16/48000/2\na=ptime:1\n"
    )
    api.connect(0, 0)
    with foreign_sender(group, port):
        api.put("sink/1", SINK | {"name": "Foreign", "map": [4, 5], "sdp": sdp, "delay": 3840})
        api.node.wait_receiving(2)
        engine = api.node.status()["engine"]["generation"]
        before = api.counters()["sinks"][1]
        for moved in (5010, 5004):
            assert api.send("POST", "config", {"rtp_port": moved}).status_code == 200
            assert f"m=audio {moved} " in api.client.get("/api/source/sdp/0").text

            def received(moved: int = moved) -> bool:
                row = api.node.status()["sinks"][0]
                return row["legs"][0]["port"] == moved and row["counters"]["packets"] > 50

            api.node.wait(f"packets at port {moved}", received, 60)
        after = api.counters()["sinks"][1]
        assert api.node.status()["engine"]["generation"] == engine
    assert after["identity"] == before["identity"]
    assert after["packets"] > before["packets"] + 50
    for fault in ("lost", "sequence_errors", "wrong_ssrc", "reordered"):
        assert after[fault] == before[fault], fault


def lost_nothing(before: Counters, after: Counters, number: int) -> None:
    """Packets went and came, and none was lost but what an engine that woke too late never sent."""

    def growth(kind: str, name: str) -> int:
        return after[kind][number][name] - before[kind][number][name]

    assert growth("sources", "packets") > 50
    assert growth("sinks", "packets") > 50
    assert growth("sinks", "lost") <= growth("sources", "skipped_packets")
    assert growth("sources", "send_errors") == 0


def test_status_and_flags_are_those_of_the_stream(api: Api) -> None:
    api.connect(0, 0)
    api.node.wait_receiving(1)
    status = api.send("GET", "sink/status/0").json()
    assert status["sink_flags"]["receiving_rtp_packet"] is True
    assert status["sink_flags"]["rtp_payload_type_error"] is False
    sdp = api.client.get("/api/source/sdp/0").text
    api.put("sink/1", SINK | {"name": "other", "map": [8, 9],
                              "sdp": sdp.replace(" 98", " 97").replace(":98", ":97")})  # fmt: skip
    deadline = time.monotonic() + 10
    while not api.send("GET", "sink/status/1").json()["sink_flags"]["rtp_payload_type_error"]:
        assert time.monotonic() < deadline
    api.send("DELETE", "source/0")
    while api.send("GET", "sink/status/0").json()["sink_flags"]["receiving_rtp_packet"]:
        assert time.monotonic() < deadline
    assert api.send("GET", "sink/status/0").json()["sink_flags"]["muted"] is True


def test_the_clock_is_told_as_the_contract_has_it(api: Api) -> None:
    status = api.send("GET", "ptp/status").json()
    assert list(status) == ["status", "gmid", "jitter"]
    assert status["status"] == "locked"
    pairs = status["gmid"].split("-")
    assert len(pairs) == 8
    assert all(len(pair) == 2 and pair == pair.upper() for pair in pairs)
    api.connect(0, 0)
    assert f"IEEE1588-2008:{status['gmid']}:0" in api.client.get("/api/source/sdp/0").text


def test_calls_as_fast_as_they_go_cost_no_packet(api: Api) -> None:
    for number in range(4):
        api.connect(number, 2 * number)
    api.node.wait_receiving(4)
    before = api.counters()
    for _ in range(100):
        for path in ("streams", "sink/status/0", "config", "ptp/status"):
            assert api.send("GET", path).status_code == 200
    after = api.counters()
    for number in range(4):
        lost_nothing(before, after, number)


def test_sighup_reads_the_configuration_again_and_costs_no_packet(api: Api) -> None:
    api.connect(0, 0)
    api.node.wait_receiving(1)
    before = api.counters()
    path = api.node.directory / "daemon.conf"
    text = path.read_text()
    assert api.node.process is not None
    deadline = time.monotonic() + 20
    for interval in (31, 32):
        path.write_text(json.dumps(json.loads(text) | {"sap_interval": interval}))
        api.node.process.send_signal(signal.SIGHUP)
        while api.send("GET", "config").json()["sap_interval"] != interval:
            assert time.monotonic() < deadline
    path.write_text("{ broken")
    api.node.process.send_signal(signal.SIGHUP)
    while "the configuration stays as it was" not in api.node.log.read_text():
        assert time.monotonic() < deadline
    path.write_text(text)
    assert api.send("GET", "config").json()["sap_interval"] == 32
    while api.counters()["sources"][0]["packets"] - before["sources"][0]["packets"] < 100:
        assert time.monotonic() < deadline
    after = api.counters()
    assert after["sources"][0]["identity"] == before["sources"][0]["identity"]
    lost_nothing(before, after, 0)


def test_a_stream_is_played_to_by_its_name(api: Api) -> None:
    """From the name in the API to the channels the engine has open; renamed while it plays."""

    def play(device: str) -> subprocess.Popen[bytes]:
        command = ["aplay", "-q", "-D", device, "-f", "S16_LE", "-r", "48000", "-c", "2"]
        return subprocess.Popen([*command, "/dev/zero"], env=api.node.environment,
                                stderr=subprocess.PIPE)  # fmt: skip

    def channels() -> list[tuple[int, int]]:
        return [(each["first"], each["channels"]) for each in api.node.status()["pcms"]]

    def shown() -> str:
        return subprocess.run(["aplay", "-L"], env=api.node.environment, text=True,
                              capture_output=True, check=True).stdout  # fmt: skip

    api.put("source/3", SOURCE | {"name": "Studio A", "map": [6, 7]})
    assert 'aes67:SOURCE="Studio A"' in shown()
    with play('aes67:SOURCE="Studio A"') as first:
        try:
            deadline = time.monotonic() + 10
            while channels() != [(6, 2)]:
                assert time.monotonic() < deadline
            api.put("source/3", SOURCE | {"name": "Küche", "map": [6, 7]})
            assert 'aes67:SOURCE="Küche"' in (listed := shown())
            assert "Studio A" not in listed
            with play('aes67:SOURCE="Küche"') as second:
                try:
                    while channels() != [(6, 2)] * 2:
                        assert time.monotonic() < deadline
                finally:
                    second.kill()
            assert first.poll() is None, "what is open stays open"
        finally:
            first.kill()


def test_scattered_channels_of_named_streams_are_the_right_ones(api: Api) -> None:
    """Through a source whose channels are in no order, the network, and such a sink."""
    body = {"name": "Odd", "map": [9, 8, 12]}
    api.put("source/0", SOURCE | body)
    sdp = api.client.get("/api/source/sdp/0").text
    api.put("sink/0", SINK | {"name": "Odder", "map": [30, 18, 20], "sdp": sdp})
    api.node.wait_receiving(1)
    frame = struct.pack("<3h", 1000, -2000, 3000)
    words = ["-f", "S16_LE", "-r", "48000", "-c", "3", "-t", "raw"]
    with subprocess.Popen(["aplay", "-q", "-D", "aes67hw:SOURCE=Odd", *words],
                          env=api.node.environment, stdin=subprocess.PIPE) as player:  # fmt: skip
        try:
            feeder = threading.Thread(target=feed, args=(player, frame * 48_000 * 6))
            feeder.start()
            time.sleep(1.0)  # until what is recorded is the middle of it
            recorder = ["arecord", "-q", "-D", "aes67hw:SINK=Odder", *words, "-s", "4800"]
            done = subprocess.run(recorder, env=api.node.environment, capture_output=True,
                                  timeout=20)  # fmt: skip
        finally:
            player.kill()
        feeder.join()
    assert done.stderr == b""
    frames = {done.stdout[at : at + 6] for at in range(0, len(done.stdout), 6)}
    assert frame in frames
    assert frames <= {frame, bytes(6)}, "each channel is its own, or a gap of a busy machine"


def feed(player: subprocess.Popen[bytes], data: bytes) -> None:
    """Write all of it, or as much as is taken."""
    assert player.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        player.stdin.write(data)
        player.stdin.close()
