"""The two files at start: the configuration, without which nothing starts, and the status file."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import pwd
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aes67.config.model import Config
from aes67.config.reading import from_text
from aes67.config.tree import TreeError, parse
from aes67.errors import Aes67Error
from aes67.net import runtime_directory
from aes67.session.contract import read_status_object
from aes67.session.model import Sink, Source
from aes67.session.store import read

log = logging.getLogger("aes67.control.files")


class ConfigError(Aes67Error):
    """The configuration file cannot be used; the text says why."""


def load_config(path: Path, http_port: int | None = None) -> Config:
    """Read the configuration file; `http_port` overrides the port in it.

    Raises:
        ConfigError: it cannot be read, or is no JSON.
    """
    try:
        data = read(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"Fatal: error opening config file {path}: {reason}") from None
    try:
        reading = from_text(data)
    except TreeError as error:
        where = f" ({error.key})" if error.key and error.key not in error.text else ""
        raise ConfigError(f"Configuration file {path} : {error.text}{where}") from None
    for warning in reading.warnings:
        log.warning("configuration file %s: %s", path, warning)
    if http_port is None:
        return reading.config
    return reading.config.model_copy(update={"http_port": http_port})


def lock_directory(directory: Path) -> int:
    """Make the runtime directory if need be and lock it, so that two of us never share an engine.

    Returns a descriptor; the lock goes with it.

    Raises:
        ConfigError: it cannot be used, or another control process has it.
    """
    try:
        runtime_directory.make(directory)
        return runtime_directory.lock(directory / "control.lock")
    except OSError as error:
        raise ConfigError(f"cannot use {error.filename or directory}: {error.strerror}") from None
    except runtime_directory.Held:
        raise ConfigError(
            f"another control process runs in {directory}; "
            "stop it or choose another --runtime-dir"
        ) from None


@dataclass(frozen=True)
class Kept:
    """What a status file held; `problems` are sentences, `controls` volumes and switches.

    `spared` says why the file must not be written over, empty when it may be.
    """

    sources: list[Source] = field(default_factory=list)
    sinks: list[Sink] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    controls: dict[str, Any] = field(default_factory=dict)
    spared: str = ""


def load_status(config: Config) -> Kept:
    """Read the status file. A missing one holds nothing; one that is no JSON is also a problem.

    It is written again at the next change, so a copy is kept of one that was not read whole; one
    that cannot be read, or copied, is spared: its streams must not be lost.
    """
    if not config.status_file:
        return Kept()
    path = Path(config.status_file)
    try:
        tree = parse(read(path))
        sources, sinks, problems = read_status_object(tree, config)
    except FileNotFoundError:
        log.info("no status file %s yet: starting without streams", config.status_file)
        return Kept()
    except OSError as error:
        reason = error.strerror or str(error)
        return Kept(
            problems=[f"{reason}; starting without streams"],
            spared=f"it is there and could not be read ({reason}); {_cure(error)}",
        )
    except TreeError as error:
        words, spared = _set_aside(path)
        return Kept(problems=[f"{error}; starting without streams; {words}"], spared=spared)
    spared = ""
    if problems:
        words, spared = _set_aside(path)
        problems.append(words)
    controls = tree.get("controls")
    found = _controls(controls) if isinstance(controls, Mapping) else {}
    return Kept(sources, sinks, problems, found, spared)


def _set_aside(path: Path) -> tuple[str, str]:
    """Copy a file before it is written again: what came of it, and why the file is to be spared."""
    aside = path.with_name(f"{path.name}.bad")
    try:
        shutil.copyfile(path, aside)
    except OSError as error:
        words = f"there is no copy of it: {aside}: {error.strerror}"
        return words, f"it could not be read whole and {words}; move it away, then start again"
    return f"it is kept as it was in {aside}", ""


def _cure(error: OSError) -> str:
    if error.errno not in (errno.EACCES, errno.EPERM):
        return "mend it or move it away, then start again"
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return f"let the user {user} read and write it (chown {user}), then start again"


def _controls(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Volumes and switches; what is no number or switch is left out."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, bool):
            found[key] = value
        elif isinstance(value, str):
            with contextlib.suppress(ValueError):
                found[key] = int(value)
    return found
