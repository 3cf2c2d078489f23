"""The same tests without the compiler, and with index checks, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aes67.media import pcm

HERE = Path(__file__).parent
MODES = {"without the compiler": "NUMBA_DISABLE_JIT", "index checks": "NUMBA_BOUNDSCHECK"}


@pytest.mark.skipif(any(name in os.environ for name in MODES.values()), reason="already inside")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("variable", MODES.values(), ids=MODES.keys())
def test_kernels_are_the_same_in_every_mode(variable: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    options = ["-q", "-x", "-p", "no:cacheprovider", "--hypothesis-profile=quick"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(HERE)],
        cwd=HERE.parent.parent,
        env=environment | {variable: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.skipif("NUMBA_BOUNDSCHECK" not in os.environ, reason="only with index checks")
def test_index_checks_are_on() -> None:
    with pytest.raises(IndexError):
        pcm.unpack_l16(np.zeros(10, np.int32), np.zeros(2, np.int32))
