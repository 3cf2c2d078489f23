"""Puts our names into the ALSA configuration of the system or of one user, and takes them out.

The system's is a file of its own in `/etc/alsa/conf.d`. A user's is a marked block at the end of
`~/.asoundrc`, the one user file that every alsa-lib reads (newer ones read
`$XDG_CONFIG_HOME/alsa/asoundrc` too); all else in that file stays byte for byte. Both hold the
whole definition, so that a deleted package breaks our names only and no other device.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from aes67.alsa.config import AlsaError, config_text

SYSTEM_FILE = Path("/etc/alsa/conf.d/60-aes67.conf")
OWN_LINE = "# written by `aes67 alsa install`; `aes67 alsa remove` deletes this file"
BEGIN = "# >>> aes67: written by `aes67 alsa install`, taken away by `aes67 alsa remove`"
END = "# <<< aes67"
BLOCK = re.compile(
    rf"^{re.escape(BEGIN)}\n.*?^{re.escape(END)}(?:\n|\Z)", re.DOTALL | re.MULTILINE
)
LIBRARY = re.compile(r'^\s*lib "(.+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Status:
    """What is installed: the files that define our names, and libraries they name in vain."""

    system_file: Path | None
    user_file: Path | None
    missing_libraries: tuple[str, ...]

    @property
    def is_installed(self) -> bool:
        """Our names are defined somewhere and their libraries exist."""
        return bool(self.system_file or self.user_file) and not self.missing_libraries


def user_file() -> Path:
    """The user's ALSA configuration, `~/.asoundrc`."""
    return Path.home() / ".asoundrc"


def install(
    system: bool,
    *,
    lib_dir: Path | None = None,
    system_file: Path = SYSTEM_FILE,
    own_file: Path | None = None,
) -> list[str]:
    """Define `aes67`, `aes67hw` and `RAVENNA`; run again, it brings the definition up to date.

    Args:
        system: for everybody (needs root), else for this user.
        lib_dir: folder of the plugin libraries; by default the package's.
        system_file: file to write with `system`.
        own_file: file to extend without; by default `~/.asoundrc`.

    Returns:
        One sentence for each thing done.

    Raises:
        AlsaError: the libraries are missing, or the file is not ours to replace.
        OSError: a file could not be written.
    """
    text = config_text(lib_dir)
    if system:
        return [_install_system(system_file, f"{OWN_LINE}\n{text}")]
    return [_install_user(own_file or user_file(), text)]


def remove(*, system_file: Path = SYSTEM_FILE, own_file: Path | None = None) -> list[str]:
    """Take away exactly what `install` added, for this user and (as root) for everybody.

    Returns:
        One sentence for each thing done, or left to root; empty when nothing was installed.

    Raises:
        OSError: a file could not be written or deleted.
    """
    done = []
    own_file = own_file or user_file()
    text = _read(own_file)
    rest = BLOCK.sub("", text)
    if rest != text:
        if rest:
            _write(own_file, rest)
        else:
            own_file.resolve().unlink()
        done.append(f"took our block out of {own_file}")
    if _is_ours(system_file):
        try:
            system_file.unlink()
            done.append(f"deleted {system_file}")
        except PermissionError:
            done.append(f"{system_file} stays: root takes it away (sudo aes67 alsa remove)")
    return done


def status(*, system_file: Path = SYSTEM_FILE, own_file: Path | None = None) -> Status:
    """Which files define our names now."""
    own_file = own_file or user_file()
    texts = []
    system = system_file if _is_ours(system_file) else None
    if system:
        texts.append(_read(system))
    block = BLOCK.search(_read(own_file))
    if block:
        texts.append(block.group())
    libraries = {library for text in texts for library in LIBRARY.findall(text)}
    missing = sorted(library for library in libraries if not Path(library).is_file())
    return Status(system, own_file if block else None, tuple(missing))


def _install_system(path: Path, text: str) -> str:
    if path.exists() and not _is_ours(path):
        raise AlsaError(f"{path} exists and was not written by us: move it away first")
    if _read(path) == text:
        return f"{path} is up to date"
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _write(path, text)
    return f"wrote {path}"


def _install_user(path: Path, text: str) -> str:
    block = f"{BEGIN}\n{text.rstrip()}\n{END}\n"
    old = _read(path)
    found = BLOCK.search(old)
    if found:
        new = old[: found.start()] + block + old[found.end() :]
    else:
        new = old + ("" if not old or old.endswith("\n") else "\n") + block
    if new == old:
        return f"{path} is up to date"
    _write(path, new)
    return f"{'renewed our block in' if found else 'added our block to'} {path}"


def _is_ours(path: Path) -> bool:
    return _read(path).startswith(OWN_LINE)


def _read(path: Path) -> str:
    """Text of a file, "" when there is none; bytes that are no UTF-8 survive a round trip."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str) -> None:
    """Replace the file (the target of a link) in one step, keeping its mode; new: 0644."""
    path = path.resolve()
    mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:  # which would name a file that nobody knows
        raise OSError(error.errno, f"cannot be written: {error.strerror}", str(path)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
