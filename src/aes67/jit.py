"""The one decorator of compiled code, and the cache directory that can never hold a stale kernel.

Numba's own cache does not notice a change in *another* file that a kernel calls. So the directory
is named by a hash over every file that holds compiled code, every file of ours that those import
(directly or not: a kernel freezes the constants it uses), the Numba version and the CPU: an edit
of any of them is a new directory, an edit elsewhere compiles nothing. `AES67_CACHE_DIR` (or
systemd's `CACHE_DIRECTORY`) says where the directories live; the default is the user's. Nothing is
put into the environment: a child with other sources or another mode finds its own directory.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import stat
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

COMPILED_PACKAGES = ("clock", "media", "engine")
_COMPILED = re.compile(r"^@(?:kernel|inner|inlined|intrinsic)\b|ExternalFunction", re.MULTILINE)
_IMPORT = re.compile(
    r"^from (aes67[\w.]*) import ([^(\n]+)|^from (aes67[\w.]*) import \(", re.MULTILINE
)

LOCK = ".lock"
"""File in a cache directory: locked (shared) by whoever uses it, and as old as its last use."""
KEPT = 8
"""Cache directories that `prune` leaves, 8 MB each: versions and modes that are used in turn."""
_NAME = re.compile(r"[0-9a-f]{16}")

F = TypeVar("F", bound=Callable[..., Any])


def compiled_sources(root: Path) -> list[Path]:
    """Files that hold compiled code, and all files of ours that they import, sorted.

    Args:
        root: the `aes67` package folder.
    """
    texts: dict[Path, str] = {}
    waiting = [root / "jit.py"]
    for package in COMPILED_PACKAGES:
        for file in (root / package).glob("*.py"):
            if _COMPILED.search(file.read_text(encoding="utf-8")):
                waiting.append(file)
    while waiting:
        file = waiting.pop()
        if file not in texts:
            texts[file] = file.read_text(encoding="utf-8")
            waiting += _imported(root, texts[file])
    return sorted(texts)


def _imported(root: Path, text: str) -> list[Path]:
    """The files of ours that a module's text imports."""
    found = []
    for match in _IMPORT.finditer(text):
        parts = (match[1] or match[3]).split(".")[1:]
        module = root.joinpath(*parts).with_suffix(".py")
        if parts and module.is_file():
            found.append(module)
        elif match[2]:
            names = (name.split()[0] for name in match[2].split(","))
            candidates = (root.joinpath(*parts, f"{name}.py") for name in names)
            found += [file for file in candidates if file.is_file()]
    return found


def source_hash(root: Path | None = None) -> str:
    """Hash of `compiled_sources`, the Numba version and the CPU model.

    Args:
        root: the `aes67` package folder; by default the one this file is in.
    """
    root = root or Path(__file__).parent
    digest = hashlib.sha256()
    for file in compiled_sources(root):
        digest.update(str(file.relative_to(root)).encode())
        digest.update(file.read_bytes())
    for fact in (metadata.version("numba"), platform.machine(), _cpu_model(), _bounds_checked()):
        digest.update(str(fact).encode())
    return digest.hexdigest()[:16]


def cache_root() -> Path:
    """Folder that holds the per-hash cache directories."""
    for variable in ("AES67_CACHE_DIR", "CACHE_DIRECTORY"):
        if value := os.environ.get(variable):
            return Path(value.split(":")[0])
    if os.geteuid() == 0 and os.access("/var/cache", os.W_OK):
        return Path("/var/cache/aes67")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aes67"


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
            for line in info:
                if line.startswith(("model name", "CPU part")):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def _bounds_checked() -> bool:
    return os.environ.get("NUMBA_BOUNDSCHECK") == "1"


def is_private(directory: Path) -> bool:
    """Whether a directory is ours and nobody else may write it: what lies there will be run."""
    found = directory.lstat()
    open_to_others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not open_to_others


def _prepare_cache() -> Path | None:
    """The directory of this source state, ours alone and in use; None when no place can be written.

    The second choice, under the folder for temporary files, lasts until the next boot. Whoever sets
    `NUMBA_CACHE_DIR` has chosen it.
    """
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen)
    temporary = Path(tempfile.gettempdir()) / f"aes67-kernels-{os.geteuid()}"
    for root in (cache_root, lambda: temporary):
        try:
            directory = root() / source_hash()
            directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.mkdir(mode=0o700, exist_ok=True)
            if is_private(directory.parent) and is_private(directory):
                _use(directory)
                return directory
        except (OSError, RuntimeError):  # the latter: a user without a home directory
            continue
    return None


def _use(directory: Path) -> None:
    """Mark a directory as in use until this process ends; OSError when it cannot be written."""
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(lock)
    except OSError:
        os.close(lock)
        raise


def prune(directory: Path) -> list[Path]:
    """Remove what other source states have left beside a cache directory of ours.

    The newest `KEPT` stay, and whatever a process uses.

    Returns:
        The directories that are gone.
    """
    if not _NAME.fullmatch(directory.name):
        return []  # chosen by somebody: not our folder to tidy
    found = []
    for entry in os.scandir(directory.parent):
        if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            found.append((_last_used(Path(entry.path)), Path(entry.path)))
    found.sort(reverse=True)
    return [path for _, path in found[KEPT:] if path != directory and _remove(path)]


def _last_used(directory: Path) -> float:
    for file in (directory / LOCK, directory):
        try:
            return file.stat().st_mtime
        except OSError:
            continue
    return 0.0


def _remove(directory: Path) -> bool:
    """Remove a cache directory unless somebody uses it; whether it is gone."""
    try:
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory, ignore_errors=True)
        return not directory.exists()
    except OSError:
        return False
    finally:
        os.close(lock)


CACHE = _prepare_cache()
"""Where compiled code is kept; None: nothing can be kept, and every start compiles anew."""


def is_empty() -> bool:
    """Whether nothing has been compiled yet for this source state."""
    return CACHE is not None and not any(entry.is_dir() for entry in os.scandir(CACHE))


UNKEPT: list[str] = []
"""Why compiled code could not be kept although there is a place for it, such as a full disk."""


def _keep_if_possible(compiled: Any) -> None:
    """What cannot be written is compiled again at the next start; it is no reason not to run."""
    cache = getattr(compiled, "_cache", None)
    if cache is None:  # NUMBA_DISABLE_JIT
        return
    save = cache.save_overload

    def save_overload(signature: Any, data: Any) -> None:
        try:
            save(signature, data)
        except OSError as error:
            if not UNKEPT:
                UNKEPT.append(f"{CACHE}: {error.strerror}")

    cache.save_overload = save_overload


def _compile(function: F, **options: bool) -> F:
    if CACHE is not None:
        numba.config.CACHE_DIR = str(CACHE)  # read by the decorator; Numba reloads it at times
    compiled = numba.njit(
        nogil=True, cache=CACHE is not None, error_model="numpy", fastmath=False, **options
    )(function)
    _keep_if_possible(compiled)
    return cast(F, compiled)


def kernel(function: F) -> F:
    """Compile `function` as a nopython, GIL-free, cached kernel.

    Integer division by zero never traps (`error_model="numpy"`), floating point keeps IEEE order,
    and with `NUMBA_DISABLE_JIT=1` the function stays plain Python. `NUMBA_BOUNDSCHECK=1` turns
    index checks on.
    """
    return _compile(function)


def inner(function: F) -> F:
    """A part of the tick: like `kernel`, but only other compiled code can call it.

    Without an entry from Python there is a third less to compile.
    """
    return _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def inlined(function: F) -> F:
    """Like `inner`, but put into its callers: for what takes less time than a call of it."""
    return _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)
