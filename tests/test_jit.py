"""The cache directory of compiled code: a new one for each source state, private to its owner."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aes67 import jit

PACKAGE = Path(jit.__file__).parent


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package that a test may edit."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "aes67", ignore=shutil.ignore_patterns("*.so")))


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")


@pytest.mark.parametrize(
    "edited",
    ["media/pcm.py", "engine/tick.py", "clock/kalman.py", "shm/pages.py", "wire/rtp.py", "jit.py"],
)
def test_an_edit_of_what_kernels_are_made_of_is_another_directory(
    package: Path, edited: str
) -> None:
    before = jit.source_hash(package)
    append(package / edited, "\n# another line\n")
    assert jit.source_hash(package) != before


@pytest.mark.parametrize("edited", ["engine/alsa.py", "wire/sdp.py", "cli/main.py"])
def test_an_edit_elsewhere_compiles_nothing(package: Path, edited: str) -> None:
    before = jit.source_hash(package)
    append(package / edited, "\n# another line\n")
    assert jit.source_hash(package) == before


def test_every_module_with_compiled_code_is_hashed() -> None:
    hashed = set(jit.compiled_sources(PACKAGE))
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if "\n@kernel" in text or "\n@inner" in text or "\n@intrinsic" in text:
            assert file in hashed, file


def test_a_folder_that_others_may_write_is_not_private(tmp_path: Path) -> None:
    assert jit.is_private(tmp_path)
    tmp_path.chmod(0o770)
    assert not jit.is_private(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert not jit.is_private(link)


def test_without_its_usual_place_the_cache_goes_to_the_temporary_folder(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    environment = {
        "PATH": os.environ["PATH"],
        "AES67_CACHE_DIR": str(in_the_way / "cache"),
        "TMPDIR": str(tmp_path),
    }
    said = subprocess.run(
        [sys.executable, "-c", "from aes67 import jit; print(jit.CACHE)"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert Path(said).parent == tmp_path / f"aes67-kernels-{os.geteuid()}"
    assert Path(said).name == jit.source_hash()


def test_children_choose_their_own_directory() -> None:
    code = "import os, numba, aes67.media.pcm; from aes67 import jit; "
    code += "print(jit.CACHE == __import__('pathlib').Path(numba.config.CACHE_DIR)); "
    code += "print('NUMBA_CACHE_DIR' in os.environ)"
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert said.split() == ["True", "False"]


def test_a_user_without_a_home_gets_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")  # as Path.home says it

    monkeypatch.setattr(jit, "cache_root", nowhere)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    found = jit._prepare_cache()
    assert found is not None
    assert found.parent == tmp_path / f"aes67-kernels-{os.geteuid()}"


def old_directories(root: Path, count: int) -> list[Path]:
    """Cache directories, the oldest first."""
    made = []
    for number in range(count):
        directory = root / f"{number:016x}"
        (directory / "aes67").mkdir(parents=True)
        (directory / "aes67" / "kernel.nbi").write_bytes(b"code")
        (directory / jit.LOCK).touch()
        os.utime(directory / jit.LOCK, (1000 + number, 1000 + number))
        made.append(directory)
    return made


def test_old_directories_are_removed_and_the_newest_stay(tmp_path: Path) -> None:
    made = old_directories(tmp_path, jit.KEPT + 3)
    (tmp_path / "something else").mkdir()
    assert sorted(jit.prune(made[-1])) == made[:3]
    left = sorted(entry.name for entry in tmp_path.iterdir())
    assert left == [*(path.name for path in made[3:]), "something else"]


def test_a_directory_in_use_is_not_removed(tmp_path: Path) -> None:
    """By another process: a lock of our own would not keep us out."""
    made = old_directories(tmp_path, jit.KEPT + 2)
    code = "import sys, pathlib; from aes67 import jit; d = pathlib.Path(sys.argv[1]); "
    code += "jit._use(d); import os; os.utime(d / jit.LOCK, (1, 1)); print('used', flush=True); "
    code += "sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(made[0])], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"used\n"
        assert jit.prune(made[-1]) == [made[1]]
        assert user.stdin is not None
        user.stdin.close()
        user.wait()
    assert jit.prune(made[-1]) == [made[0]]


def test_a_folder_somebody_else_has_chosen_is_left_alone(tmp_path: Path) -> None:
    old_directories(tmp_path, jit.KEPT + 3)
    (tmp_path / "chosen").mkdir()
    assert jit.prune(tmp_path / "chosen") == []


def test_a_full_disk_is_no_reason_not_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(signature: object, data: object) -> None:
        raise OSError(28, "No space left on device")

    class Cache:
        save_overload = staticmethod(full)

    class Compiled:
        _cache = Cache()

    monkeypatch.setattr(jit, "UNKEPT", [])
    jit._keep_if_possible(Compiled)
    for _ in range(2):
        Compiled._cache.save_overload("signature", "data")
    (reason,) = jit.UNKEPT
    assert reason == f"{jit.CACHE}: No space left on device"


@pytest.mark.root
def test_on_a_real_full_disk_kernels_run(tmp_path: Path) -> None:
    tiny = ["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs", str(tmp_path)]
    subprocess.run(tiny, check=True)
    code = "from aes67 import jit; from aes67.media.pcm import sample_bytes; "
    code += "from aes67.media.timeline import frame_at; "
    code += "print(sample_bytes(1), frame_at(10**9, 48000), jit.UNKEPT, jit.CACHE)"
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    try:
        said = subprocess.run(
            [sys.executable, "-c", code], env={**environment, "AES67_CACHE_DIR": str(tmp_path)},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)
    assert said.startswith("2 48000 [")
    assert "No space left on device" in said
    assert str(tmp_path) in said
