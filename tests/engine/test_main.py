"""The engine process around the engine: its directory, its lock, its options, its imports."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aes67.engine import main as main_module
from aes67.engine.footprint import _code_of
from aes67.engine.main import StartError, lock_directory, main
from aes67.net import runtime_directory
from aes67.selftest import child
from aes67.shm.layout import CLOCK
from sim.stand_in_engine import StandInEngine
from sim.waiting import until


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"main{os.getpid()}-") as name:
        yield Path(name)


def test_the_directory_is_made_and_locked(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_directory, "LOCK_WAIT_SECONDS", 0.1)
    runtime = directory / "run"
    lock = lock_directory(runtime)
    assert stat.S_IMODE(runtime.stat().st_mode) in (0o700, 0o755)
    assert (runtime / "engine.lock").read_text() == f"{os.getpid()}\n"
    words = rf"another engine \(pid {os.getpid()}\) runs in {runtime}"
    with pytest.raises(StartError, match=words):
        lock_directory(runtime)
    os.close(lock)
    os.close(lock_directory(runtime))


def test_a_lock_that_is_just_being_given_up_is_waited_for(directory: Path) -> None:
    lock = lock_directory(directory)
    code = "import sys; from pathlib import Path; from aes67.engine.main import lock_directory; "
    code += "print('waiting', flush=True); lock_directory(Path(sys.argv[1])); print('locked')"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(directory)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        os.close(lock)
        assert process.stdout.readline() == "locked\n"


def test_a_directory_that_others_may_write_is_refused(directory: Path) -> None:
    directory.chmod(0o777)
    with pytest.raises(StartError, match="nobody else"):
        lock_directory(directory)


@pytest.mark.root
def test_a_directory_of_somebody_else_is_refused(directory: Path) -> None:
    os.chown(directory, 65534, -1)
    with pytest.raises(StartError, match=f"must belong to uid {os.geteuid()}"):
        lock_directory(directory)
    os.chown(directory, os.geteuid(), -1)


def test_a_directory_that_cannot_be_is_named(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (directory / "file").write_text("")
    for wrong in (directory / "no" / "such", directory / "file"):
        assert main(["--runtime-dir", str(wrong)]) == 1
        captured = capsys.readouterr()
        assert f"aes67 engine: cannot use {wrong}" in captured.err
        assert captured.out == ""


def test_a_lock_file_that_cannot_be_is_named(directory: Path) -> None:
    (directory / "engine.lock").mkdir()
    with pytest.raises(StartError, match=f"cannot use {directory}/engine.lock: Is a directory"):
        lock_directory(directory)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--runtime-dir"], ["--runtime-dir", "x", "--priority", "0"],
     ["--runtime-dir", "x", "--priority", "100"], ["--runtime-dir", "x", "--log-level", "loud"]],
)  # fmt: skip
def test_wrong_options_exit_1(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 1
    assert "usage:" in capsys.readouterr().err


def test_it_imports_nothing_of_control() -> None:
    code = "import aes67.engine.main, sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    modules = set(result.stdout.split())
    forbidden = {"pydantic", "fastapi", "starlette", "uvicorn", "http", "http.server", "cffi"}
    assert not forbidden & modules
    ours = {name.split(".")[1] for name in modules if name.startswith("aes67.")}
    assert not {"config", "session", "services", "control"} & ours


def test_only_code_of_the_compiler_is_given_back() -> None:
    import llvmlite.binding  # noqa: F401

    found = _code_of("libllvmlite")
    assert found
    with open("/proc/self/maps") as maps:
        lines = [line for line in maps if "libllvmlite" in line and " r-xp " in line]
    assert len(found) == len(lines)
    assert _code_of("libnothing") == []


async def test_a_tick_that_hangs_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in has no tick, so its heartbeat is as old as the machine."""
    exits: list[int] = []
    stopped = asyncio.Event()

    def leave(code: int) -> None:
        exits.append(code)
        stopped.set()

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(main_module, "HOUSEKEEPING_SECONDS", 0.01)
    engine = StandInEngine()
    page = engine.clock.view(CLOCK)[0]
    page["mono_ns"] = time.monotonic_ns() - main_module.TICK_HANGS_NS
    task = asyncio.create_task(main_module._until(stopped, engine))  # type: ignore[arg-type]
    await until(lambda: engine.collected == main_module.TICK_HANGS_CHECKS - 1)
    page["mono_ns"] = time.monotonic_ns()
    await until(lambda: engine.collected > main_module.TICK_HANGS_CHECKS + 2)
    assert exits == []
    page["mono_ns"] = time.monotonic_ns() - main_module.TICK_HANGS_NS
    await asyncio.wait_for(task, 5)
    assert exits == [os.EX_SOFTWARE]
    engine.close()


DYING_TICK = """
import sys
from aes67.engine import main, thread
from aes67.engine.wiring import STOP

run, rounds = thread.run, []

def dying(tick):
    rounds.append(run)
    if len(rounds) == 1 or tick.common["control"][STOP]:
        return run(tick)
    raise IndexError("index 9 is out of bounds")

thread.run = dying
main._compile = lambda: None
sys.exit(main.main(["--runtime-dir", sys.argv[1], "--no-lock-memory"]))
"""
"""An engine whose tick, once it runs, ends as compiled code does that meets an index it has not."""


def test_a_tick_that_dies_ends_the_process(directory: Path) -> None:
    """And so soon that what its parent starts is back within the applications' grace time."""
    process = subprocess.Popen(
        [sys.executable, "-c", DYING_TICK, str(directory)], stderr=subprocess.PIPE, text=True
    )
    try:
        _, err = process.communicate(timeout=100)
    finally:
        child.kill(process)
    assert process.returncode == os.EX_SOFTWARE
    assert "IndexError: index 9 is out of bounds" in err
    assert "the tick has ended by itself" in err.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_serves_and_ends(directory: Path, number: signal.Signals) -> None:
    """By hand, without a parent and without real-time rights if there are none."""
    runtime = directory / "run"
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "aes67.engine.main", "--runtime-dir", str(runtime),
         "--no-lock-memory"],
        pass_fds=(write_end,), stderr=subprocess.PIPE, text=True,
        env={**os.environ, "AES67_HEARTBEAT_FD": str(write_end)},
    )  # fmt: skip
    os.close(write_end)
    try:
        assert os.read(read_end, 6) == b"ready\n", "an end of file says that it never started"
        assert stat.S_ISSOCK((runtime / "engine.sock").stat().st_mode)
        assert stat.S_IMODE((runtime / "engine.sock").stat().st_mode) == 0o600
        as_root = os.geteuid() == 0
        assert stat.S_IMODE((runtime / "alsa.sock").stat().st_mode) == (0o660 if as_root else 0o600)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    finally:
        child.kill(process)
        os.close(read_end)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert sorted(entry.name for entry in runtime.iterdir()) == ["engine.lock"]
