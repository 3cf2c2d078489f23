"""The command line without a daemon: what it takes, what it refuses, how fast it answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.cli import main as cli
from aes67.cli.clock_text import clock_line
from aes67.cli.node import typed, wish
from aes67.cli.origins import sdp_channels
from aes67.cli.output import facts, nanoseconds, table
from aes67.cli.stream_words import channel_map
from aes67.client import Client, Unreachable
from aes67.config.model import Config
from aes67.config.reading import Computed, full_report
from aes67.errors import Refused

NOBODY = "http://127.0.0.1:9"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aes67.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | {"AES67_URL": NOBODY} | environment,
        check=False,
    )


COMMANDS = (
    ("status",),
    ("source", "list"),
    ("source", "add"),
    ("source", "remove", "0"),
    ("source", "sdp", "0"),
    ("sink", "list"),
    ("sink", "add", "--from", "source:0"),
    ("sink", "remove", "0"),
    ("sink", "status", "0"),
    ("sink", "add", "--from", "remote:x"),
    ("browse",),
    ("ptp",),
    ("ptp", "--watch"),
    ("config",),
    ("config", "sample_rate=96000"),
)


@pytest.mark.parametrize("command", COMMANDS, ids="-".join)
def test_without_a_daemon_every_command_says_how_to_get_one(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--url", NOBODY, *command]) == cli.NO_DAEMON
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"aes67: no daemon at {NOBODY}")
    assert "aes67-daemon" in said.err
    assert said.err.count("\n") == 1


def test_another_daemon_at_our_address_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The one this one stands in for has the same port, and answers what it does not know so."""

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            assert cli.main(["--url", url, "status"]) == cli.NO_DAEMON
        finally:
            server.shutdown()
            thread.join()
    assert "disable --now aes67-daemon" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("nothing",), ("source",), ("source", "remove"), ("source", "remove", "64"),
        ("source", "remove", "-1"), ("source", "remove", "x"), ("source", "add", "64"),
        ("source", "add", "--codec", "MP3"), ("source", "add", "--map", "0,x"),
        ("source", "add", "--map", "5-2"), ("source", "add", "--map", "0", "--channels", "1"),
        ("sink", "add"), ("sink", "add", "99", "--from", "x"), ("sink", "status"),
        ("browse", "dante"),
        ("ptp", "--interval", "0"), ("ptp", "--interval", "never"), ("alsa",), ("alsa", "break"),
        ("status", "extra"), ("--json", "selftest"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_arguments_end_with_2_and_a_line_that_says_why(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    assert caught.value.code == cli.USAGE
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sink", "add", "--from", "/no/such.sdp"), "no such file"),
        (("sink", "add", "--from", "source:x"), "0 to 63"),
        (("source", "add", "0", "--channels", "65"), "1 to 64"),
        (("config", "rate"), "KEY=VALUE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_needs_no_daemon_to_be_wrong_is_refused_without_one(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--url", NOBODY, *arguments]) == cli.FAILED
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x:port", "https://127.0.0.1"])
def test_an_address_that_is_none_is_named(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--url", url, "status"]) == cli.NO_DAEMON
    assert url in capsys.readouterr().err


def test_options_may_stand_on_either_side_of_the_command() -> None:
    parser = cli.build_parser()
    before = parser.parse_args(["--json", "--url", "http://a", "status"])
    after = parser.parse_args(["status", "--json", "--url", "http://a"])
    assert (before.json, before.url) == (after.json, after.url) == (True, "http://a")
    assert not parser.parse_args(["status"]).json


def test_version() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("aes67 0.")


def test_a_reader_that_leaves_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m aes67.cli.main --help | head -n 1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", ["--help", "--version", "selftest --help", "status"])
def test_an_output_that_is_closed_or_full_is_no_traceback(arguments: str) -> None:
    command = f"{sys.executable} -m aes67.cli.main {arguments}"
    for output, code, said in ((">&-", 0, ""), (">/dev/full", 1, "No space left on device")):
        done = subprocess.run(
            f"{command} {output}", shell=True, capture_output=True, text=True, timeout=60,
            check=False, env={key: value for key, value in os.environ.items()
                              if key != "PYTHONUNBUFFERED"} | {"AES67_URL": NOBODY},
        )  # fmt: skip
        if arguments == "status":
            code, said = cli.NO_DAEMON, "no daemon at"
        if arguments != "selftest --help":  # ends as argparse does
            assert done.returncode == code
            assert done.stderr.count("\n") == (1 if said else 0)
            assert said in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_while_one_program_becomes_another_ends_it_without_a_word(ignored: bool) -> None:
    """The interpreter is new then, and would answer with a traceback through its own start."""
    before = "signal.signal(signal.SIGINT, signal.SIG_IGN)" if ignored else ""
    code = f"""
import os, signal, sys
from aes67.cli import main
{before}
execv = os.execv
def interrupted(*arguments):
    os.kill(os.getpid(), signal.SIGINT)
    execv(*arguments)
os.execv = interrupted
main.main(["latency", "--help"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.returncode == (0 if ignored else -signal.SIGINT)


def test_a_daemon_that_does_not_answer_is_not_said_to_be_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable, match=f"the daemon at {url} has not answered for 0.1 s"):
            Client(url, timeout_s=0.1).get("/")


@pytest.mark.parametrize(
    ("text", "channels"),
    [("0,1", [0, 1]), ("8-11", [8, 9, 10, 11]), ("3", [3]), ("1,0", [1, 0]), ("0-1,6", [0, 1, 6])],
)
def test_channel_lists(text: str, channels: list[int]) -> None:
    assert channel_map(text) == channels


@given(st.text(alphabet="0123456789,- x", max_size=12))
def test_any_text_is_a_channel_list_or_refused(text: str) -> None:
    import argparse

    try:
        found = channel_map(text)
    except argparse.ArgumentTypeError:
        return
    assert found
    assert all(channel >= 0 for channel in found)


@given(st.text(max_size=200))
def test_channels_of_any_sdp_are_1_to_64(sdp: str) -> None:
    assert 1 <= sdp_channels(sdp) <= 64


def test_channels_of_an_sdp() -> None:
    assert sdp_channels("v=0\r\na=rtpmap:98 L24/48000/8\r\n") == 8
    assert sdp_channels("v=0\na=rtpmap:98 L24/48000\n") == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sample_rate=96000", 96000), ("sample_rate=96k", "96k"), ("rate_follows_app=true", True),
        ("rate_follows_app=0", False), ("rate_follows_app=1", True), ("rate_follows_app=2", 2),
        ("custom_node_id=Studio A=1", "Studio A=1"), ("custom_node_id=12", "12"),
        ("custom_node_id=true", "true"), ('custom_node_id="B 2"', "B 2"), ("custom_node_id=", ""),
        ("ptp_domain_sec=7", 7), ("ptp_domain_sec=null", None), ("no_such=5", 5),
    ],
)  # fmt: skip
def test_settings_have_the_type_of_the_setting(text: str, value: object) -> None:
    config = full_report(Config(), Computed("", "", ""))
    key, said = wish(text)
    found = typed(said, config.get(key))
    assert (found, type(found)) == (value, type(value))


def test_a_setting_without_a_key_is_none() -> None:
    with pytest.raises(Refused):
        wish("=1")


def test_tables_are_aligned_and_plain_without_a_terminal() -> None:
    text = table(("id", "name"), [(3, "Studio"), (12, None)])
    assert text.splitlines() == ["id  name", " 3  Studio", "12  -"]
    assert facts([("a", True), ("long", 2)]) == "a     yes\nlong  2"


@pytest.mark.parametrize(
    ("value", "text"),
    [(12, "12 ns"), (-1500, "-1.50 us"), (2_500_000, "2.500 ms"), (None, "unknown"),
     (2**63 - 1, "unknown")],
)  # fmt: skip
def test_times_in_the_unit_that_reads_best(value: object, text: str) -> None:
    assert nanoseconds(value) == text


def test_a_clock_without_figures_still_prints() -> None:
    assert "no grandmaster" in clock_line({"state": "unlocked"})
    assert json.dumps(clock_line({}))
