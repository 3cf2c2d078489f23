"""The log on its way to a syslog: what a server and /dev/log read, and that neither can stop us."""

from __future__ import annotations

import logging
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.config.model import Config
from aes67.control import logs, syslog
from aes67.control.syslog import Syslog, datagram
from sim.http_node import own_logging

RFC_3164 = re.compile(
    rb"<(\d{1,3})>([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?:(\S+) )?aes67\[(\d+)\]: (.*)"
)


@pytest.fixture(autouse=True)
def logging_of_its_own() -> Iterator[None]:
    with own_logging():
        yield


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"syslog{os.getpid()}-") as directory:
        path = Path(directory) / "log"
        monkeypatch.setattr(logs, "LOCAL_SYSLOG", path)
        yield path


def listen(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(path))
    sock.settimeout(5)
    return sock


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"),
                                              (socket.AF_INET6, "::1")])  # fmt: skip
def test_a_server_gets_rfc_3164_of_local0(family: int, host: str) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(5)
        port = sock.getsockname()[1]
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        config = Config(syslog_proto="udp", syslog_server=where, log_severity=0)
        assert logs.set_up(config) == ""
        log = logging.getLogger("aes67.x")
        for level, number in ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4),
                              (logging.INFO, 6), (logging.DEBUG, 7), (5, 7)):  # fmt: skip
            log.log(level, "Küche %d", level)
            found = RFC_3164.fullmatch(sock.recv(2048))
            assert found, "RFC 3164"
            assert int(found[1]) == 16 * 8 + number
            assert abs(time.mktime(time.strptime(
                f"{time.localtime().tm_year} {found[2].decode()}", "%Y %b %d %H:%M:%S"
            )) - time.time()) < 60  # fmt: skip
            assert found[3].decode() == socket.gethostname().partition(".")[0]
            assert int(found[4]) == os.getpid()
            assert found[5].decode() == f"aes67.x: Küche {level}"


def test_the_local_syslog_gets_facility_user_and_no_host(local: Path) -> None:
    with listen(local) as sock:
        assert logs.set_up(Config(syslog_proto="", log_severity=2)) == ""
        logging.getLogger("aes67.x").warning("one\ntwo\x1b[0m")
        found = RFC_3164.fullmatch(sock.recv(2048))
    assert found
    assert (int(found[1]), found[3]) == (1 * 8 + 4, None)
    assert found[5] == b"aes67.x: one | two[0m"


def test_a_syslog_that_starts_anew_is_found_again(local: Path) -> None:
    with listen(local):
        logs.set_up(Config(syslog_proto=""))
    local.unlink()
    log = logging.getLogger("aes67.x")
    log.warning("lost")
    log.warning("lost, too")
    with listen(local) as sock:
        log.warning("heard")
        assert sock.recv(2048).endswith(b"heard")


def test_one_that_does_not_read_stops_nobody(local: Path) -> None:
    with listen(local):
        logs.set_up(Config(syslog_proto=""))
        began = time.monotonic()
        for number in range(3000):
            logging.getLogger("aes67.x").warning("%d", number)
        assert time.monotonic() - began < 5


def test_a_server_that_is_not_there_stops_nobody() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    logs.set_up(Config(syslog_proto="udp", syslog_server=f"127.0.0.1:{port}"))
    for _ in range(5):
        logging.getLogger("aes67.x").warning("nobody hears")


def test_without_a_local_syslog_the_log_goes_to_standard_error(
    local: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert logs.set_up(Config(syslog_proto="")) == ""
    logging.getLogger("aes67.x").warning("here")
    assert "here" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "1.2.3.4", ":514", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536",
                                  "log.example:514", "1.2.3.4:٣", "[::1:514:x"])  # fmt: skip
def test_what_is_no_server_is_said(text: str) -> None:
    warning = logs.set_up(Config(syslog_proto="udp", syslog_server=text))
    assert "is not address:port" in warning


@given(st.text(max_size=300))
def test_any_text_is_a_server_or_said(text: str) -> None:
    try:
        host, port = syslog.server(text)
    except OSError:
        return
    assert host
    assert 0 < port < 65536


@given(st.text(max_size=3000), st.integers(0, 60))
def test_any_record_is_one_datagram(text: str, level: int) -> None:
    record = logging.LogRecord("n", level, "", 0, text, (), None)
    data = datagram(record, text, syslog.USER, "")
    assert len(data) <= syslog.MAX_BYTES
    assert RFC_3164.fullmatch(data)


def test_the_journal_gets_severities_and_no_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with open(tmp_path / "journal", "w+") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setattr("sys.stdout", stream)
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        logs.set_up(Config(syslog_proto="none"))
        logging.getLogger("aes67.x").error("bad\nworse")
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + 1}")
        logs.set_up(Config(syslog_proto="none"))
        logging.getLogger("aes67.x").error("plain")
        stream.seek(0)
        first, second, third = stream.read().splitlines()
    assert (first, second) == ("<3>aes67.x: bad", "<3>worse")
    assert third.endswith("ERROR   aes67.x: plain")
    assert third[:2] == "20"


def test_a_socket_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Syslog(tmp_path / "none")


def test_a_network_that_has_gone_is_one_line_of_zeroconf(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert logs.set_up(Config(syslog_proto="none", log_severity=2)) == ""
    try:
        raise OSError(101, "Network is unreachable")
    except OSError as error:
        logging.getLogger("zeroconf").warning("Error with socket: %s", error, exc_info=True)
    said = capsys.readouterr().out
    assert "zeroconf: Error with socket: [Errno 101] Network is unreachable" in said
    assert "Traceback" not in said
