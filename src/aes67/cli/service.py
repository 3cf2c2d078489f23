"""`aes67 service`: the daemon under systemd, installed with exactly the rights it needs."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from aes67.cli import service_unit
from aes67.cli.alsa import STREAMS_FILE
from aes67.cli.node import Commands
from aes67.cli.output import facts, print_json
from aes67.cli.service_system import (
    CACHE,
    CONFIG,
    CONTRACT_CONFIG,
    STATUS,
    UNIT,
    ServiceError,
    System,
    check_readable,
    chosen_config,
    chosen_user,
    is_in_home,
    make_config,
    make_user,
    wants_cpu_latency,
    writable_paths,
)
from aes67.cli.service_unit import NAME, OWN_LINE, USER, Unit
from aes67.cli.service_words import config_file, interface_names, unreachable, user_name
from aes67.client import Client

PREDECESSOR = "aes67-daemon.service"
"""The daemon this one stands in for; only one of both can run."""
SHOWN = ("LoadState", "ActiveState", "SubState", "UnitFileState", "MainPID", "StatusText", "Result")


def add_commands(commands: Commands, options: argparse.ArgumentParser) -> None:
    """Add the commands of this file."""
    parser = commands.add_parser("service", help="the daemon under systemd")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    root = argparse.ArgumentParser(add_help=False)
    root.add_argument("--root", type=Path, default=Path("/"), metavar="DIR",
                      help="change the system image in DIR instead of this system")  # fmt: skip
    parents = [options, root]
    words = "make user, configuration and unit, and start it"
    add = actions.add_parser("install", parents=parents, help=words)
    add.add_argument("-c", "--config", type=config_file, metavar="FILE",
                     help=f"configuration ({CONTRACT_CONFIG} if there is one, else {CONFIG})")
    add.add_argument("--interface", type=interface_names, metavar="NAME",
                     help="network interface, for a new configuration")  # fmt: skip
    add.add_argument("--user", type=user_name, metavar="NAME",
                     help=f"user it runs as (owner of the configuration if not root, else {USER})")
    add.add_argument("--raw-packets", action="store_true", help="CAP_NET_RAW, for gPTP and AVTP")
    add.add_argument("--hardware-timestamps", action="store_true",
                     help="CAP_NET_ADMIN and /dev/ptp*, for timestamps of the network card")
    add.add_argument("--no-start", action="store_true", help="install only")
    add.add_argument("--print", action="store_true", dest="print_only",
                     help="print the unit, change nothing")  # fmt: skip
    add.set_defaults(run=install)
    remove_words = "stop it and take unit, user and cache away; configuration and status stay"
    actions.add_parser("remove", parents=parents, help=remove_words).set_defaults(run=remove)
    words = "what is installed and how it is doing; 1 unless it runs"
    actions.add_parser("status", parents=parents, help=words).set_defaults(run=status)


def install(arguments: argparse.Namespace, client: Client) -> int:
    """Make the user, write configuration and unit, start the service."""
    system = System(arguments.root)
    config = chosen_config(system, arguments.config)
    user = arguments.user or chosen_user(system, config)
    daemon = Path(sys.executable).absolute().with_name("aes67-daemon")
    if not daemon.exists():
        raise ServiceError(f"{daemon} is missing: install aes67 with pip first")

    writable = tuple(dict.fromkeys(writable_paths(system, config)))
    for path in writable:
        if problem := unreachable(path):
            raise ServiceError(f"{str(path)!r}: {problem}")

    def unit(made_user: bool) -> str:
        return Unit(
            daemon, config, writable, user, made_user,
            is_in_home(daemon, config, Path(sys.executable).resolve()),
            arguments.raw_packets, arguments.hardware_timestamps,
            wants_cpu_latency(system, config),
        ).text()  # fmt: skip

    if arguments.print_only:
        print(unit(made_user=False), end="")
        return 0
    _need_root(arguments.root)
    said: list[str] = []
    old = _unit_text(system)
    if old is not None and OWN_LINE not in old:
        raise ServiceError(f"{system.at(UNIT)} is not ours: remove it first")
    made = make_user(system, user, said) or service_unit.made_user(old or "") == user
    if system.root == Path("/"):
        check_readable(user, daemon)
    make_config(system, config, user, arguments.interface, said)
    path = system.at(UNIT)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(unit(made), encoding="utf-8")
    said.append(f"wrote {path}")
    names = path.with_name(service_unit.NAMES)
    home = is_in_home(daemon, Path(sys.executable).resolve())
    program = daemon.with_name("aes67")
    names.with_suffix(".path").write_text(service_unit.NAMES_PATH, encoding="utf-8")
    names.with_suffix(".service").write_text(service_unit.names_service(program, home))
    system.run("systemctl", "enable", NAME, f"{service_unit.NAMES}.path")
    if "enabled" in system.run("systemctl", "is-enabled", PREDECESSOR, check=False).split():
        said.append(f"{PREDECESSOR} is enabled, too: systemctl disable --now {PREDECESSOR}")
    said.append("it starts with the system from now on")
    if system.is_running and not arguments.no_start:
        if service_unit.CPU_LATENCY_DEVICE in (old or ""):  # given back as the unit before says
            system.run("systemctl", "stop", NAME, check=False)
        system.run("systemctl", "daemon-reload")
        system.run("systemctl", "restart", NAME, f"{service_unit.NAMES}.path")
        said.append("started; `aes67 service status`, `journalctl -u aes67`: how it is doing")
    elif not arguments.no_start:
        said.append("systemd does not run here: the service starts when it does")
    return _told(arguments, said)


def remove(arguments: argparse.Namespace, client: Client) -> int:
    """Take away what install brought, but not what the user wrote."""
    _need_root(arguments.root)
    system, said = System(arguments.root), []
    text = _unit_text(system)
    if text is None:
        return _told(arguments, ["nothing was installed"])
    if OWN_LINE not in text:
        raise ServiceError(f"{system.at(UNIT)} is not ours")
    names = f"{service_unit.NAMES}.path"
    if system.is_running:
        system.run("systemctl", "stop", NAME, names, check=False)
    system.run("systemctl", "disable", NAME, names, check=False)
    system.at(UNIT).unlink()
    for suffix in (".path", ".service"):
        system.at(UNIT).with_name(service_unit.NAMES + suffix).unlink(missing_ok=True)
    said.append(f"stopped, and deleted {system.at(UNIT)}")
    if system.is_running:
        system.run("systemctl", "daemon-reload")
    shutil.rmtree(system.at(CACHE), ignore_errors=True)
    system.at(STREAMS_FILE).unlink(missing_ok=True)
    if user := service_unit.made_user(text):
        system.run("userdel", user, check=False)
        said.append(f"deleted user {user}")
    config = _config_of(text)
    said.append(f"{config} and {STATUS.parent} stay; delete them if they are of no use any more")
    return _told(arguments, said)


def status(arguments: argparse.Namespace, client: Client) -> int:
    """Say what is installed and what systemd knows of it."""
    system = System(arguments.root)
    text = _unit_text(system)
    found: dict[str, Any] = {"installed": text is not None and OWN_LINE in text}
    if text is not None:
        found |= {"unit": str(system.at(UNIT)), "config": _config_of(text)}
        found["user"] = next(
            (line[5:] for line in text.splitlines() if line.startswith("User=")), ""
        )
    if system.is_running:
        lines = system.run("systemctl", "show", NAME, "-p", ",".join(SHOWN), check=False)
        found |= dict(line.split("=", 1) for line in lines.splitlines() if "=" in line)
    elif system.root == Path("/"):
        found["systemd"] = "does not run here"
    if arguments.json:
        print_json(found)
    else:
        print(facts(found.items()))
    return 0 if found["installed"] and found.get("ActiveState", "active") == "active" else 1


def _config_of(text: str) -> str:
    line = next((each for each in text.splitlines() if each.startswith("ExecStart=")), "")
    return service_unit.unquoted(line.partition(" -c ")[2].partition(" --runtime-dir")[0])


def _unit_text(system: System) -> str | None:
    try:
        return system.at(UNIT).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _need_root(root: Path) -> None:
    if os.geteuid() != 0:
        raise ServiceError("this changes the system: run it as root (sudo)")
    if not root.is_dir():
        raise ServiceError(f"{root} is no directory")


def _told(arguments: argparse.Namespace, sentences: list[str]) -> int:
    if arguments.json:
        print_json(sentences)
    else:
        print("\n".join(sentences))
    return 0
