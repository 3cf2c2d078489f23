"""Every command a user types, against a running daemon, with its output and exit code."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aes67.cli import main as cli
from aes67.cli.main import FAILED, OK
from aes67.selftest import audio, demo, latency
from aes67.selftest import run as make_run
from aes67.selftest.audio import CANNOT_RUN
from aes67.selftest.node import Node
from aes67.selftest.plan import case, source

pytestmark = pytest.mark.root


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def aes67(node: Node, *arguments: str, given: str | None = None) -> Done:
    """Run a command in this process, as its entry point does."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AES67_URL", node.client.url)
        patch.setattr(sys, "stdin", io.StringIO(given or ""))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(list(arguments))
    return Done(code, out.getvalue(), err.getvalue())


def program(*arguments: str, timeout: float = 400) -> subprocess.CompletedProcess[str]:
    """Run a command as a program of its own."""
    return subprocess.run(
        [sys.executable, "-m", "aes67.cli.main", *arguments],
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def value(node: Node, *arguments: str) -> Any:
    done = aes67(node, "--json", *arguments)
    assert done.returncode == OK, done.stderr
    return json.loads(done.stdout)


def said(node: Node, *arguments: str, given: str | None = None) -> str:
    done = aes67(node, *arguments, given=given)
    assert done.returncode == OK, done.stderr
    assert done.stderr == ""
    return done.stdout


def refused(node: Node, *arguments: str, given: str | None = None) -> str:
    done = aes67(node, *arguments, given=given)
    assert done.returncode == FAILED, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.startswith("aes67: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_source_from_birth_to_removal(node: Node) -> None:
    assert said(node, "source", "add", "--name", "Studio A") == "source 0 is set\n"
    assert said(node, "source", "add", "--channels", "8", "--first", "8") == "source 1 is set\n"
    rows = value(node, "source", "list")
    assert [(row["id"], row["name"], row["map"]) for row in rows] == [
        (0, "Studio A", [0, 1]), (1, "Source 1", list(range(8, 16))),
    ]  # fmt: skip
    text = said(node, "source", "list")
    assert "Studio A" in text
    assert text.splitlines()[0].split() == [
        "source", "name", "state", "address", "codec", "channels", "packets", "errors",
    ]  # fmt: skip
    assert said(node, "source", "sdp", "0").startswith("v=0\n")
    assert value(node, "source", "sdp", "0")["sdp"].count("m=audio") == 1
    replaced = value(node, "source", "add", "0", "--name", "B", "--codec", "L16", "--disabled")
    assert (replaced["codec"], replaced["enabled"]) == ("L16", False)
    assert said(node, "source", "remove", "0") == ""
    assert said(node, "source", "remove", "1") == ""
    assert value(node, "source", "list") == []


def test_a_sink_from_birth_to_removal(node: Node, tmp_path: Path) -> None:
    said(node, "source", "add", "--name", "Mine", "--channels", "4")
    assert said(node, "sink", "add", "--from", "source:0") == "sink 0 is set\n"
    sdp = said(node, "source", "sdp", "0")
    path = tmp_path / "mine.sdp"
    path.write_text(sdp, encoding="utf-8")
    said(node, "sink", "add", "--from", str(path), "--name", "From a file", "--map", "8-11")
    again = aes67(node, "sink", "add", "--from", "-", "--name", "From a pipe", given=sdp)
    assert (again.returncode, again.stdout) == (OK, "sink 2 is set\n")
    assert again.stderr.startswith("! sink 2 (From a pipe): device channel 0, 1, 2, 3 belongs to ")
    assert "sink 0 (Sink 0)" in again.stderr
    assert "map it to other channels, or remove sink 0" in again.stderr
    url = f"{node.client.url}/api/source/sdp/0"
    more = ("--channels", "4", "--first", "12")
    said(node, "sink", "add", "7", "--from", url, "--name", "From a URL", *more)
    rows = value(node, "sink", "list")
    assert [row["id"] for row in rows] == [0, 1, 2, 7]
    assert [len(row["map"]) for row in rows] == [4, 4, 4, 4]
    assert rows[1]["map"] == [8, 9, 10, 11]
    node.wait_receiving(4)
    status = value(node, "sink", "status", "7")
    assert status["counters"]["packets"] > 0
    assert "packets" in said(node, "sink", "status", "7")
    for number in ("0", "1", "2", "7"):
        assert said(node, "sink", "remove", number) == ""
    assert value(node, "sink", "list") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("source", "remove", "5"), "5"),
        (("source", "sdp", "5"), "not in use"),
        (("sink", "remove", "5"), "5"),
        (("sink", "status", "5"), "5"),
        (("sink", "add", "--from", "source:9"), "not in use"),
        (("sink", "add", "--from", "http://127.0.0.1:9/x.sdp"), "SDP"),
        (("source", "add", "--frames", "0"), "max_samples_per_packet"),
        (("source", "add", "--frames", "480", "--channels", "8"), "max_samples_per_packet"),
        (("source", "add", "--ttl", "300"), "ttl"),
        (("source", "add", "--dscp", "64"), "dscp"),
        (("source", "add", "--payload-type", "200"), "payload_type"),
        (("source", "add", "--map", "600"), "map"),
        (("source", "add", "--name", ""), ""),
        (("config", "sample_rate=12345"), "sample_rate"),
        (("config", "ptp_domain=200"), "ptp_domain"),
        (("config", "http_base_dir=/etc"), "http_base_dir"),
    ],
    ids=lambda each: "-".join(each).replace("/", "_") if isinstance(each, tuple) else "",
)
def test_what_the_daemon_refuses_is_said_in_one_line(
    node: Node, arguments: tuple[str, ...], words: str
) -> None:
    if arguments[-2:] == ("--name", ""):
        return  # an empty name means the default one
    assert words in refused(node, *arguments)
    assert node.status()["sources"] == node.status()["sinks"] == []


