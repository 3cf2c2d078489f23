"""Folders of self-tests stay while their process lives; the next one removes the ones left."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aes67.selftest.folder import LOCK, Folder, remove_left

HOLDER = """
from aes67.selftest.folder import Folder
folder = Folder("selftest")
(folder.path / "run").mkdir()
(folder.path / "run" / "daemon.log").write_text("words")
print(folder.path, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files of this process and its children are there."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_of_a_killed_self_test_nothing_is_left_by_the_next_one(temporary: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        left = Path(holder.stdout.readline().strip())
        own = Folder("ptp4l")
        assert left.is_dir()  # it lives
        holder.kill()
    own.cleanup()
    assert left.is_dir()
    own = Folder("selftest")
    assert list(temporary.iterdir()) == [own.path]
    own.cleanup()
    assert list(temporary.iterdir()) == []


def test_nothing_else_is_touched(temporary: Path) -> None:
    outside = temporary / "outside"
    outside.mkdir()
    (outside / LOCK).touch()
    for name in ("aes67-selftest-", "aes67-selftest-1-", "aes67-selftest-x-abc", "aes67-1-abc",
                 "aes67-selftest-1-abc.d", "my-aes67-selftest-1-abc"):  # fmt: skip
        (temporary / name).mkdir()
        (temporary / name / LOCK).touch()
    (temporary / "aes67-selftest-1-nolock").mkdir()
    (temporary / "aes67-selftest-1-file").touch()
    (temporary / "aes67-selftest-1-link").symlink_to(outside)
    (temporary / "aes67-selftest-1-linked").mkdir()
    (temporary / "aes67-selftest-1-linked" / LOCK).symlink_to(outside / LOCK)
    before = sorted(temporary.rglob("*"))
    remove_left()
    assert sorted(temporary.rglob("*")) == before


@pytest.mark.root
def test_another_users_folder_stays(temporary: Path) -> None:
    folder = temporary / "aes67-selftest-1-abc"
    folder.mkdir()
    (folder / LOCK).touch()
    os.chown(folder, 65534, 65534)
    remove_left()
    assert folder.is_dir()
    os.chown(folder, os.geteuid(), os.getegid())
    remove_left()
    assert not folder.exists()


def test_a_missing_folder_of_temporary_files_is_not_for_here(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "missing"))
    remove_left()
