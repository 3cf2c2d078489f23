"""The cache directory of compiled code: a new one for each source state, private to its owner."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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
    ["media/pcm.py", "engine/tick.py", "clock/kalman.py", "shm/layout.py", "wire/rtp.py", "jit.py"],
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
        [sys.executable, "-c", "import os, aes67.jit; print(os.environ['NUMBA_CACHE_DIR'])"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert Path(said).parent == tmp_path / f"aes67-kernels-{os.geteuid()}"
    assert Path(said).name == jit.source_hash()