def test_a_remote_source_is_found_and_received(node: Node) -> None:
    """One of another sender's, announced by SAP on our own loopback."""
    said(node, "source", "add", "--name", "Mine")
    assert value(node, "browse", "mdns") == []
    sdp = said(node, "source", "sdp", "0").replace("127.0.0.1", "127.0.0.9").replace("Mine", "Far")
    packet = bytes.fromhex("20001234 7f000009") + b"application/sdp\0" + sdp.encode()
    group = value(node, "config")["sap_mcast_addr"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))

        def announced() -> bool:
            sender.sendto(packet, (group, 9875))
            return any("Far" in row["name"] for row in value(node, "browse"))

        node.wait("the announcement", announced, 20)
    row = next(row for row in value(node, "browse", "sap") if "Far" in row["name"])
    assert row["name"] in said(node, "browse")
    assert "sink 0 is set" in said(node, "sink", "add", "--from", f"remote:{row['id']}")
    assert "lists them" in refused(node, "sink", "add", "--from", "remote:nobody")
    said(node, "sink", "remove", "0")


@pytest.mark.parametrize("sdp", ["", "rubbish", "v=0\n", "v=0\nm=audio x RTP/AVP 98\n"])
def test_a_broken_sdp_is_refused(node: Node, sdp: str) -> None:
    assert refused(node, "sink", "add", "--from", "-", given=sdp)


def test_all_64_sources_and_no_more(node: Node) -> None:
    for number in range(63):
        body = source(case("S16_LE", 48000, 1, "L16", "1ms"), number)
        node.client.put(f"/api/v1/sources/{number}", body | {"map": [0], "enabled": False})
    assert said(node, "source", "add") == "source 63 is set\n"
    assert "64" in refused(node, "source", "add")


