"""Warming up: what is compiled once is never compiled again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from aes67.engine import warmup


def warm_up(*arguments: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "aes67.engine.warmup", *arguments],
        capture_output=True, text=True, check=True, env={**os.environ, **environment},
    ).stdout  # fmt: skip


def test_the_second_run_compiles_nothing() -> None:
    warm_up()
    result: dict[str, Any] = json.loads(warm_up("--json"))
    assert result["compiled"] == 0
    assert result["loaded"] > 0
    assert [part["part"] for part in result["parts"]] == ["clock", "tick"]
    assert os.path.isdir(result["cache"])


def test_progress_is_printed_a_part_a_line() -> None:
    lines = warm_up(AES67_PROGRAM="aes67 warmup").splitlines()
    assert [line.split()[0] for line in lines] == ["cache", "clock", "tick"]
    assert all("compiled   0" in line for line in lines[1:])


def test_a_long_compilation_tells_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warmup.SignOfLife, "PERIOD_S", 0.001)
    life = warmup.SignOfLife(shown=True)
    said = ""
    while said.count("\n") < 2:
        said += capsys.readouterr().err
    life.end()
    assert re.match(r"compiling: \d+ functions, \d+ s\n", said)
    capsys.readouterr()
    warmup.SignOfLife(shown=False).end()
    assert capsys.readouterr().err == ""


def test_it_needs_no_network() -> None:
    """In a user's own empty namespace if that may be made; else the promise is only in its code."""
    probe = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*probe, "true"], capture_output=True).returncode:
        probe = []
    subprocess.run(
        [*probe, sys.executable, "-m", "aes67.engine.warmup"], check=True, capture_output=True,
        env={**os.environ, "AES67_CACHE_DIR": cache_root()},
    )  # fmt: skip


def cache_root() -> str:
    from aes67.jit import cache_root

    return str(cache_root())
