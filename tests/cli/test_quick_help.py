"""The command line is there at once: help costs little processor time."""

from __future__ import annotations

import resource
import subprocess
import sys


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from aes67.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in "
        "('numpy','numba','pydantic','fastapi','cffi')), file=sys.stderr)"
    )
    fastest = 10.0
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        fastest = min(fastest, spent)
    assert "examples:" in done.stdout
    assert done.stderr.strip() == "[]"
    assert fastest < 0.2
