"""Files: old or new, never half; a full disk and a missing right are errors that change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aes67.session.store import FileStore, read, replace


def test_a_file_is_replaced_and_its_mode_kept(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    replace(path, "one")
    assert path.read_text() == "one"
    path.chmod(0o640)
    replace(path, "two")
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["status.json"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    replace(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_left_over_temporary_file_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "x"
    (tmp_path / f".x.{os.getpid()}.tmp").write_text("half")
    replace(path, "whole")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["whole"]


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace(tmp_path / "no" / "x", "text")


def test_a_file_beyond_measure_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(OSError, match="larger"):
        read(path)


@pytest.mark.root
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A real one: a tmpfs of 64 KiB in a mount namespace of its own."""
    script = f"""
import errno
from pathlib import Path
from aes67.session.store import replace
path = Path({str(tmp_path)!r}, "status.json")
replace(path, "old")
try:
    replace(path, "x" * 100_000)
except OSError as error:
    assert error.errno == errno.ENOSPC, error
else:
    raise SystemExit("no error")
assert path.read_text() == "old"
assert [each.name for each in path.parent.iterdir()] == ["status.json"]
print("as it was")
"""
    inside = f"mount -t tmpfs -o size=64k tmpfs {tmp_path} && exec {sys.executable} -"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", inside],
        input=script, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.stdout == "as it was\n", done.stderr


@pytest.mark.root
def test_a_file_of_ours_in_a_directory_that_is_not_is_overwritten(tmp_path: Path) -> None:
    """/etc/daemon.conf owned by the service's user; run without root's rights."""
    script = """
import os
import sys
from pathlib import Path
from aes67.session.store import replace
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
path = Path(sys.argv[1])
replace(path, "longer than before")
assert path.read_text() == "longer than before"
replace(path, "short")
assert path.read_text() == "short"
try:
    replace(path.with_name("other"), "x")
except PermissionError:
    print("as it should be")
"""
    directory = tmp_path / "etc"
    directory.mkdir()
    path = directory / "daemon.conf"
    path.write_text("old")
    os.chown(path, 65534, 65534)
    for each in (tmp_path, *tmp_path.parents):
        if each.is_relative_to("/tmp") and each != Path("/tmp"):
            each.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.stdout == "as it should be\n", done.stderr


@pytest.mark.root
@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_mounted_by_itself_is_overwritten(tmp_path: Path, read_only: bool) -> None:
    """By `ReadWritePaths=` of a unit, by `-v` of a container: no rename can replace it."""
    script = """
import sys
from pathlib import Path
from aes67.session.store import replace
path = Path(sys.argv[1])
replace(path, "longer than before")
assert path.read_text() == "longer than before"
replace(path, "short")
print(path.read_text(), sorted(each.name for each in path.parent.iterdir()))
"""
    etc, outside = tmp_path / "etc", tmp_path / "outside"
    etc.mkdir()
    for path in (etc / "daemon.conf", outside):
        path.write_text("old")
    mounts = [f"mount --bind {etc} {etc}", f"mount --bind {outside} {etc}/daemon.conf"]
    if read_only:
        mounts.insert(1, f"mount -o remount,bind,ro {etc}")
    inside = " && ".join([*mounts, f"exec {sys.executable} - {etc}/daemon.conf"])
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", inside],
        input=script, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.stdout == "short ['daemon.conf']\n", done.stderr
    assert outside.read_text() == "short"


async def test_the_store_of_a_node_writes_both_files(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "daemon.conf")
    await store.save_config("config")
    await store.save_status(str(tmp_path / "status.json"), "status")
    assert read(tmp_path / "daemon.conf") == b"config"
    assert read(tmp_path / "status.json") == b"status"
