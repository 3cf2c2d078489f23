"""Kill and stop the processes of a real daemon; the judge is what is on the wire."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aes67.selftest.node import Node, Settings
from aes67.selftest.plan import case, source
from aes67.shm.layout import MSG_HELLO, MSG_SETUP, MSG_STREAM
from e2e.machine import without_stall
from e2e.places import Namespace
from sim.alsa_client import message
from sim.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.root

GROUP = "239.67.9.1"
PORT = 5004
WANTED = case("S16_LE", 48000, 2, "L16", "1ms")
STALL_SECONDS = 2


@dataclass(frozen=True)
class Packet:
    """What counts of an RTP header (RFC 3550 5.1)."""

    sequence: int
    timestamp: int
    ssrc: int


class Wire:
    """A member of the group that forgets nothing: the socket's buffer holds a test's packets."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self._sock.bind((GROUP, PORT))
        member = socket.inet_aton(GROUP) + socket.inet_aton("127.0.0.1")
        self._sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        self._sock.setblocking(False)

    def packets(self) -> list[Packet]:
        """All that came since the last call."""
        found = []
        while True:
            try:
                data = self._sock.recv(2048)
            except BlockingIOError:
                return found
            _, sequence, timestamp, ssrc = struct.unpack_from("!HHII", data)
            found.append(Packet(sequence, timestamp, ssrc))

    def wait(self, count: int, seconds: float = PATIENCE_S) -> list[Packet]:
        """The next packets, at least `count`."""
        found: list[Packet] = []

        def enough() -> bool:
            found.extend(self.packets())
            return len(found) >= count

        wait_until(enough, seconds)
        return found

    def close(self) -> None:
        self._sock.close()


def nearest(timestamp: int, frame: int) -> int:
    """The media frame closest to `frame` whose low 32 bits are the timestamp."""
    return frame + ((timestamp - frame + (1 << 31)) % (1 << 32)) - (1 << 31)


def gaps(packets: list[Packet]) -> list[tuple[int, int]]:
    """(first missing sequence number, how many) of every hole; wrap-around is none."""
    return [
        ((a.sequence + 1) % 65536, (b.sequence - a.sequence - 1) % 65536)
        for a, b in zip(packets, packets[1:], strict=False)
        if (b.sequence - a.sequence) % 65536 != 1
    ]


def without_gaps(attempt: Callable[[], list[Packet]]) -> list[Packet]:
    """Packets of which none is missing, unless the machine stood still."""
    packets = without_stall(attempt, lambda found: not gaps(found))
    assert gaps(packets) == []
    return packets


def processes(node: Node) -> dict[str, int]:
    """Pids of the daemon's children by name; those that run now."""
    assert node.process is not None
    pid = node.process.pid
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it died between the two lines
        for name, module in (("engine", b"aes67.engine.main"), ("control", b"aes67_api.main")):
            if module in command:
                found[name] = int(child)
    return found


def wait_for_new(node: Node, name: str, old: int) -> int:
    """Pid of the successor of a process."""
    wait_until(lambda: processes(node).get(name, old) != old)
    return processes(node)[name]


@pytest.fixture(scope="module")
def namespace() -> Iterator[None]:
    with Namespace():
        yield


@pytest.fixture(scope="module")
def node(namespace: None) -> Iterator[Node]:
    with Node(Settings(device_channels=8)) as node:
        node.wait_locked()
        node.client.put("/api/source/0", source(WANTED, 0) | {"address": GROUP})
        yield node


@pytest.fixture
def wire(node: Node) -> Iterator[Wire]:
    wire = Wire()
    wire.wait(50)
    yield wire
    wire.close()


def wait_connected(node: Node) -> None:
    node.wait("the engine", lambda: bool(node.status()["engine"]["connected"]))


def test_kill_9_of_control_loses_no_packet(node: Node, wire: Wire) -> None:
    """Nor does another name of the node, which the new control would make other SSRCs of."""
    engine = processes(node)["engine"]
    names = itertools.count()

    def attempt() -> list[Packet]:
        wire.packets()
        node.client.patch("/api/v1/config", {"custom_node_id": f"Name {next(names)}"})
        old = processes(node)["control"]
        os.kill(old, signal.SIGKILL)
        wait_for_new(node, "control", old)
        wait_connected(node)
        node.wait("the source", lambda: [each["id"] for each in node.status()["sources"]] == [0])
        counters = node.status()["engine"]["counters"]
        assert counters["table_serial"] >= 1
        packets = wire.wait(1000)
        assert node.status()["engine"]["counters"]["table_serial"] >= counters["table_serial"]
        return packets

    packets = without_gaps(attempt)
    assert len({packet.ssrc for packet in packets}) == 1
    assert processes(node)["engine"] == engine


def test_control_stopped_for_a_while_loses_no_packet(node: Node, wire: Wire) -> None:
    pid = processes(node)["control"]

    def attempt() -> list[Packet]:
        wire.packets()
        os.kill(pid, signal.SIGSTOP)
        try:
            return wire.wait(3000)
        finally:
            os.kill(pid, signal.SIGCONT)
            wait_connected(node)

    without_gaps(attempt)
    assert processes(node)["control"] == pid


def test_a_killed_engine_is_back_with_the_same_stream(node: Node, wire: Wire) -> None:
    (old,) = {packet.ssrc for packet in wire.packets() or wire.wait(10)}
    before = processes(node)
    began = time.monotonic()
    os.kill(before["engine"], signal.SIGKILL)
    wait_for_new(node, "engine", before["engine"])
    wire.packets()
    packets = wire.wait(200)
    took = time.monotonic() - began
    assert {packet.ssrc for packet in packets} == {old}
    tai_s = time.time() + 37  # good to a second: enough to tell which turn of the 32 bits it is
    for packet in packets:
        frame = nearest(packet.timestamp, int(tai_s * 48000))
        assert frame % 48 == 0
        assert packet.sequence == frame // 48 % 65536, "the sequence is a function of time"
    assert processes(node)["control"] == before["control"]
    wait_connected(node)
    without_gaps(lambda: wire.wait(200))
    assert took < 20
    print(f"stream back {took:.2f} s after kill -9 of the engine")