def test_status_and_clock(node: Node) -> None:
    said(node, "source", "add")
    text = said(node, "status")
    for words in ("engine running", "clock", "locked", "Source 0", "application"):
        assert words in text
    status = value(node, "status")
    assert status["engine"]["connected"] is True
    assert "grandmaster" in said(node, "ptp")
    assert value(node, "ptp")["state"] == "locked"
    lines = said(node, "ptp", "--watch", "--interval", "0.1", "--count", "3").splitlines()
    assert len(lines) == 3
    assert all(line.startswith("locked") for line in lines)
    done = aes67(node, "--json", "ptp", "--watch", "--interval", "0.05", "--count", "2")
    assert [json.loads(line)["state"] for line in done.stdout.splitlines()] == ["locked"] * 2


def test_the_doctor_finds_the_streams(node: Node) -> None:
    said(node, "source", "add")
    said(node, "sink", "add", "--from", "source:0")
    node.wait_receiving(1)
    node.wait("good health", lambda: aes67(node, "doctor").returncode == OK, 20)
    found = {each["subject"]: each["state"] for each in value(node, "doctor")}
    assert {"engine", "clock", "source 0 (Source 0)", "sink 0 (Sink 0)"} <= found.keys()
    assert "idle processors" in found
    assert found["clock"] == "good"
    node.client.delete("/api/v1/sources/0")
    sdp = "v=0\no=- 1 1 IN IP4 10.0.0.9\ns=gone\nt=0 0\nc=IN IP4 239.9.9.9/15\n"
    sdp += "m=audio 5004 RTP/AVP 98\na=rtpmap:98 L24/48000/2\na=ptime:1\n"
    added = aes67(node, "sink", "add", "5", "--from", "-", "--map", "8,9", given=sdp)
    assert added.returncode == OK
    assert "runs as latched" in added.stderr  # it has no ts-refclk
    done = aes67(node, "doctor")
    assert done.returncode == FAILED
    assert "no packets come" in done.stdout


