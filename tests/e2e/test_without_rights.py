"""The self-test without rights: in a user's own namespace, or on the host's loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from aes67.selftest.place import KINDS, MARK

SELFTEST = [sys.executable, "-m", "aes67.selftest.audio", "--duration", "2", "--json"]
NO_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def judged(command: list[str], **environment: str) -> dict[str, Any]:
    """What the self-test found; that it ran is what matters here.

    Without real-time rights a busy machine may keep it from being exact, and it says so.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["ok"] or any("kept from running" in text for text in found["problems"]), found
    return found


@pytest.mark.root
def test_in_a_user_namespace_of_its_own() -> None:
    """Root is the only user and group there: nothing can be given to the group audio."""
    found = judged([*KINDS["user"][1], *SELFTEST], **{MARK: "user"})
    assert found["where"] == KINDS["user"][0]


@pytest.mark.root
def test_on_the_hosts_loopback_without_any_right() -> None:
    """PTP's ports are not permitted, so it runs on the local clock."""
    found = judged([*NO_RIGHTS, *SELFTEST], **{MARK: "host"})
    assert found["clock"]["mode"] == "free"


@pytest.mark.root
def test_a_ptp4l_that_cannot_be_is_refused_at_once() -> None:
    done = subprocess.run(
        [*NO_RIGHTS, *SELFTEST, "--ptp4l"], capture_output=True, text=True, timeout=30,
        check=False, env={**os.environ, MARK: "host"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "ptp4l needs PTP's ports 319 and 320: run it as root" in done.stderr