def test_hostile_and_killed_applications_leave_nothing(node: Node, wire: Wire) -> None:
    """200 applications die by kill -9 at any point of their set-up; one lives on."""
    engine = processes(node)["engine"]
    alsa = str(node.runtime / "alsa.sock")
    survivor = connect(alsa)
    setup(survivor)
    before = descriptors(engine)
    numbers = itertools.count()

    def attempt() -> list[Packet]:
        """A third of them: what a machine that stands still spoils is not much."""
        wire.packets()
        for _ in range(67):
            kill_one_client(alsa, next(numbers))
        wait_until(lambda: descriptors(engine) == before)
        node.wait("the list of PCMs", lambda: len(node.status()["pcms"]) == 1)
        return wire.wait(200)

    for _ in range(3):
        without_gaps(attempt)
    assert processes(node)["engine"] == engine
    survivor.close()
    node.wait("the list of PCMs", lambda: node.status()["pcms"] == [])


def connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(60)
    sock.connect(path)
    return sock


def setup(sock: socket.socket, steps: int = 4) -> None:
    """HELLO, its reply, SETUP, its reply: the first `steps` of them."""
    requests = (
        message(MSG_HELLO, application="victim"),
        message(MSG_SETUP, rate=48000, channels=2, format=3, period_frames=48, buffer_frames=480),
    )
    for step in range(steps):
        if step % 2 == 0:
            sock.send(requests[step // 2])
        else:
            data, fds, _, _ = socket.recv_fds(sock, 1024, 4)
            assert struct.unpack_from("<i", data, 20) == (0,)
            for fd in fds:
                os.close(fd)


def kill_one_client(path: str, number: int) -> None:
    """A process that takes some steps and waits is killed, every other one without waiting."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            sock = connect(path)
            setup(sock, number % 5)
            os.write(write_end, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(write_end)
    if number % 2:
        os.read(read_end, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(read_end)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_the_device_takes_the_rate_an_application_asks_for(node: Node, wire: Wire) -> None:
    """Through all three: plugin's message, engine, control's new plan, the stream at that rate."""
    node.client.patch("/api/v1/config", {"rate_follows_app": True})
    alsa = str(node.runtime / "alsa.sock")
    try:
        first, second = connect(alsa), connect(alsa)
        setup(first, 2)
        setup(second, 2)
        assert ask_rate(first, 96000) == 0
        assert node.status()["engine"]["rate"] == 96000
        wire.packets()
        steps = {
            (b.timestamp - a.timestamp) % (1 << 32) for a, b in itertools.pairwise(wire.wait(20))
        }
        assert steps == {48}
        assert ask_rate(second, 48000) == -errno.EBUSY
        first.close()
        node.wait("the list of PCMs", lambda: node.status()["pcms"] == [])
        assert ask_rate(second, 48000) == 0
        second.close()
    finally:
        node.client.patch("/api/v1/config", {"rate_follows_app": False})
    node.wait("the rate", lambda: node.status()["engine"]["rate"] == 48000)


def ask_rate(sock: socket.socket, rate: int) -> int:
    """Status of a SETUP at this rate."""
    sock.send(
        message(MSG_SETUP, rate=rate, channels=2, format=3, period_frames=48, buffer_frames=480)
    )
    while True:
        data, fds, _, _ = socket.recv_fds(sock, 1024, 4)
        for fd in fds:
            os.close(fd)
        if struct.unpack_from("<I", data, 8) == (MSG_STREAM,):
            return int(struct.unpack_from("<i", data, 20)[0])


def test_two_engines_never_share_a_directory(node: Node, wire: Wire) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "aes67.engine.main", "--runtime-dir", str(node.runtime)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert second.returncode == 1
    pid = processes(node)["engine"]
    assert f"another engine (pid {pid}) runs in {node.runtime}" in second.stderr
    assert "Traceback" not in second.stderr
    wire.packets()
    wire.wait(100)


def test_the_processes_are_small(node: Node) -> None:
    assert node.process is not None
    pids = {"daemon": node.process.pid, **processes(node)}
    kilobytes = {}
    for name, pid in pids.items():
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                kilobytes[name] = int(line.split()[1])
    assert sum(kilobytes.values()) < 250_000, kilobytes
    print(kilobytes)


def test_a_broken_configuration_is_said_once(namespace: None) -> None:
    with tempfile.TemporaryDirectory(prefix=f"daemon{os.getpid()}-") as directory:
        config = Path(directory) / "daemon.conf"
        config.write_text('{ "http_port": ')
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "aes67.daemon",
                "-c",
                str(config),
                "--runtime-dir",
                f"{directory}/run",
            ],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 1
    assert "error parsing JSON" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1] == "daemon exiting with code: 1"


def test_kill_9_of_the_parent_leaves_no_orphan(node: Node, wire: Wire) -> None:
    """And the next daemon starts over what was left in the directory."""
    children = processes(node)
    assert set(children) == {"engine", "control"}
    assert node.process is not None
    os.kill(node.process.pid, signal.SIGKILL)
    node.process.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children.values()))
    wire.packets()
    time.sleep(0.1)
    assert wire.packets() == []
    node.start()
    wire.wait(50)
    assert node.stop() == 0
