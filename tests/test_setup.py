"""packaging/setup.sh: the one command it tells a user to type names all that will be missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "packaging" / "setup.sh"
TOOLS = ("bash", "dirname", "grep", "sed", "cut")


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    """A folder with the script, and `bin`, a PATH of a user without packages or a Python."""
    (tmp_path / "packaging").mkdir()
    shutil.copy(SCRIPT, tmp_path / "packaging")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in TOOLS:
        (programs / name).symlink_to(shutil.which(name) or name)
    program(programs / "id", "echo 1000")
    program(programs / "dpkg-query", "exit 1")
    return tmp_path


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


def told(folder: Path, apt_cache: str) -> list[str]:
    """The line that is to be typed, word by word, where apt-cache is `apt_cache`."""
    program(folder / "bin" / "apt-cache", apt_cache)
    done = subprocess.run(
        [folder / "packaging" / "setup.sh"], env={**os.environ, "PATH": str(folder / "bin")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("    sudo")]
    return line.split()


def test_one_command_names_what_hangs_on_other_packages(newcomer: Path) -> None:
    """The sanitizers' runtime by clang's version, and a newer Python beside the system's."""
    words = told(
        newcomer,
        """case "$*" in
        "depends clang") printf 'clang\\n  Depends: clang-14\\n' ;;
        "show libclang-rt-14-dev" | "show python3.11") ;;
        *) exit 100 ;;
        esac""",
    )
    assert words[:4] == ["sudo", "apt-get", "update", "&&"]
    assert {"gcc", "libclang-rt-14-dev", "python3.11-venv", "python3.11-dev"} <= set(words)


def test_what_no_repository_has_is_not_asked_for(newcomer: Path) -> None:
    words = told(newcomer, "exit 100")
    assert "gcc" in words
    assert not [word for word in words if word.startswith(("libclang", "python3."))]
