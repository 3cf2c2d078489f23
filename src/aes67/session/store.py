"""Configuration and status on disk: read whole, written so that a power cut leaves old or new."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from pathlib import Path

MAX_FILE_BYTES = 16 << 20
"""Largest file read: 64 sinks with descriptions of 64 KiB fit three times over."""

NO_NEW_FILE = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Why a directory takes no further file."""


def read(path: Path) -> bytes:
    """The whole of a file.

    Raises:
        OSError: it cannot be read, or is larger than MAX_FILE_BYTES.
    """
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise OSError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
    return data


def replace(path: Path, text: str) -> None:
    """Replace a file's content: temporary file beside it, fsync, rename, fsync of the directory.

    A symbolic link is followed, so that the file it names is replaced and not the link; owner and
    mode stay. When the directory cannot be written, the file is overwritten in place if that can be
    done: a configuration in /etc owned by the service's user is such a file, and so is one that is
    mounted by itself into a container or a service's read-only system.

    Raises:
        OSError: nothing was changed (in place: as far as the file system keeps its word).
    """
    path = path.resolve()
    data = text.encode()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        temporary.unlink()
        return replace(path, text)
    except OSError as error:
        if error.errno not in NO_NEW_FILE:
            raise
        return _overwrite(path, data, error)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            _keep_owner(path, file.fileno())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if error.errno != errno.EBUSY:
            raise
        return _overwrite(path, data, error)  # a mount of its own
    _sync_directory(path.parent)
    return None


def _keep_owner(path: Path, descriptor: int) -> None:
    if path.exists():
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, path.stat().st_uid, path.stat().st_gid)


def _overwrite(path: Path, data: bytes, why: OSError) -> None:
    if not path.exists():
        raise OSError(why.errno, why.strerror, str(path))
    old = path.read_bytes()
    with path.open("r+b") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            file.truncate()
        except OSError:
            file.seek(0)
            file.write(old)
            raise


def _sync_directory(path: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class FileStore:
    """The store of a node: files, written on another thread so that nothing waits for a disk, one
    after another in the order of the calls."""

    def __init__(self, config_path: Path) -> None:
        self._config_path = config_path
        self._lock = asyncio.Lock()
        self._spared: dict[Path, str] = {}

    def spare(self, path: str, reason: str) -> None:
        """Never write the status file at `path`: whatever it holds would be lost."""
        self._spared[Path(path).resolve()] = reason

    async def save_config(self, text: str) -> None:
        """Replace the configuration file; raises OSError."""
        async with self._lock:
            await asyncio.to_thread(replace, self._config_path, text)

    async def save_status(self, path: str, text: str) -> None:
        """Replace the status file; raises OSError, also for one that is spared."""
        async with self._lock:
            await asyncio.to_thread(self._replace_status, Path(path), text)

    def _replace_status(self, path: Path, text: str) -> None:
        reason = self._spared.get(path.resolve())
        if reason is not None:
            raise OSError(errno.EACCES, reason, str(path))
        replace(path, text)
