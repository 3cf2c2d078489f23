"""The cases again with the address, undefined-behaviour and thread sanitizers in the plugin.

Only the plugin is instrumented; programs and alsa-lib stay as they are, the run time is preloaded.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aes67.shm.layout import EVENT_RECONFIGURED, MSG_SETUP
from plugin.harness import Mock, build_plugins, short_folder

CASES = [
    "drain_below_start_threshold", "drain_of_capture", "pause_and_resume", "pause_of_capture",
    "underrun", "underrun_is_ignored_on_wish", "overrun", "rewind_and_forward",
    "reset_while_running", "set_up_again", "wrong_states", "poll_levels_of_playback",
    "mmap_capture", "pause_keeps_what_was_captured", "forwarded_frames_are_silent",
    "extreme_configurations", "wait_of_a_huge_capture_buffer", "channel_maps", "four_threads",
]  # fmt: skip


def runtime(name: str) -> str:
    """Path of GCC's run time of a sanitizer."""
    command = ["gcc", f"-print-file-name={name}"]
    path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(path).is_absolute():
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mock, dict[str, str]]]:
    """A mock whose plugin has the address and undefined-behaviour sanitizers."""
    flags = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-O0"]
    library = build_plugins(tmp_path_factory.mktemp("asan"), *flags)
    environment = {
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }
    with short_folder() as folder, Mock(folder, lib_dir=library) as mock:
        yield mock, environment


@pytest.mark.parametrize("case", CASES)
def test_memory(case: str, address: tuple[Mock, dict[str, str]], semantics: Path) -> None:
    mock, environment = address
    done = mock.run(str(semantics), "aes67hw", case, extra=environment)
    for word in ("Sanitizer", "runtime error"):
        assert word not in done.stderr, done.stderr
    assert done.returncode in (0, 1), done.stderr  # 1: too slow for a limit, that is not asked here


@pytest.mark.parametrize("command", [
    "amixer -D aes67 contents",
    "aplay -q -D aes67 -d 1 -f U8 -r 8000 -c 3 /dev/zero",
    "arecord -q -M -D aes67hw:64 -d 1 -f S24_3LE -r 48000 -c 64 -t raw /dev/null",
    "aplay -q -D aes67hw:99 /dev/zero",
])  # fmt: skip
def test_memory_of_tools(command: str, address: tuple[Mock, dict[str, str]]) -> None:
    mock, environment = address
    extra = environment | {"ASAN_OPTIONS": "detect_leaks=0"}  # the tools' own
    done = mock.run(*command.split(), extra=extra)
    assert "Sanitizer" not in done.stderr, done.stderr
    assert "runtime error" not in done.stderr, done.stderr


@pytest.mark.parametrize("way", ["write", "nonblock"])
def test_memory_over_a_restart(
    way: str, address: tuple[Mock, dict[str, str]], mocks: Callable[..., Mock], semantics: Path
) -> None:
    steady, environment = address
    mock = mocks(lib_dir=steady.lib_dir)
    process = mock.popen([str(semantics), "aes67hw:GRACE=9000", "until", way], environment)
    assert process.stdout
    process.stdout.readline()
    for _ in range(2):
        mock.kill()
        mock.start()
        mock.wait_for(lambda stats: any(MSG_SETUP in sent for sent in stats["messages"]))
    mock.do("event", kind=EVENT_RECONFIGURED)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert b" -19 " in out


@pytest.fixture(scope="module")
def threads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    """A mock whose plugin has the thread sanitizer."""
    library = build_plugins(tmp_path_factory.mktemp("tsan"), "-fsanitize=thread", "-O0")
    with short_folder() as folder, Mock(folder, lib_dir=library) as mock:
        yield mock


def test_races(threads: Mock, semantics: Path) -> None:
    """Four threads on one handle: write, status and delay, poll, pause and drop."""
    extra = {"LD_PRELOAD": runtime("libtsan.so"), "TSAN_OPTIONS": "halt_on_error=0"}
    done = threads.run(
        "setarch", "-R", str(semantics), "aes67hw", "four_threads", extra=extra, timeout=60
    )
    assert "WARNING: ThreadSanitizer" not in done.stderr, done.stderr[:6000]
    assert done.returncode == 0, done.stderr
