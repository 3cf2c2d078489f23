"""Short runs of the two libFuzzer harnesses; `python test_plugin_fuzz.py SECONDS` runs longer ones.

fuzz_config.c hands any ALSA configuration to open; fuzz_engine.c is an engine that answers and
writes anything while the application calls anything. Both run with the address and
undefined-behaviour sanitizers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from plugin.harness import HERE, SOURCE

WRAPPED = ["socket", "connect", "send", "poll", "nanosleep", "clock_gettime"]
HARNESSES = {"fuzz_config": [], "fuzz_engine": [f"-Wl,--wrap={name}" for name in WRAPPED]}
SEEDS = {
    "fuzz_config": [
        b'channels 8\nfirst 2\nserver "/nowhere"\nexclusive yes\ngrace 100\ncomment "x"\n',
        b"channels '8'\nhint { show on }\ntype aes67\ncard 0\ncolour red\n",
    ],
    "fuzz_engine": [
        np.random.default_rng(n).integers(0, 256, 40 + 5 * n, dtype=np.uint8).tobytes()
        for n in range(40)
    ]
    + [bytes([direction, *bytes(60 + n), *range(255, 0, -7), *range(200)])
       for n in range(8) for direction in (0, 1)],
}  # fmt: skip


def run(name: str, folder: Path, seconds: int) -> None:
    program = folder / name
    flags = ["-std=c11", "-g", "-O1", "-fPIC", "-DPIC", f"-I{SOURCE}"]
    flags += ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined"]
    files = [str(file) for file in sorted(SOURCE.glob("*.c")) if file.name != "ctl_aes67.c"]
    command = ["clang", *flags, *HARNESSES[name], str(HERE / f"{name}.c"), *files]
    subprocess.run([*command, "-o", str(program), "-lasound"], check=True)
    corpus = folder / f"{name}.corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS[name]):
        (corpus / str(number)).write_bytes(seed)
    done = subprocess.run(
        [str(program), f"-max_total_time={seconds}", "-max_len=400", "-len_control=0"]
        + ["-timeout=60", "-seed=67", str(corpus)],
        cwd=folder,
        # alsa-lib's own parser leaks on broken text
        env=os.environ | {"ASAN_OPTIONS": f"detect_leaks={int(name == 'fuzz_engine')}"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-6000:]


@pytest.mark.parametrize("name", HARNESSES)
def test_fuzz(name: str, tmp_path: Path) -> None:
    if not shutil.which("clang"):
        pytest.skip("clang is not installed")
    run(name, tmp_path, seconds=8)


if __name__ == "__main__":
    for harness in HARNESSES:
        with tempfile.TemporaryDirectory() as name:
            run(harness, Path(name), int(sys.argv[1]))
