"""What an application may expect of the PCM: the cases of semantics.c against the mock engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plugin.harness import HERE, Mock, Stalls

STALL_MS = 15
LIST = re.search(r"cases\[\] = \{(.*?)\};", (HERE / "semantics.c").read_text(), re.DOTALL)
assert LIST
CASES = re.findall(r"CASE\((\w+)\)", LIST.group(1))


@pytest.mark.parametrize("case", CASES)
def test_case(case: str, steady: Mock, semantics: Path) -> None:
    for _ in range(4):
        with Stalls() as stalls:
            done = steady.run(str(semantics), "aes67hw", case, timeout=20)
        if done.returncode == 0 or stalls.worst_ms < STALL_MS:
            break  # a machine that stood still is asked again, all its durations are wrong
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    steady.wait_for(lambda stats: stats["clients"] == 0)


@pytest.mark.parametrize("case", ["pause_and_resume", "drain_nonblocking", "mmap_capture"])
def test_case_through_plug(case: str, steady: Mock, semantics: Path) -> None:
    done = steady.run(str(semantics), "aes67", case, timeout=15)
    assert (done.returncode, done.stdout) == (0, "")
