"""Interfaces from the kernel, the log's way, the file at start."""

from __future__ import annotations

import logging
import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aes67.config.model import Config
from aes67.control import logs
from aes67.control.control import network
from aes67.control.files import ConfigError, load_config, load_status
from aes67.net.interfaces import list_interfaces
from aes67.session.network import Network
from sim.http_node import http_node, own_logging
from sim.session_samples import source


def test_the_loopback_is_found_as_the_kernel_has_it() -> None:
    lo = network(list_interfaces()).find("lo")
    assert lo is not None
    assert lo.mac == "00:00:00:00:00:00"
    assert lo.addresses[0] == "127.0.0.1"
    assert network(list_interfaces()).find("no such") is None


@pytest.mark.peer("ip")
def test_all_interfaces_agree_with_iproute2() -> None:
    shown = subprocess.run(["ip", "-o", "-4", "addr"], capture_output=True, text=True, check=True)
    theirs = {(line.split()[1], line.split()[3].split("/")[0])
              for line in shown.stdout.splitlines()}  # fmt: skip
    found = network(list_interfaces()).interfaces
    ours = {(each.name, address) for each in found for address in each.addresses}
    assert ours == theirs


def test_the_configured_address_counts_only_while_the_interface_has_it() -> None:
    there = network(list_interfaces())
    assert there.address(Config(interface_name="lo")) == "127.0.0.1"
    assert there.address(Config(interface_name="lo", ip_addr="10.9.9.9")) == "127.0.0.1"
    assert Network().address(Config(interface_name="lo")) == ""
    assert Network().computed(Config(interface_name="lo")).node_id == "Daemon 00000000"


@pytest.fixture
def root_log() -> Iterator[logging.Logger]:
    with own_logging():
        yield logging.getLogger()


def test_the_log_goes_where_it_is_told(
    root_log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert logs.set_up(Config(syslog_proto="none", log_severity=3)) == ""
    logging.getLogger("aes67.x").info("not this")
    logging.getLogger("aes67.x").warning("but this")
    assert "not this" not in (out := capsys.readouterr().out)
    assert "but this" in out
    assert logs.set_up(Config(syslog_proto="udp", syslog_server="127.0.0.1:5140")) == ""
    warning = logs.set_up(Config(syslog_proto="udp", syslog_server="nowhere"))
    assert "address:port" in warning
    ours = [each for each in root_log.handlers if getattr(each, "of_aes67", False)]
    assert len(ours) == 1


def test_a_file_is_read_at_start_or_says_why_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "daemon.conf"
    with pytest.raises(ConfigError, match="Fatal: error opening config file .*No such file"):
        load_config(path)
    path.write_text("{")
    with pytest.raises(ConfigError, match="Configuration file .* : error parsing JSON at line 1"):
        load_config(path)
    path.write_text('{"rtp_port": "x"}')
    with pytest.raises(ConfigError, match="rtp_port"):
        load_config(path)
    path.write_text('{"ptp_domain": 200}')
    with caplog.at_level(logging.WARNING):
        assert load_config(path).ptp_domain == 0
    assert "ptp_domain = 200 is not 0 to 127" in caplog.text
    assert load_config(path, http_port=81).http_port == 81


@pytest.mark.parametrize(
    "content", [b'{"sources": [', b'{"sources": [{}], "sinks": []}', b"\xff", b"", b"[]"]
)
def test_a_status_file_that_is_not_read_whole_is_kept_aside(tmp_path: Path, content: bytes) -> None:
    path, aside = tmp_path / "status.json", tmp_path / "status.json.bad"
    config = Config(status_file=str(path))
    assert load_status(config).problems == []
    path.write_bytes(b'{"sources": [], "sinks": []}')
    assert load_status(config).problems == []
    assert not aside.exists()
    path.write_bytes(content)
    assert load_status(config).problems[-1].endswith(f"it is kept as it was in {aside}")
    assert aside.read_bytes() == content


def test_a_status_file_that_cannot_be_kept_aside_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_bytes(b"{")
    aside = tmp_path / "status.json.bad"
    aside.mkdir()
    kept = load_status(Config(status_file=str(path)))
    (problem,) = kept.problems
    assert problem.startswith("error parsing JSON")
    assert problem.endswith(f"there is no copy of it: {aside}: Is a directory")
    assert "move it away, then start again" in kept.spared


@pytest.mark.root
def test_a_status_file_that_may_not_be_read_is_spared_and_the_cure_said() -> None:
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="aes67-") as folder:
        path = Path(folder) / "status.json"
        path.write_text("the only list of my streams")
        path.chmod(0o600)
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        os.seteuid(nobody.pw_uid)
        try:
            kept = load_status(Config(status_file=str(path)))
        finally:
            os.seteuid(0)
    assert kept.problems == ["Permission denied; starting without streams"]
    assert "could not be read (Permission denied)" in kept.spared
    assert "chown nobody" in kept.spared


async def test_a_status_file_that_could_not_be_read_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.touch()
    os.truncate(path, 17 << 20)
    async with http_node(tmp_path) as node:
        for _ in range(2):
            warning = node.control.node.warnings["status_file"]
            assert warning.startswith(f"status file {path} could not be written: it is there and ")
            assert warning.endswith("mend it or move it away, then start again")
            await node.control.node.put_source(source(0))
        assert warning in (await node.client.get("/api/v1/status")).json()["engine"]["warnings"]
    assert path.stat().st_size == 17 << 20
    assert not (tmp_path / "status.json.bad").exists()
