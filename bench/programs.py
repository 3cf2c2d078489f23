"""The C programs of this folder, compiled when they are older than their source."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "bench"
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")
"""-O2 makes the yardstick fastest where it counts: -O3 -march=native gains 0.4 us of conversion on
sending and loses 0.2 us on receiving, both inside the noise of the whole."""


def program(name: str, *flags: str) -> str:
    """Path of the compiled `bench/NAME.c`; CalledProcessError when it does not compile.

    `flags` go to the linker's end of the command line.
    """
    source = HERE / f"{name}.c"
    target = BUILD / name
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(f".{os.getpid()}")
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, *FLAGS, "-o", str(fresh), str(source), *flags], check=True)
        fresh.rename(target)
    return str(target)
