"""A module as a program: its arguments, and Ctrl-C while it is still being imported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

INTERRUPTED = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nprint('went on')\n"


def run(folder: Path, text: str, *arguments: str, ignored: bool = False) -> tuple[int, str, str]:
    """Run a module of that text; exit code, output, errors."""
    (folder / "some_module.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "aes67.cli.program", "some_module", *arguments]
    if ignored:
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_ctrl_c_during_the_imports_says_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, INTERRUPTED) == (-signal.SIGINT, "", "")


def test_who_ignores_ctrl_c_goes_on_ignoring_it(tmp_path: Path) -> None:
    assert run(tmp_path, INTERRUPTED, ignored=True) == (0, "went on\n", "")


def test_the_module_is_the_main_program_with_its_arguments(tmp_path: Path) -> None:
    text = "import json, sys\nprint(json.dumps([__name__, sys.argv[1:]]))\nsys.exit(5)\n"
    code, output, errors = run(tmp_path, text, "--json", "a b")
    assert (code, json.loads(output), errors) == (5, ["__main__", ["--json", "a b"]], "")
