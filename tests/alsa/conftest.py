"""Fixtures of the tests of installation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def in_mount_namespace(tmp_path: Path) -> Callable[[str], list[str]]:
    """Run a Python statement and then `aplay -L` where /etc is a private overlay."""

    def run(statement: str) -> list[str]:
        script = (
            f"set -e; mount -t tmpfs tmpfs {tmp_path}; mkdir {tmp_path}/up {tmp_path}/work; "
            f"mount -t overlay overlay -o lowerdir=/etc,upperdir={tmp_path}/up,"
            f'workdir={tmp_path}/work /etc; "$0" -c "$1" >&2; aplay -L'
        )
        bare = {key: value for key, value in os.environ.items() if not key.startswith("ALSA_")}
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, sys.executable, statement],
            env=bare | {"HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if "mount:" in done.stderr:
            pytest.skip(f"no overlay can be mounted here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run
