"""The parent process over children that only live and die: no audio, real signals."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import aes67
from aes67.daemon import child, command_line
from sim.waiting import wait_until

CHILDREN = Path(__file__).with_name("daemon_children.py")
BEAT = 'while :; do echo alive >&"$AES67_HEARTBEAT_FD"; sleep 0.1; done'


class Parent:
    """A running daemon whose children note their pids in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process: subprocess.Popen[str] | None = None

    def start(
        self, engine: str = BEAT, control: str = BEAT, *, stall: float = 0.0, **environment: str
    ) -> subprocess.Popen[str]:
        lines = [
            f"{name}=echo $$ >> {self.directory / name}; {command}"
            for name, command in (("engine", engine), ("control", control))
        ]
        self.process = subprocess.Popen(
            [sys.executable, str(CHILDREN), str(stall), *lines],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        return self.process

    def pids(self, name: str) -> list[int]:
        """Of all children of this name so far."""
        try:
            text = (self.directory / name).read_text()
        except FileNotFoundError:
            return []
        return [int(line) for line in text.splitlines()]

    def wait_started(self, name: str, count: int = 1) -> int:
        """Pid of the newest child, once there have been `count`."""
        wait_until(lambda: len(self.pids(name)) >= count)
        return self.pids(name)[-1]

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        for pid in self.pids("engine") + self.pids("control"):
            wait_until(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.fixture
def parent() -> Iterator[Parent]:
    with tempfile.TemporaryDirectory(prefix=f"daemon{os.getpid()}-") as directory:
        parent = Parent(Path(directory))
        yield parent
        parent.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_both_children_and_exits_0(parent: Parent, number: signal.Signals) -> None:
    process = parent.start()
    children = [parent.wait_started("engine"), parent.wait_started("control")]
    process.send_signal(number)
    out, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert out.splitlines()[-1] == "daemon exiting with code: 0"
    assert not any(is_alive(pid) for pid in children)


RELOADS = f"""exec {sys.executable} -c '
import os, signal, time
pipe = int(os.environ["AES67_HEARTBEAT_FD"])
def read_again(*_):
    with open("NOTED", "a") as noted:
        print("read", file=noted)
    time.sleep(0.3)
    os.write(pipe, b"reloaded\\n")
signal.signal(signal.SIGHUP, read_again)
while True:
    os.write(pipe, b"alive\\n")
    time.sleep(0.1)
'"""
"""A child that takes SIGHUP; no shell can, as it is ignored when it starts."""


def test_sighup_is_for_the_child_with_a_configuration(parent: Parent) -> None:
    address, noted = parent.directory / "notify", parent.directory / "noted"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(address))
        sock.settimeout(10)
        control = RELOADS.replace("NOTED", str(noted))
        process = parent.start(control=control, NOTIFY_SOCKET=str(address))
        children = [parent.wait_started("engine"), parent.wait_started("control")]
        ready = b"READY=1\nSTATUS=Working"
        while sock.recv(200) != ready:
            pass
        for pid in (process.pid, children[0]):  # `systemctl kill -s HUP` sends it to all
            os.kill(pid, signal.SIGHUP)
        messages = [sock.recv(200)]
        while messages[-1] != ready:
            messages.append(sock.recv(200))
    begun = next(each for each in messages if each.startswith(b"RELOADING=1\nMONOTONIC_USEC="))
    usec = int(begun.split(b"\n")[1].partition(b"=")[2])
    assert 0 <= time.monotonic_ns() // 1000 - usec < 10_000_000
    assert set(messages) - {begun, ready} <= {b"WATCHDOG=1"}
    assert noted.read_text() == "read\n"
    assert [parent.pids("engine"), parent.pids("control")] == [[each] for each in children]


def test_sighup_while_the_child_starts_waits_for_it(parent: Parent) -> None:
    noted, go = parent.directory / "noted", parent.directory / "go"
    hold = f"while ! [ -e {go} ]; do sleep 0.05; done; "
    process = parent.start(control=hold + RELOADS.replace("NOTED", str(noted)))
    pid = parent.wait_started("control")
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    go.touch()
    wait_until(noted.exists)
    assert parent.pids("control") == [pid]


def test_a_terminal_that_closes_ends_it() -> None:
    """The kernel sends the same SIGHUP then; nobody could end the daemon from there any more."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, str(CHILDREN), "0", f"engine={BEAT}"])
    wait_until(lambda: len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) == 1)
    os.close(terminal)
    wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid)


def test_children_are_asked_to_end_control_first(parent: Parent) -> None:
    log = parent.directory / "order"
    note = 'trap "echo {0} >> {1}; exit 0" TERM; ' + BEAT
    process = parent.start(note.format("engine", log), note.format("control", log))
    parent.wait_started("engine")
    parent.wait_started("control")
    time.sleep(0.2)  # until the shells have set their traps
    process.terminate()
    process.communicate(timeout=10)
    assert log.read_text().split() == ["control", "engine"]


def test_a_child_that_will_not_end_is_killed_in_time(
    parent: Parent,
) -> None:
    process = parent.start(engine='trap "" TERM; ' + BEAT)
    pid = parent.wait_started("engine")
    time.sleep(0.2)
    began = time.monotonic()
    process.terminate()
    out, err = process.communicate(timeout=15)
    assert process.returncode == 0
    assert "engine does not end" in err
    assert time.monotonic() - began < child.STOP_SECONDS["engine"] + 2
    assert not is_alive(pid)
    assert out.endswith("daemon exiting with code: 0\n")


def test_a_second_signal_hastens_the_end(parent: Parent) -> None:
    process = parent.start(control='trap "" TERM; ' + BEAT)
    parent.wait_started("control")
    time.sleep(0.2)
    process.terminate()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=2)
    assert process.returncode == 0


@pytest.mark.parametrize("name", ["engine", "control"])
def test_a_killed_child_is_started_again_alone(parent: Parent, name: str) -> None:
    process = parent.start()
    other = "control" if name == "engine" else "engine"
    first = parent.wait_started(name)
    survivor = parent.wait_started(other)
    began = time.monotonic()
    os.kill(first, signal.SIGKILL)
    second = parent.wait_started(name, 2)
    assert time.monotonic() - began < 1.0, "the first restart waits for nothing"
    assert is_alive(second)
    assert is_alive(survivor)
    assert parent.pids(other) == [survivor]
    process.terminate()
    _, err = process.communicate(timeout=10)
    assert f"{name} ended (signal 9)" in err


def test_restarts_back_off(parent: Parent) -> None:
    parent.start(engine="kill -9 $$")
    parent.wait_started("engine", 3)
    began = time.monotonic()
    parent.wait_started("engine", 4)
    assert time.monotonic() - began > 0.3
    time.sleep(0.5)
    assert len(parent.pids("engine")) <= 5


def test_a_child_that_cannot_start_ends_it_all(parent: Parent) -> None:
    process = parent.start(control="echo 'Configuration file X : error parsing JSON' >&2; exit 1")
    out, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "error parsing JSON" in err
    assert out == "daemon exiting with code: 1\n"
    assert len(parent.pids("control")) == 1
    assert not is_alive(parent.pids("engine")[0])


def test_a_child_that_cannot_be_run_is_said_in_one_line(parent: Parent) -> None:
    process = parent.start(CHILDREN_SHELL="/nowhere/sh")
    _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert err == "aes67-daemon: engine cannot be run (/nowhere/sh: No such file or directory)\n"


def test_a_child_that_cannot_be_run_for_a_while_is_tried_again(parent: Parent) -> None:
    shell = parent.directory / "sh"
    shell.symlink_to("/bin/sh")
    process = parent.start(CHILDREN_SHELL=str(shell))
    first, other = parent.wait_started("control"), parent.wait_started("engine")
    time.sleep(0.5)  # until it was heard
    shell.unlink()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{first}").exists())
    time.sleep(0.2)
    shell.symlink_to("/bin/sh")
    parent.wait_started("control", 2)
    assert is_alive(other)
    process.terminate()
    _, err = process.communicate(timeout=10)
    assert f"control cannot be run ({shell}: No such file or directory); starting it again" in err


def test_one_that_ran_before_is_started_again_whatever_its_exit_code(parent: Parent) -> None:
    once = parent.directory / "once"
    parent.start(control=f"{BEAT.replace(':;', f'! [ -e {once} ];')}; rm {once}; exit 1")
    parent.wait_started("control")
    time.sleep(0.5)
    once.touch()
    parent.wait_started("control", 2)


def test_kill_9_of_the_parent_leaves_no_orphan(parent: Parent) -> None:
    process = parent.start()
    children = [parent.wait_started("engine"), parent.wait_started("control")]
    stopped = children[0]
    os.kill(stopped, signal.SIGSTOP)
    process.kill()
    process.communicate()
    wait_until(lambda: not any(is_alive(pid) for pid in children))


def test_a_child_that_hangs_is_replaced(parent: Parent) -> None:
    process = parent.start(stall=1.0)
    first = parent.wait_started("engine")
    time.sleep(1.5)
    assert parent.pids("engine") == [first], "one that beats is left alone"
    os.kill(first, signal.SIGSTOP)
    parent.wait_started("engine", 2)
    process.terminate()
    _, err = process.communicate(timeout=10)
    assert "engine has not moved" in err


def test_systemd_is_told(parent: Parent) -> None:
    address = parent.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(address))
        sock.settimeout(10)
        tell = 'echo "$NOTIFY_SOCKET" >> {0}; sleep 0.5; ' + BEAT
        seen = parent.directory / "seen"
        process = parent.start(control=tell.format(seen), NOTIFY_SOCKET=str(address))
        messages: list[bytes] = []
        while b"READY=1\nSTATUS=Working" not in messages:
            messages.append(sock.recv(100))
        process.terminate()
        process.communicate(timeout=10)
        with contextlib.suppress(BlockingIOError):
            sock.settimeout(0)
            while True:
                messages.append(sock.recv(100))
        first_ready = messages.index(b"READY=1\nSTATUS=Working")
        assert first_ready > 0, "watchdog messages come while it starts, too"
        assert set(messages[:first_ready]) == {b"WATCHDOG=1"}
        assert messages[-1] == b"STOPPING=1\nSTATUS=Stopping"
        assert seen.read_text() == "\n", "the children do not speak to systemd"


@pytest.mark.root
@pytest.mark.peer("setpriv")
def test_the_service_s_rights_are_the_engine_s_alone(parent: Parent) -> None:
    """As systemd starts it: a user of its own with ambient capabilities."""
    os.chmod(parent.directory, 0o777)
    facts_of = "grep ^Cap /proc/$$/status; grep realtime.priority /proc/$$/limits | tr -d a-zM"
    tell = "(" + facts_of + ") > {0}.new; mv {0}.new {0}; " + BEAT
    seen = {name: parent.directory / f"rights-{name}" for name in ("engine", "control")}
    source = str(Path(aes67.__file__).parents[1])
    code = [f"import sys; sys.path.insert(0, {source!r}); sys.argv[1:] = sys.argv[2:]",
            f"exec(compile(open({str(CHILDREN)!r}).read(), 'children', 'exec'))"]  # fmt: skip
    parent.process = subprocess.Popen(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
         "--inh-caps=+net_bind_service,+sys_nice", "--ambient-caps=+net_bind_service,+sys_nice",
         "--bounding-set=-all,+net_bind_service,+sys_nice", "--no-new-privs",
         sys.executable, "-c", "; ".join(code), "-", "0",
         *(f"{name}=echo $$ >> {parent.directory / name}; {tell.format(path)}"
           for name, path in seen.items())],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until(lambda: all(path.exists() for path in seen.values()))
    facts = {
        name: dict(line.split() for line in path.read_text().splitlines()[:-1])
        for name, path in seen.items()
    }
    wanted = f"{1 << 10 | 1 << 23:016x}"  # CAP_NET_BIND_SERVICE, CAP_SYS_NICE
    assert facts["engine"]["CapEff:"] == wanted
    assert facts["control"]["CapEff:"] == facts["control"]["CapPrm:"] == "0" * 16
    assert facts["control"]["CapAmb:"] == "0" * 16
    assert seen["control"].read_text().split()[-1] == "0"


def run_daemon(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aes67.daemon", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_version_and_help_as_the_contract_has_them() -> None:
    version = run_daemon("-v")
    assert (version.returncode, version.stdout.splitlines()[0]) == (0, "bondagit-4.0.0")
    usage = run_daemon("--help")
    assert usage.returncode == 0
    assert usage.stdout.startswith("USAGE: ")
    for option in ("-c", "--config", "-a", "--http_addr", "-p", "--http_port"):
        assert option in usage.stdout


@pytest.mark.parametrize("wrong", [["-x"], ["-p"], ["-p", "0"], ["-p", "65536"], ["-p", "http"]])
def test_bad_options_exit_1_with_usage(wrong: list[str]) -> None:
    result = run_daemon(*wrong)
    assert result.returncode == 1
    assert "USAGE: " in result.stderr
    assert result.stdout == ""


def test_options_reach_the_children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    options = command_line._parse(
        ["-c", "my.conf", "-a", "127.0.0.1", "-p", "8081", "--runtime-dir", "run",
         "--priority", "60", "--log-level", "debug", "--alsa-group", "staff"]
    )  # fmt: skip
    engine, control = command_line._children(options, options.runtime_dir)
    run = str(tmp_path / "run")
    assert engine.command[1:] == [
        "-P", "-m", "aes67.engine.main", "--runtime-dir", run, "--priority", "60",
        "--log-level", "debug", "--alsa-group", "staff",
    ]  # fmt: skip
    assert control.command[1:] == [
        "-P", "-m", "aes67_api.main", "-c", "my.conf", "--runtime-dir", run,
        "-a", "127.0.0.1", "-p", "8081",
    ]  # fmt: skip
    assert control.directory is None, "paths of the configuration are relative to here"
    defaults = command_line._parse([])
    assert (defaults.config, defaults.http_port) == ("/etc/daemon.conf", None)


def test_the_parent_is_small() -> None:
    code = "import aes67.daemon, sys; print(len(sys.modules)); print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    names = result.stdout.split()
    assert not {"numpy", "numba", "asyncio", "json", "logging"} & set(names)


@pytest.mark.parametrize(
    ("environment", "root", "expected"),
    [
        ({"RUNTIME_DIRECTORY": "/run/x:/run/y", "XDG_RUNTIME_DIR": "/u"}, True, "/run/x"),
        ({"XDG_RUNTIME_DIR": "/u"}, True, "/run/aes67"),
        ({"XDG_RUNTIME_DIR": "/u"}, False, "/u/aes67"),
        ({}, False, "/tmp/aes67-1234"),
    ],
)
def test_default_runtime_directory(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], root: bool, expected: str
) -> None:
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1234)
    assert command_line.default_runtime_directory() == Path(expected)
