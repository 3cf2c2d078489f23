"""The installed unit under a systemd that is booted for it; only where it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "packaging" / "try-service.sh"


@pytest.mark.root
@pytest.mark.peer("systemd", "nsenter", "unshare", "curl")
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    not os.environ.get("AES67_TRY_SYSTEMD"),
    reason="boots a systemd, which takes overlayfs and cgroup v2: AES67_TRY_SYSTEMD=1 does it",
)
def test_a_real_systemd_runs_the_installed_unit(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("aes67")
    done = subprocess.run(
        [SCRIPT, program], env=os.environ | {"TRY_SERVICE_DIR": str(tmp_path)},
        capture_output=True, text=True, timeout=850,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for what in ("Type=notify", "user aes67", "watchdog", "ended cleanly"):
        assert f"{what}" in done.stdout
