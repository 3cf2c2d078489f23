"""What the programs of a self-test said, as it is reported."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from aes67.selftest.carry import SAID_LINES, _feed, summary


def test_each_kind_of_line_is_said_once_and_counted() -> None:
    said = "".join(f"underrun!!! (at least {ms}.5 ms long)\n" for ms in range(3000))
    assert summary(f"first\n{said}last\n") == (
        "first / underrun!!! (at least 0.5 ms long) (and 2999 more) / last"
    )


def test_lines_without_end_are_cut() -> None:
    said = summary("\n".join("x" * length for length in range(1, 200)))
    assert said.endswith(f"x / {199 - SAID_LINES} other lines")
    assert len(said.split(" / ")) == SAID_LINES + 1


def test_what_arecord_says_when_it_is_ended_is_no_complaint() -> None:
    assert summary("Aborted by signal Terminated...\n\n") == ""


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_player_that_is_ended_while_it_is_fed_is_no_program_error() -> None:
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0) as player:
        assert player.stdin is not None
        pipe, ended = player.stdin, threading.Event()

        def pieces():  # type: ignore[no-untyped-def]
            yield b"abc"
            pipe.close()  # as the end of the test does, from another thread
            player.stdin = None
            ended.set()
            yield b"def"

        feeding = threading.Thread(target=_feed, args=(player, pieces()))
        feeding.start()
        feeding.join()
        assert ended.is_set()
