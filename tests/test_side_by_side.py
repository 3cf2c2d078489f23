"""`make test` runs every test once, in one of two pytests, and says what came of both."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path, PurePath

import pytest

import side_by_side
from sim.waiting import wait_until

pytestmark = pytest.mark.timeout(600)

TESTS = Path(__file__).parent
ROOT = TESTS.parent

CONFTEST = """
from side_by_side import Half, add_options

def pytest_addoption(parser):
    add_options(parser)

def pytest_configure(config):
    if config.getoption("half"):
        config.pluginmanager.register(Half(config))
"""
INI = """
[pytest]
testpaths = tests
markers = timeout: of another plug-in
"""
GOOD = """
import json, os

def test_it():
    about = [os.sched_getscheduler(0), os.nice(0), os.readlink("/proc/self/ns/net")]
    with open("SAID", "x") as file:
        json.dump(about, file)
"""
WAITING = """
import time
import pytest

@pytest.fixture
def cleaned():
    yield
    open("SAID-ended", "w")

def test_it(cleaned):
    open("SAID", "w")
    time.sleep(600)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One test in each half, both good."""
    for name in ("tests/wire", "tests/e2e"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tests/conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text(INI)
    write(tmp_path, "tests/wire/test_a.py", GOOD)
    write(tmp_path, "tests/e2e/test_b.py", GOOD)
    return tmp_path


def write(project: Path, file: str, text: str) -> None:
    said = project / Path(file).with_suffix("").name
    (project / file).write_text(text.replace("SAID", str(said)))


def started(project: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(TESTS),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, str(TESTS / "side_by_side.py"), *arguments], cwd=project, text=True,
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def outcome(project: Path, *arguments: str) -> tuple[int, str]:
    with started(project, *arguments) as process:
        said, _ = process.communicate()
        return process.returncode, said


def test_what_is_named_is_there() -> None:
    for name in (*side_by_side.CALCULATING, *side_by_side.TIMED_AMONG_THEM):
        assert (ROOT / name).exists(), name
    for name in side_by_side.TIMED_AMONG_THEM:
        assert side_by_side.is_in(PurePath(name), side_by_side.CALCULATING)


def test_what_calculates_waits_for_no_clock_and_makes_no_network() -> None:
    takes_time = re.compile(
        r"\bsleep\((?!0\))|\b(monotonic|perf_counter|process_time)|namespaces|Namespace|getrusage"
    )
    for file in TESTS.rglob("test_*.py"):
        if side_by_side.calculates(file.relative_to(ROOT)) and file != Path(__file__):
            assert not takes_time.search(file.read_text(encoding="utf-8")), file


@pytest.mark.root
def test_each_test_runs_once_and_what_calculates_takes_nothing_from_the_others(
    project: Path,
) -> None:
    code, said = outcome(project, "--durations=3")
    assert code == 0, said
    assert said.count("1 passed") == 2
    assert said.index("e2e/test_b.py") < said.index("wire/test_a.py")
    assert said.count("slowest 3 durations") == 2
    assert re.search(r"\naltogether: 2 passed \(timed \d+ s, calculating \d+ s\)\n$", said)
    here = str(Path("/proc/self/ns/net").readlink())
    idle, timed = (json.loads((project / name).read_text()) for name in ("test_a", "test_b"))
    assert idle[:2] == [os.SCHED_IDLE, 19]
    assert idle[2] != here
    assert timed == [os.sched_getscheduler(0), os.nice(0), here]


@pytest.mark.root
@pytest.mark.parametrize(
    ("broken", "text", "code", "said_of_it"),
    [
        ("tests/wire/test_a.py", "def test_it(): assert 0", 1, r"1 failed, 1 passed"),
        ("tests/e2e/test_b.py", "1 / 0", 2, r"1 error, 1 passed"),
    ],
)
def test_either_half_may_fail(
    project: Path, broken: str, text: str, code: int, said_of_it: str
) -> None:
    write(project, broken, text)
    found, said = outcome(project)
    assert found == code, said
    half = "calculating" if "wire" in broken else "timed"
    assert re.search(rf"\naltogether: {said_of_it} \(.*{half} \d+ s FAILED.*\)\n$", said), said


@pytest.mark.root
def test_a_signal_ends_both_and_they_clean_up(project: Path) -> None:
    for file in ("tests/wire/test_a.py", "tests/e2e/test_b.py"):
        write(project, file, WAITING)
    with started(project) as process:
        wait_until(lambda: all((project / name).exists() for name in ("test_a", "test_b")), 600)
        process.terminate()
        said, _ = process.communicate()
    assert process.returncode == 2, said
    assert said.count("KeyboardInterrupt") >= 2
    assert all((project / f"{name}-ended").exists() for name in ("test_a", "test_b"))


def test_whoever_chooses_gets_one_plain_pytest(project: Path) -> None:
    code, said = outcome(project, "-k", "test_it", "tests")
    assert code == 0, said
    assert said.count("test session starts") == 1
    assert "2 passed" in said
    assert "altogether" not in said