def test_ctrl_c_ends_a_watch(node: Node) -> None:
    watching = subprocess.Popen(
        [sys.executable, "-m", "aes67.cli.main", "ptp", "--watch"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=node.environment, text=True,
    )  # fmt: skip
    assert watching.stdout
    assert watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, complaint = watching.communicate(timeout=10)
    assert (watching.returncode, complaint) == (130, "")


def test_settings_are_shown_and_changed(node: Node) -> None:
    before = value(node, "config")
    assert before["sample_rate"] == 48000
    assert "interface_name" in said(node, "config")
    changed = value(node, "config", "playout_delay=48", "custom_node_id=Box 1")
    assert (changed["playout_delay"], changed["custom_node_id"]) == (48, "Box 1")
    assert said(node, "config", "playout_delay=0", "custom_node_id=") == ""


def test_the_device_is_installed_for_a_user_and_taken_away(tmp_path: Path) -> None:
    """As a user whose home is empty; root would write for the whole system."""
    script = (
        "import os, sys\n"
        "os.geteuid = lambda: 1000\n"
        "from aes67.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True, text=True, timeout=30, check=False,
            env=os.environ | {"HOME": str(tmp_path)},
        )  # fmt: skip

    (tmp_path / ".asoundrc").write_text("pcm.mine { type null }\n")
    assert ".asoundrc" in run("alsa", "install").stdout
    status = json.loads(run("--json", "alsa", "status").stdout)
    assert status["user_file"] == str(tmp_path / ".asoundrc")
    listed = subprocess.run(
        ["aplay", "-L"], capture_output=True, text=True, timeout=30, check=True,
        env=os.environ | {"HOME": str(tmp_path)},
    ).stdout  # fmt: skip
    assert "aes67" in listed.splitlines()
    assert run("alsa", "remove").returncode == OK
    assert (tmp_path / ".asoundrc").read_text() == "pcm.mine { type null }\n"
    assert "nothing" in run("alsa", "remove").stdout


@pytest.mark.peer("aplay", "arecord")
def test_the_platform_test_as_a_user_types_it() -> None:
    for _ in range(3):
        done = program("selftest", "--duration", "1", "--json", "--format", "S16_LE")
        result = json.loads(done.stdout)
        if done.returncode == OK or not result["skipped_ticks"]:
            break
    assert done.returncode == OK, done.stdout
    assert result["ok"]
    assert result["frames"] == 48000
    assert "namespace" in result["where"]


@pytest.mark.peer("ptp4l")
def test_the_latency_test_with_ptp4l_as_master() -> None:
    done = program(
        "latency", "--duration", "1", "--json", "--ptp4l", "--frames", "1920", "--period", "480"
    )
    result = json.loads(done.stdout)
    assert result["clock"]["mode"] == "ptp-slave"
    assert result["latency"]["min_ms"] > 0
    assert result["floor_ms"] == 21.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("selftest", "--format", "S20_LE"), "S24_3LE"),
        (("selftest", "--rate", "47000"), "48000"),
        (("selftest", "--channels", "65"), "1 to 64"),
        (("selftest", "--duration", "0"), "seconds"),
        (("selftest", "--packet-time", "5ms"), "125us"),
        (("selftest", "--sources", "3", "--channels", "2"), "sources"),
        (
            (
                "selftest",
                "--nonsense",
            ),
            "unrecognized",
        ),
        (("selftest", "--delay", "5"), "one packet, 48 frames"),
        (("selftest", "--period", "-5"), "at least 1 frame"),
        (("selftest", "--buffer", "100"), "two periods (960 frames)"),
        (("demo", "--duration", "-1"), "seconds"),
        (("run", "--port", "99999"), "0 to 65535"),
        (("latency", "--frames", "10", "--period", "48"), "two periods"),
        (("latency", "--duration", "0"), "seconds"),
        (("latency", "--codec", "MP3"), "L24"),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, tuple) else "",
)
def test_a_test_that_cannot_be_is_refused_with_2(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = {"selftest": audio, "latency": latency, "demo": demo, "run": make_run}
    main = programs[arguments[0]].main
    try:
        code = main(arguments[1:])
    except SystemExit as end:
        code = end.code
    assert code == CANNOT_RUN
    assert words in capsys.readouterr().err


@pytest.mark.root
@pytest.mark.peer("aplay", "arecord")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=4k tmpfs "$TMPDIR" && exec "$@"'
    command = [sys.executable, "-m", "aes67.selftest.audio", "--duration", "1"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *command], capture_output=True, text=True,
        timeout=100, check=False, env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == CANNOT_RUN
    assert f"cannot write to {tmp_path}: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.peer("aplay", "arecord")
def test_a_missing_device_is_a_failure_with_alsas_own_words() -> None:
    done = program("selftest", "--duration", "0.2", "--device", "nosuch")
    assert done.returncode == FAILED
    assert "nosuch" in done.stdout


def test_make_run_says_what_to_type_and_leaves_nothing_behind(namespace: object) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "aes67.selftest.run", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout
    lines: list[str] = []
    deadline = time.monotonic() + 100
    while "Ctrl-C" not in "".join(lines) and time.monotonic() < deadline:
        line = running.stdout.readline()
        assert line, running.communicate()
        lines.append(line)
    text = "".join(lines)
    assert "as PTP grandmaster" in text
    environment = dict(os.environ)
    for line in lines:
        if line.strip().startswith("export "):
            for setting in line.split()[1:]:
                name, _, content = setting.partition("=")
                environment[name] = content
    status = subprocess.run(
        [sys.executable, "-m", "aes67.cli.main", "--json", "status"],
        capture_output=True, text=True, env=environment, timeout=30, check=True,
    )  # fmt: skip
    assert len(json.loads(status.stdout)["sinks"]) == 1
    recorded = subprocess.run(
        ["arecord", "-q", "-D", "aes67", "-f", "cd", "-d", "1", "-t", "raw", "-"],
        capture_output=True, env=environment, timeout=30, check=True,
    )  # fmt: skip
    assert len(recorded.stdout) == 44100 * 4
    folder = Path(environment["AES67_SERVER"]).parent.parent
    assert folder.is_dir()
    running.send_signal(signal.SIGINT)
    _, complaint = running.communicate(timeout=30)
    assert running.returncode == OK
    assert "stopped" in complaint
    assert not folder.exists()
