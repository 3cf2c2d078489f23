"""The control process as a process: how it starts, moves, refuses to start and ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from aes67.control.files import lock_directory
from aes67.services import tcp
from aes67_api.listener import PortBusy, bind
from aes67_api.main import main
from sim.http_node import SOURCE, own_logging
from sim.waiting import wait_until


def free_port() -> int:
    """A port nobody has just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Process:
    """A control process with its files in a directory."""

    def __init__(self, directory: Path, *arguments: str, **config: Any) -> None:
        self.directory, self.port = directory, free_port()
        values = {
            "http_port": self.port, "rtsp_port": free_port(),
            "interface_name": "lo", "syslog_proto": "none",
            "status_file": str(directory / "status.json"), "clock_mode": "free",
        } | config  # fmt: skip
        path = directory / "daemon.conf"
        if not path.exists():
            path.write_text(json.dumps(values))
        else:
            self.port = json.loads(path.read_text())["http_port"]
        self.child = subprocess.Popen(
            [sys.executable, "-m", "aes67_api.main", "-c", str(path), "-a", "127.0.0.1",
             "--runtime-dir", str(directory), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=directory,
        )  # fmt: skip

    def url(self, port: int = 0) -> str:
        return f"http://127.0.0.1:{port or self.port}/api"

    def answers(self, port: int = 0) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url(port)}/version").status_code == 200
        return False

    def wait(self) -> None:
        wait_until(lambda: self.answers() or self.child.poll() is not None)
        assert self.child.poll() is None, self.child.communicate()[1]

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.child.send_signal(number)
        out, err = self.child.communicate(timeout=15)
        return self.child.returncode, out, err


@contextlib.contextmanager
def process(directory: Path, *arguments: str, **config: Any) -> Iterator[Process]:
    made = Process(directory, *arguments, **config)
    try:
        yield made
    finally:
        if made.child.poll() is None:
            made.child.kill()
        made.child.communicate()


Failing = Callable[..., str]


@pytest.fixture
def failing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Failing:
    """What a start says that ends with 1; within this process, since nothing was started."""

    def run(*arguments: str, **config: Any) -> str:
        path = tmp_path / "daemon.conf"
        values = {"interface_name": "lo", "syslog_proto": "none", "status_file": ""}
        path.write_text(json.dumps(values | config))
        with own_logging():
            try:
                code = main(["-c", str(path), "--runtime-dir", str(tmp_path), *arguments])
            except SystemExit as end:
                code = int(end.code or 0)
        err = capsys.readouterr().err
        assert code == 1, err
        return err

    return run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_without_an_engine_and_ends_cleanly(tmp_path: Path, number: int) -> None:
    with process(tmp_path) as made:
        made.wait()
        assert httpx.put(f"{made.url()}/source/0", json=SOURCE).status_code == 200
        assert httpx.get(f"{made.url()}/v1/status").json()["engine"]["connected"] is False
        code, _, err = made.end(number)
    assert code == 0, err
    assert "Traceback" not in err
    assert len(json.loads((tmp_path / "status.json").read_text())["sources"]) == 1


def test_an_interface_that_is_not_there_is_said_in_the_log(tmp_path: Path) -> None:
    with process(tmp_path, interface_name="nowhere") as made:
        made.wait()
        code, out, err = made.end()
    assert code == 0, err
    assert "there is no interface nowhere (interface_name): nothing is sent" in out + err


def test_a_busy_port_is_said_and_ends_it(failing: Failing) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert f"HTTP port {port} is busy" in failing(http_port=port)
        assert f"RTSP port {port} is busy" in failing(http_port=free_port(), rtsp_port=port)


def test_of_two_that_start_at_the_same_moment_one_serves(tmp_path: Path) -> None:
    """SO_REUSEPORT would let both listen, and answer in turn."""
    port, lines = free_port(), (
        "import sys, time; from aes67_api.listener import PortBusy, bind\n"
        "sys.stdin.readline()\n"
        "try: held = bind('127.0.0.1', PORT); print('served', flush=True)\n"
        "except PortBusy as error: print(error, flush=True)\n"
        "sys.stdin.readline()"
    )  # fmt: skip
    command = [sys.executable, "-c", lines.replace("PORT", str(port))]
    several = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for each in several:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    said = sorted(each.stdout.readline().strip() for each in several if each.stdout is not None)
    for each in several:
        each.communicate("end\n", timeout=10)
    busy = f"HTTP port {port} is busy: another program listens there"
    assert said == [busy] * 3 + ["served"]


