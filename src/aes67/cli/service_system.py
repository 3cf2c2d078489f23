"""The system `aes67 service` changes: its users, its files, its systemd."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aes67.cli.service_unit import GROUP, NAME, USER
from aes67.errors import Aes67Error

UNIT = Path("etc/systemd/system") / NAME
CONTRACT_CONFIG = Path("/etc/daemon.conf")
CONFIG = Path("/etc/aes67/daemon.conf")
STATUS = Path("/var/lib/aes67/status.json")
CACHE = Path("var/cache/aes67")
PATHS = ("status_file", "ptp_status_script", "http_base_dir")
"""Settings that name files."""


ROOT_OPTION = {"systemctl": "--root", "useradd": "--prefix", "userdel": "--prefix",
               "groupadd": "--prefix"}  # fmt: skip


class ServiceError(Aes67Error):
    """Why the service cannot be installed or taken away, and what to do."""


@dataclass(frozen=True)
class System:
    """The file tree that is changed: `/`, or the root of an image that is being built."""

    root: Path = Path("/")

    @property
    def is_running(self) -> bool:
        """Whether systemd runs here, so that units can be started."""
        return self.root == Path("/") and Path("/run/systemd/system").is_dir()

    def at(self, path: Path) -> Path:
        """An absolute path of the system as it is reached from here."""
        return self.root / path.relative_to("/") if path.is_absolute() else self.root / path

    def run(self, program: str, *arguments: str, check: bool = True) -> str:
        """Run a program of the system; its output.

        Raises:
            ServiceError: it is missing or fails.
        """
        options = [] if self.root == Path("/") else [ROOT_OPTION[program], str(self.root)]
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        found = shutil.which(program, path=path)
        if found is None:
            raise ServiceError(f"{program} is needed and not installed")
        done = subprocess.run(
            [found, *options, *arguments], capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines() or ["failed"]
            raise ServiceError(f"{program} {' '.join(arguments)}: {words[-1]}")
        return done.stdout


def chosen_config(system: System, wanted: Path | None) -> Path:
    """The configuration file: as wanted, else the contract's if there is one, else ours."""
    if wanted is not None:
        return wanted.absolute()
    return CONTRACT_CONFIG if system.at(CONTRACT_CONFIG).exists() else CONFIG


def chosen_user(system: System, config: Path) -> str:
    """Who owns an existing configuration, since it has to be written; ours if that is root."""
    if system.root == Path("/") and config.exists() and config.stat().st_uid:
        try:
            return config.owner()
        except KeyError:
            return USER
    return USER


def writable_paths(system: System, config: Path) -> list[Path]:
    """What the service writes: its directory in /etc, or the very files named elsewhere."""
    paths = [config.parent if config.parent.name == "aes67" else config]
    kept = _status_file(system, config)
    if kept is not None and not kept.is_relative_to(STATUS.parent):
        paths.append(kept)
    return paths


def _status_file(system: System, config: Path) -> Path | None:
    text = _settings(system, config).get("status_file")
    return Path(text) if isinstance(text, str) and text.startswith("/") else None


def wants_cpu_latency(system: System, config: Path) -> bool:
    """Whether the configuration asks for processors that wake up in time."""
    return _settings(system, config).get("cpu_latency_us") not in (None, "")


def _settings(system: System, config: Path) -> dict[str, Any]:
    """What a configuration says; nothing where there is none to read."""
    try:
        found = json.loads(system.at(config).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def relative_paths(system: System, config: Path) -> list[str]:
    """A sentence for each file that is named from where somebody used to start the daemon."""
    found = [(key, _settings(system, config).get(key)) for key in PATHS]
    return [
        f"{key} {text!r} is looked for in {STATUS.parent}, where the service runs: "
        f"write its whole path into {config}"
        for key, text in found
        if isinstance(text, str) and text and not text.startswith("/")
    ]


def make_config(
    system: System, config: Path, user: str, interface: str | None, said: list[str]
) -> None:
    """Write a configuration where there is none, and give the user what he has to write."""
    path = system.at(config)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {"interface_name": interface or first_interface(), "syslog_proto": "none",
                  "status_file": str(STATUS)}  # fmt: skip
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        said.append(f"wrote {path}: interface {values['interface_name']}")
    elif interface:
        said.append(f"{path} exists, so --interface was not used: aes67 config interface_name=...")
    said += relative_paths(system, config)
    uid, gid = _ids(system, user)
    owned = [path, *(system.at(each) for each in [_status_file(system, config)] if each)]
    if path.parent.name == "aes67":
        owned.append(path.parent)
    for each in owned:
        if each.exists() and each.stat().st_uid != uid:
            os.chown(each, uid, gid)
            said.append(f"{each} belongs to {user} now, who keeps settings and streams there")


def first_interface() -> str:
    """An interface to begin with: the first that is not loopback."""
    names = sorted(name for _, name in socket.if_nameindex() if name != "lo")
    wired = [name for name in names if name.startswith(("en", "eth"))]
    return (wired or names or ["lo"])[0]


def make_user(system: System, user: str, said: list[str]) -> bool:
    """Make the user and its group; whether there was none."""
    try:
        _ids(system, user)
        return False
    except KeyError:
        pass
    if not _has_group(system, GROUP):
        system.run("groupadd", "--system", GROUP)
    system.run("useradd", "--system", "--gid", GROUP, "--no-create-home", "--home-dir",
               "/nonexistent", "--shell", "/usr/sbin/nologin", user)  # fmt: skip
    said.append(f"made user {user} in group {GROUP}")
    return True


def _has_group(system: System, name: str) -> bool:
    lines = system.at(Path("etc/group")).read_text(encoding="utf-8").splitlines()
    return any(line.split(":")[0] == name for line in lines)


def _ids(system: System, user: str) -> tuple[int, int]:
    """uid and gid of a user; raises KeyError when there is none."""
    if system.root == Path("/"):
        found = pwd.getpwnam(user)
        return found.pw_uid, found.pw_gid
    for line in system.at(Path("etc/passwd")).read_text(encoding="utf-8").splitlines():
        fields = line.split(":")
        if fields[0] == user:
            return int(fields[2]), int(fields[3])
    raise KeyError(user)


def check_readable(user: str, daemon: Path) -> None:
    """Raise ServiceError when the user cannot run what is installed here."""
    found = pwd.getpwnam(user)
    done = subprocess.run(
        [daemon, "--version"], capture_output=True, text=True, check=False, cwd="/",
        user=found.pw_uid, group=found.pw_gid, extra_groups=[],
    ) if _can_enter(daemon, found.pw_uid) else None  # fmt: skip
    if done is None or done.returncode:
        raise ServiceError(
            f"user {user} cannot run {daemon}: install aes67 where everybody can read it, such as "
            "python3 -m venv /opt/aes67 && /opt/aes67/bin/pip install aes67, with a Python that is "
            "not in somebody's home"
        )


def is_in_home(*paths: Path) -> bool:
    """Whether any of these lies where other services see nothing."""
    return any(each.is_relative_to(home) for each in paths for home in ("/home", "/root"))


def _can_enter(program: Path, uid: int) -> bool:
    """Whether a user reaches the program and the Python behind it."""
    for start in (program, Path(sys.executable).resolve()):
        for each in start.parents:
            found = each.stat()
            if not found.st_mode & (0o100 if found.st_uid == uid else 0o001):
                return False
    return True
