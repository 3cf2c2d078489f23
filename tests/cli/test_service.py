"""`aes67 service`: the unit as systemd judges it, and installing into the image of a system."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path, PurePath

import pytest

from aes67.cli import main as cli
from aes67.cli import service_system
from aes67.cli.service_system import (
    System,
    chosen_config,
    chosen_user,
    relative_paths,
    writable_paths,
)
from aes67.cli.service_unit import NAMES_PATH, OWN_LINE, Unit, names_service, quoted, unquoted

ROOT = Path(__file__).parents[2]
DAEMON, CONFIG = PurePath("/opt/aes67/bin/aes67-daemon"), PurePath("/etc/aes67/daemon.conf")
PLAIN = Unit(DAEMON, CONFIG, (CONFIG.parent,))


def settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")


def test_the_packaged_unit_is_what_install_writes() -> None:
    assert (ROOT / "packaging" / "aes67.service").read_text() == PLAIN.text()


def test_rights_come_only_with_what_needs_them() -> None:
    plain = settings(PLAIN.text())
    assert plain["AmbientCapabilities"] == "CAP_NET_BIND_SERVICE CAP_SYS_NICE"
    assert plain["PrivateDevices"] == "yes"
    assert "AF_PACKET" not in plain["RestrictAddressFamilies"]
    raw = settings(Unit(DAEMON, CONFIG, raw_packets=True).text())
    assert raw["AmbientCapabilities"].split()[2:] == ["CAP_NET_RAW"]
    assert "AF_PACKET" in raw["RestrictAddressFamilies"]
    stamps = settings(Unit(DAEMON, CONFIG, hardware_timestamps=True).text())
    assert stamps["AmbientCapabilities"].split()[2:] == ["CAP_NET_ADMIN"]
    assert stamps["DeviceAllow"] == "char-ptp rw"
    awake = settings(Unit(DAEMON, CONFIG, user="max$", cpu_latency=True).text())
    assert "PrivateDevices" not in awake
    assert awake["DevicePolicy"] == "closed"
    assert awake["DeviceAllow"] == "/dev/cpu_dma_latency rw"
    assert awake["AmbientCapabilities"] == plain["AmbientCapabilities"]
    assert awake["ExecStartPre"] == "-+/bin/chown max$$ /dev/cpu_dma_latency"
    assert awake["ExecStopPost"] == "-+/bin/chown root /dev/cpu_dma_latency"
    both = Unit(DAEMON, CONFIG, hardware_timestamps=True, cpu_latency=True).text()
    assert both.count("DeviceAllow=") == 2
    assert both.count("DevicePolicy=") == 1
    for each in (plain, raw, stamps, awake):
        assert each["CapabilityBoundingSet"] == each["AmbientCapabilities"]


@pytest.mark.peer("systemd-analyze")
@pytest.mark.parametrize(
    "changes",
    [{}, {"raw_packets": True, "hardware_timestamps": True, "cpu_latency": True},
     {"is_in_home": True}, {"cpu_latency": True}],
    ids=["plain", "all rights", "in a home", "awake"],
)
def test_systemd_takes_the_unit_and_finds_it_confined(
    tmp_path: Path, changes: dict[str, bool]
) -> None:
    program = tmp_path / "bin 100 %" / "aes67-daemon"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    config = tmp_path / "a $b" / "daemon.conf"
    unit = tmp_path / f"aes67-test-{os.getpid()}.service"
    unit.write_text(Unit(program, config, (config,), user="root", **changes).text())
    for command in (
        ["verify", "--man=no", str(unit)],
        ["security", "--offline=yes", "--threshold=40", str(unit)],
    ):
        done = subprocess.run(["systemd-analyze", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert unit.name not in done.stderr, "warnings name the file"


@pytest.mark.peer("systemd-analyze")
def test_systemd_takes_the_units_that_keep_the_names(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "aes67"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    names = tmp_path / f"aes67-test-names-{os.getpid()}"
    names.with_suffix(".path").write_text(NAMES_PATH)
    names.with_suffix(".service").write_text(names_service(program, is_in_home=False))
    units = [str(names.with_suffix(suffix)) for suffix in (".path", ".service")]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert names.name not in done.stderr


def image(directory: Path) -> Path:
    """The least a system image has."""
    etc = directory / "image" / "etc"
    etc.mkdir(parents=True)
    (etc / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (etc / "shadow").write_text("root:*:19000:0:99999:7:::\n")
    (etc / "group").write_text("root:x:0:\n")
    (etc / "gshadow").write_text("root:*::\n")
    return directory / "image"


def service(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aes67.cli.main", "service", arguments[0], "--root", str(root),
         *arguments[1:]],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def tree(root: Path) -> dict[str, str]:
    """Every file of an image but what the user tools keep as their own back-ups."""
    return {
        str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith("-") and ".lock" not in path.name
    }  # fmt: skip


@pytest.mark.root
@pytest.mark.peer("useradd")
@pytest.mark.peer("systemctl")
def test_install_and_remove_in_an_image(tmp_path: Path) -> None:
    root = image(tmp_path)
    (root / "etc/group").write_text("root:x:0:\naudio:x:29:\n")
    before = tree(root)
    done = service(root, "install", "--interface", "eno7")
    assert done.returncode == 0, done.stderr
    unit = root / "etc/systemd/system/aes67.service"
    assert unit.read_text().startswith(OWN_LINE)
    enabled = ["systemctl", "--root", str(root), "is-enabled", "aes67.service"]
    assert subprocess.run(enabled, capture_output=True, text=True).stdout == "enabled\n"
    user = [line.split(":") for line in (root / "etc/passwd").read_text().splitlines()][-1]
    assert (user[0], user[3], user[6]) == ("aes67", "29", "/usr/sbin/nologin")
    config = root / "etc/aes67/daemon.conf"
    assert json.loads(config.read_text())["interface_name"] == "eno7"
    for path in (config, config.parent):
        assert path.stat().st_uid == int(user[2])
    shown = service(root, "status", "--json")
    assert json.loads(shown.stdout) == {
        "installed": True, "unit": str(unit), "config": "/etc/aes67/daemon.conf", "user": "aes67",
    }  # fmt: skip
    config.write_text('{"interface_name": "changed"}')
    again = service(root, "install", "--raw-packets")
    assert again.returncode == 0, again.stderr
    assert "CAP_NET_RAW" in unit.read_text()
    assert "changed" in config.read_text()
    done = service(root, "remove")
    assert done.returncode == 0, done.stderr
    after = tree(root)
    assert after.pop("etc/aes67/daemon.conf") == '{"interface_name": "changed"}'
    assert set(after) == set(before)
    assert after["etc/passwd"] == before["etc/passwd"]
    assert service(root, "remove").stdout == "nothing was installed\n"
    assert service(root, "status").returncode == 1


@pytest.mark.root
@pytest.mark.peer("useradd")
@pytest.mark.peer("systemctl")
def test_the_files_of_the_daemon_it_stands_in_for_stay_as_they_are(tmp_path: Path) -> None:
    root = image(tmp_path)
    text = '{"interface_name": "eth0", "status_file": "/etc/status.json"}'
    (root / "etc/daemon.conf").write_text(text)
    (root / "etc/status.json").write_text("{}")
    theirs = root / "etc/systemd/system/aes67-daemon.service"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
    subprocess.run(["systemctl", "-q", "--root", str(root), "enable", theirs.name], check=True)
    done = service(root, "install")
    assert done.returncode == 0, done.stderr
    assert f"systemctl disable --now {theirs.name}" in done.stdout
    unit = settings((root / "etc/systemd/system/aes67.service").read_text())
    assert unit["ReadWritePaths"] == "-/etc/daemon.conf -/etc/status.json"
    assert unit["Conflicts"] == theirs.name
    assert "-c /etc/daemon.conf " in unit["ExecStart"]
    assert (root / "etc/daemon.conf").read_text() == text


def test_files_named_from_where_the_daemon_was_started_are_told(tmp_path: Path) -> None:
    config = tmp_path / "etc/daemon.conf"
    config.parent.mkdir()
    values = {"status_file": "./status.json", "ptp_status_script": "/etc/x.sh", "http_base_dir": ""}
    config.write_text(json.dumps(values))
    (told,) = relative_paths(System(tmp_path), Path("/etc/daemon.conf"))
    assert "'./status.json'" in told
    assert "/var/lib/aes67" in told
    for text in ("[]", "no JSON"):
        config.write_text(text)
        assert relative_paths(System(tmp_path), Path("/etc/daemon.conf")) == []


@pytest.mark.root
def test_a_unit_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    root = image(tmp_path)
    unit = root / "etc/systemd/system/aes67.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    for action in ("install", "remove"):
        done = service(root, action)
        assert (done.returncode, done.stdout) == (1, "")
        assert "is not ours" in done.stderr
    assert unit.read_text() == "[Service]\n"
    assert "aes67" not in (root / "etc/passwd").read_text()


def test_only_root_installs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for action in ("install", "remove"):
        assert cli.main(["service", action, "--root", str(tmp_path)]) == cli.FAILED
        assert "run it as root" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "asked"),
    [({"cpu_latency_us": 0}, True), ({"cpu_latency_us": 50}, True),
     ({"cpu_latency_us": None}, False), ({"cpu_latency_us": ""}, False),
     ({"interface_name": "eth0"}, False)],
)  # fmt: skip
def test_what_the_configuration_asks_of_processors_is_allowed_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], values: dict[str, object], asked: bool
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/daemon.conf").write_text(json.dumps(values))
    assert cli.main(["service", "install", "--print", "--root", str(tmp_path)]) == 0
    unit = capsys.readouterr().out
    assert ("cpu_dma_latency" in unit) is asked
    assert ("PrivateDevices=yes" in unit) is not asked


def test_print_shows_the_unit_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["service", "install", "--print", "--root", str(tmp_path)]) == 0
    assert "[Service]" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--user", "a b", "'a b' is no user name"),
        ("--user", "x\nExecStart=/bin/sh", "is no user name"),
        ("--user", "1000", "'1000' is no user name"),
        ("--user", "", "'' is no user name"),
        ("--user", "%u", "is no user name"),
        ("--interface", "eth 0", "'eth 0' is no interface"),
        ("--interface", "a/b", "is no interface"),
        ("--interface", "", "'' is no interface"),
        ("--interface", "sixteen-letters-", "is no interface"),
        ("--config", "/etc/a\nb", "a unit cannot name a file with such characters"),
        ("--config", "/etc", "'/etc' is no file"),
        ("--config", "", "'' is no file"),
        ("--config", "/tmp/../tmp/daemon.conf", "the service has a /tmp of its own"),
        ("--config", "/var/tmp/daemon.conf", "the service has a /var/tmp of its own"),
    ],
)
def test_what_a_unit_cannot_say_is_refused(
    option: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["service", "install", "--print", option, value])
    said = capsys.readouterr()
    assert (caught.value.code, said.out) == (cli.USAGE, "")
    assert words in said.err


def test_names_that_a_unit_can_say_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--user", "Max.Muster_1", "--interface", "eth0,enp3s0f1np1",
                 "--config", "/srv/x/../100 %/daemon.conf"]  # fmt: skip
    assert cli.main(["service", "install", "--print", *arguments]) == 0
    unit = settings(capsys.readouterr().out)
    assert unit["User"] == "Max.Muster_1"
    assert unit["ReadWritePaths"] == '"-/srv/100 %%/daemon.conf"'


@pytest.mark.parametrize("place", ["/tmp/status.json", "/srv/a\nb"])
def test_a_status_file_the_service_would_lose_is_refused(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/daemon.conf").write_text(json.dumps({"status_file": place}))
    assert cli.main(["service", "install", "--print", "--root", str(tmp_path)]) == cli.FAILED
    said = capsys.readouterr()
    assert said.out == ""
    assert repr(place) in said.err


@pytest.mark.parametrize("path", ["/etc/x", "/a b/50 %", "/a$b", '/"a\\b\'', "/%%/$$ /x"])
def test_a_path_is_read_back_from_a_unit(path: str) -> None:
    assert unquoted(quoted(PurePath(path))) == path


def test_a_program_in_a_closed_home_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "home" / "bin" / "aes67-daemon"
    program.parent.mkdir(parents=True)
    program.parents[1].chmod(0o700)
    with pytest.raises(service_system.ServiceError, match="install aes67 where everybody"):
        service_system.check_readable("nobody", program)


def test_the_configuration_s_owner_runs_it(tmp_path: Path) -> None:
    config = tmp_path / "daemon.conf"
    config.write_text("{")
    there = System()
    assert chosen_user(there, tmp_path / "none") == "aes67"
    assert chosen_user(there, config) in ("aes67", config.owner())
    assert chosen_config(there, config) == config
    assert writable_paths(there, config) == [config], "a configuration that is no JSON"
    config.write_text('{"status_file": "/srv/status.json"}')
    assert writable_paths(there, config) == [config, Path("/srv/status.json")]
    config.write_text('{"status_file": "./status.json"}')
    assert writable_paths(there, config) == [config]