def test_looking_for_a_listener_and_listening_is_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: of two that look at the same moment both would find the port free."""
    look = tcp._listened

    def look_slowly(*arguments: Any) -> bool:
        found = look(*arguments)
        time.sleep(0.1)
        return found

    monkeypatch.setattr(tcp, "_listened", look_slowly)
    monkeypatch.setattr(tcp, "TURN_SECONDS", 60.0)
    port = free_port()

    def listen(_: int) -> socket.socket | None:
        with contextlib.suppress(PortBusy):
            return bind("127.0.0.1", port)
        return None

    with ThreadPoolExecutor(2) as both:
        made = [each for each in both.map(listen, range(2)) if each is not None]
    for each in made:
        each.close()
    assert len(made) == 1


def test_another_address_of_the_same_port_is_free() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        bind("127.0.0.2", port).close()
        for address in ("", "127.0.0.1", "::"):
            with pytest.raises(PortBusy, match="busy"):
                bind(address, port)
    with bind("::1", 0) as first:
        port = first.getsockname()[1]
        bind("127.0.0.1", port).close()
        with pytest.raises(PortBusy, match="busy"):
            bind("::1", port)


def test_a_lock_that_is_kept_from_us_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "TURN_SECONDS", 0.05)
    port = free_port()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as squatter:
        squatter.bind(f"\0aes67-tcp-{port}")
        bind("127.0.0.1", port).close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "Fatal: error opening config file"),
        ("{", "error parsing JSON at line 1"),
        ('{"http_port": "x"}', "http_port"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_said_and_ends_it(
    tmp_path: Path, failing: Failing, content: str | None, words: str
) -> None:
    path = tmp_path / "mine.conf"
    if content is not None:
        path.write_text(content)
    err = failing("-c", str(path))
    assert words in err
    assert str(path) in err
    assert "Traceback" not in err


def test_a_wrong_option_is_1_with_the_usage(failing: Failing) -> None:
    assert "usage" in failing("--no-such-option")
    assert "http_port" in failing("-p", "99999")


def test_the_port_of_the_command_line_is_reported_and_saved(tmp_path: Path) -> None:
    port = free_port()
    with process(tmp_path, "-p", str(port)) as made:
        wait_until(lambda: made.answers(port))
        assert httpx.get(f"{made.url(port)}/config").json()["http_port"] == port
        httpx.post(f"{made.url(port)}/config", json={"ptp_domain": 1})
    assert json.loads((tmp_path / "daemon.conf").read_text())["http_port"] == port


def test_the_listener_moves_and_the_process_stays(tmp_path: Path) -> None:
    port = free_port()
    with process(tmp_path) as made:
        made.wait()
        assert httpx.post(f"{made.url()}/config", json={"http_port": port}).status_code == 200
        wait_until(lambda: made.answers(port))
        wait_until(lambda: not made.answers())
        assert made.child.poll() is None
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            busy = holder.getsockname()[1]
            said = httpx.post(f"{made.url(port)}/config", json={"http_port": busy})
            assert said.status_code == 200, said.text

            def warned() -> bool:
                engine = httpx.get(f"{made.url(port)}/v1/status").json()["engine"]
                return any("still serving" in each for each in engine["warnings"])

            wait_until(warned)
        assert made.end()[0] == 0


def test_the_port_of_a_service_that_has_just_ended_is_taken_over() -> None:
    """Its sockets in TIME_WAIT carry SO_REUSEPORT only, as the AES67 daemon's do."""
    with socket.socket() as old:
        old.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        old.bind(("127.0.0.1", 0))
        old.listen()
        port = old.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            served, _ = old.accept()
            with pytest.raises(PortBusy, match="busy"):
                bind("127.0.0.1", port)
            served.close()
            assert client.recv(1) == b""
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            plain.bind(("127.0.0.1", port))
    bind("127.0.0.1", port).close()


def test_an_address_that_is_not_ours_is_said(failing: Failing) -> None:
    with pytest.raises(PortBusy, match=r"HTTP: cannot listen on 192\.0\.2\.1:"):
        bind("192.0.2.1", 0)
    assert "cannot listen" in failing("-a", "192.0.2.1", http_port=free_port())


def test_a_hundred_changes_at_once_lose_nothing(tmp_path: Path) -> None:
    with process(tmp_path) as made:
        made.wait()
        with httpx.Client() as client:
            for number in range(20):
                body = SOURCE | {"name": f"S{number}", "map": [number]}
                assert client.put(f"{made.url()}/source/{number}", json=body).status_code == 200
        os.kill(made.child.pid, signal.SIGKILL)
        made.child.wait()
    kept = json.loads((tmp_path / "status.json").read_text())
    assert [each["id"] for each in kept["sources"]] == list(range(20))


def test_sighup_reads_the_configuration_again(tmp_path: Path) -> None:
    path = tmp_path / "daemon.conf"
    with process(tmp_path) as made:
        made.wait()
        path.write_text(json.dumps(json.loads(path.read_text()) | {"ptp_domain": 4}))
        made.child.send_signal(signal.SIGHUP)
        config = f"{made.url()}/ptp/config"
        wait_until(lambda: httpx.get(config).json()["domain"] == 4)
        path.write_text("{ broken")
        made.child.send_signal(signal.SIGHUP)
        assert httpx.get(config).json()["domain"] == 4
        assert made.end()[0] == 0


def test_two_of_us_never_share_an_engine(tmp_path: Path, failing: Failing) -> None:
    lock = lock_directory(tmp_path)
    try:
        assert f"another control process runs in {tmp_path}" in failing()
    finally:
        os.close(lock)


def test_a_stream_that_cannot_be_kept_is_told_by_command_log_and_status(tmp_path: Path) -> None:
    """The disk is full, or the folder of the status file is gone: it works until the next start."""
    place = tmp_path / "gone"
    sentence = f"status file {place}/status.json could not be written: No such file or directory"
    with process(tmp_path, status_file=str(place / "status.json")) as made:
        made.wait()
        for words in (["source", "add", "3"], ["source", "remove", "3"]):
            done = subprocess.run(
                [sys.executable, "-m", "aes67.cli.main", "--url", made.url().removesuffix("/api"),
                 *words], capture_output=True, text=True, timeout=30, check=True,
            )  # fmt: skip
            assert done.stderr == f"! {sentence}\n"
        _, out, err = made.end()
    assert (out + err).count(sentence) == 1
