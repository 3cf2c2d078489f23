"""`make validate`: what is tried, in which order, with how much room, and what the report says."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from aes67.shm.layout import buffer_bytes_max, delay_limit_frames
from e2e.validate import Ended, Programs, keep, known, told
from e2e.validate_plan import (
    BEFORE,
    COULD_NOT_RUN,
    FAILED,
    LOOK_AGAIN,
    NAMES,
    ROOMS,
    STOOD_STILL,
    UNKNOWN,
    Row,
    Try,
    cases,
    counts,
    first_room,
    is_due,
    options,
    time_text,
    urgency,
    verdict,
    with_least,
)
from e2e.validate_report import report
from standstill import WAKE_UP_LIMIT, awake

EVERY = list(cases(60))
SAMPLES = [case for case in EVERY if case[0] == "selftest"]
KEYS = ("--format", "--codec", "--channels", "--rate", "--packet-time")


def tried(room: str, ok: bool, worst_ms: float | None, **more: object) -> Try:
    """A try of 48 kHz stereo."""
    result = {"ok": ok, "format": "S16_LE", "rate": 48000, "problems": [] if ok else ["a | gap"]}
    return Try(room, result | more, worst_ms, worst_ms, 0.5)


def row(*tries: Try, before: tuple[float, ...] = (), case: tuple[str, ...] = SAMPLES[0]) -> Row:
    return Row(case, tries, before)


PASSED = row(tried("10 ms", True, 1.0))
NEEDED_40 = row(tried("10 ms", False, 34.0), tried("40 ms", True, 20.0))
NEEDED_200 = row(
    tried("10 ms", False, 34.0), tried("40 ms", False, 20.0), tried("200 ms", True, 28.0)
)
STALLS = ((1_000_000_000, 1_020_000_000), (2_000_000_000, 2_020_000_000))


def faults(*seconds: float) -> list[dict[str, object]]:
    """What a self-test says of differences that came at these instants."""
    return [{"frame": 1, "monotonic_ns": round(each * 1e9), "words": "a"} for each in seconds]


EXPLAINED = Try(
    "10 ms",
    {"ok": False, "format": "S16_LE", "problems": ["a"], "places": 2, "differing_frames": 90,
     "seconds": 60.0, "otherwise": "", "differences": faults(1.0, 2.08)},
    20.0, 40.0, 0.5, STALLS,
)  # fmt: skip
BEGUN_AT_40 = row(tried("40 ms", True, 20.0), before=(34.0, 20.0, 28.0))


def test_every_case_is_there_once() -> None:
    assert len(SAMPLES) == len(set(SAMPLES)) == 144
    assert len(EVERY) - len(SAMPLES) == 10


def test_an_early_end_has_seen_every_pair_of_values() -> None:
    values = [(*(case[case.index(key) + 1] for key in KEYS), "--ptp4l" in case) for case in SAMPLES]
    seen, possible = (
        {(i, a, j, b) for each in some for (i, a), (j, b) in itertools.combinations(each, 2)}
        for some in (
            [list(enumerate(v)) for v in values[:36]],
            [list(enumerate(v)) for v in values],
        )
    )
    assert seen == possible
    assert {case[0] for case in EVERY[36:46]} == {"latency"}


@pytest.mark.parametrize("rate", [48000, 96000])
def test_rooms_are_as_long_as_they_are_called(rate: int) -> None:
    for room in ROOMS:
        case = ("selftest", "--rate", str(rate), "--channels", "64")
        words = options(case, room)[len(case) :]
        given = dict(zip(words[::2], words[1::2], strict=True))
        buffer = int(given["--buffer"])
        assert f"{buffer * 1000 // rate} ms" == room.name
        assert buffer == 4 * int(given["--period"])
        fixed = 64 if given.get("--device") == "aes67:64" else 0
        assert buffer * 64 * 4 <= buffer_bytes_max(rate, fixed)
    assert int(given["--delay"]) == delay_limit_frames(rate)


def test_a_latency_test_keeps_its_geometry() -> None:
    assert options(EVERY[36], ROOMS[2]) == list(EVERY[36])


def test_only_a_failure_while_the_machine_stood_still_is_tried_again() -> None:
    assert tried("10 ms", False, 34.0).excused
    assert not tried("10 ms", False, 3.0).excused
    assert not tried("10 ms", False, None).excused
    assert not tried("10 ms", True, 34.0).excused
    assert not Try("10 ms", {"ok": False, "problems": ["no aplay"]}, 34.0, 34.0, 0.5).excused
    assert not EXPLAINED.excused


def test_a_case_begins_where_the_last_ones_ended() -> None:
    assert first_room([NEEDED_40] * (BEFORE - 1)) == (0, ())
    assert first_room([NEEDED_40] * BEFORE) == (1, (20.0,) * BEFORE)
    assert first_room([NEEDED_40, NEEDED_200, NEEDED_40]) == (1, (20.0, 28.0, 20.0))
    assert first_room([NEEDED_200] * BEFORE)[0] == 2
    assert first_room([*[NEEDED_200] * BEFORE, PASSED]) == (0, ())


def test_the_least_room_is_looked_at_again_after_a_while() -> None:
    rows = [NEEDED_40] * BEFORE
    begun = []
    for _ in range(3 * LOOK_AGAIN):
        room, before = first_room(rows)
        begun.append(room)
        rows.append(row(tried(NAMES[room], True, 20.0), before=before) if room else NEEDED_40)
    assert begun.count(0) == 3


def test_what_is_due() -> None:
    assert is_due(None, again=False)
    assert not is_due(BEGUN_AT_40, again=False)
    assert is_due(BEGUN_AT_40, again=True)
    assert is_due(NEEDED_40, again=True)
    assert is_due(row(tried("10 ms", False, 1.0)), again=True)
    assert not is_due(PASSED, again=True)
    assert not is_due(row(EXPLAINED, *NEEDED_40.tries[1:]), again=True)


def test_only_faults_at_stalls_are_explained() -> None:
    assert EXPLAINED.explained
    for change in (
        {"places": 3},  # one that is not told
        {"otherwise": "the recording ends 3 frames before the signal does"},
        {"differences": faults(1.0, 2.2)},
        {"differences": faults(0.9, 2.0)},
    ):
        assert not Try("10 ms", EXPLAINED.result | change, 20.0, 20.0, 0.5, STALLS).explained
    assert not Try("10 ms", EXPLAINED.result, 20.0, 20.0, 0.5).explained
    assert not tried("10 ms", False, 34.0).explained
    assert not PASSED.last.explained
    assert EXPLAINED.covered == pytest.approx(0.08 + 0.08)
    near = Try("10 ms", {"ok": True}, 20.0, 20.0, 0.5, ((10**9, 2 * 10**9), (10**9, 10**9 + 1)))
    assert near.covered == pytest.approx(1.06)


def test_a_case_that_is_known_to_pass_is_tried_with_the_least_room_alone() -> None:
    old = NEEDED_200
    new = with_least(old, EXPLAINED)
    assert [each.room for each in new.tries] == ["10 ms", "40 ms", "200 ms"]
    assert new.least == EXPLAINED
    assert verdict(new) == "identical at 200 ms"
    assert with_least(BEGUN_AT_40, EXPLAINED).tries == (EXPLAINED, BEGUN_AT_40.last)
    assert not with_least(BEGUN_AT_40, EXPLAINED).before
    assert with_least(old, PASSED.last).tries == (PASSED.last,)


def test_what_was_never_run_comes_first_and_what_is_shown_last() -> None:
    assert [urgency(each) for each in (None, row(tried("200 ms", False, 30.0)))] == [0, 1]
    assert urgency(NEEDED_200) == urgency(row(EXPLAINED)) == 2


def test_verdicts() -> None:
    assert verdict(PASSED) == "identical at 10 ms"
    assert verdict(NEEDED_200) == "identical at 200 ms"
    assert verdict(row(EXPLAINED)) == "identical at 10 ms but at stalls of the machine"
    assert verdict(row(tried("10 ms", False, 1.0))) == FAILED
    assert verdict(row(tried("10 ms", False, None))) == UNKNOWN
    assert verdict(row(tried("200 ms", False, 30.0))) == STOOD_STILL
    assert verdict(row(Try("10 ms", {"ok": False}, 1.0, 1.0, 0.5))) == COULD_NOT_RUN
    assert sum(counts([PASSED, NEEDED_40, BEGUN_AT_40]).values()) == 3


def test_the_report_shows_buffers_tries_and_stalls() -> None:
    failed = row(tried("10 ms", False, 1.0), case=SAMPLES[2])
    begun = row(*BEGUN_AT_40.tries, before=BEGUN_AT_40.before, case=SAMPLES[1])
    delay = row(tried("10 ms", True, 1.0, xruns=7), case=EVERY[36])
    done = {each.name: each for each in (delay, failed, begun, NEEDED_200)}
    page = report(done, EVERY, ["a machine"])
    for words in (
        "3 of 144 cases run", "identical at 10 ms: 0", "identical at 40 ms: 1",
        "identical at 200 ms: 1", f"{FAILED}: 1", "for a reason that is not known: 3",
        "| identical | 200 ms | 28.0 ms, 28 ms in all | 0.5 | 10 ms: stood still 34.0 ms, ",
        "34 ms in all, a / gap; 40 ms: stood still 20.0 ms, 20 ms in all, a / gap |",
        "not tried at 10 ms: the machine stood still for 34, 20, 28 ms in the cases before",
        f"{FAILED}: a / gap",
    ):  # fmt: skip
        assert words in page
    assert "| S16_LE | L16 | 48000 | 2 | 48 | 1 | own | 60 | identical |" in page
    assert "| 48000 | 48 | 96 | 48 | own |" in page
    tables = [text for text in page.splitlines() if text.startswith("|")]
    assert {text.count("|") for text in tables[:5]} == {14}
    assert {text.count("|") for text in tables[5:]} == {14}
    page = report({NEEDED_200.name: with_least(NEEDED_200, EXPLAINED)}, EVERY, [])
    assert "only at stalls of the machine: 1, with 2 places and 2 stalls; 0 of 60 s" in page
    assert "90 frames in 2 places differ, only at stalls (2, 0.2 s were near one)" in page


def test_polling_processors_are_told() -> None:
    polled = Try("10 ms", {"ok": True, "format": "S16_LE"}, 1.0, 1.0, 0.5, (), True)
    page = report({row(polled).name: row(polled)}, EVERY, [])
    assert "| 10 ms | 1.0 ms, 1 ms in all, polling | 0.5 |" in page
    with awake() as held:
        assert held == os.access(WAKE_UP_LIMIT, os.W_OK)


def test_times_are_told_as_people_do() -> None:
    assert [time_text(s) for s in (45, 720, 7500)] == ["45 s", "12 min", "2 h 05 min"]
    assert "identical at 200 ms at try 3" in told(NEEDED_200)
    late = row(tried("10 ms", False, 1.0, xruns=7, latency={"median_ms": 3.969}), case=EVERY[36])
    assert "median 3.97 ms, 7 xruns" in told(late)
    assert "FAILED" in told(row(tried("10 ms", False, 1.0), case=EVERY[36]))


def test_rows_are_kept_and_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert known(path) == {}
    keep(path, PASSED)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"arguments": ["selft')
    keep(path, NEEDED_40)
    assert known(path) == {NEEDED_40.name: NEEDED_40}
    keep(path, with_least(NEEDED_40, EXPLAINED))
    assert known(path)[NEEDED_40.name].least == EXPLAINED
    keep(path, NEEDED_40)
    assert json.loads(path.read_text().splitlines()[-1])["tries"][0]["room"] == "10 ms"


def test_the_end_takes_whole_groups_along(tmp_path: Path) -> None:
    programs, ended, mark = Programs(), threading.Event(), tmp_path / "pids"

    def run() -> None:
        try:
            programs.run(["sh", "-c", f"sleep 1000 & echo $$ $! >{mark}; wait"])
        except Ended:
            ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: mark.exists() and len(mark.read_text().split()) == 2)
    programs.end()
    thread.join(30)
    assert ended.is_set()
    until(lambda: not any(lives(pid) for pid in mark.read_text().split()))
    with pytest.raises(Ended):
        programs.run(["true"])


SLEEPER = """
import sys
from e2e import validate

class Sleeping(validate.Trial):
    def _result(self, arguments):
        self._programs.run(["sh", "-c", f"echo $$ >{sys.argv[2]}.new; exec sleep 1000"])

validate.Trial = Sleeping
sys.exit(validate.main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_case_that_runs(number: signal.Signals, tmp_path: Path) -> None:
    """Also one that a shell has had ignored, as it does for what it starts with `&`."""
    results = tmp_path / "r"
    process = subprocess.Popen(
        ["env", "--ignore-signal=INT", sys.executable, "-c", SLEEPER,
         "--results", str(results), "--report", str(tmp_path / "m")],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    pid = tmp_path / "r.new"
    try:
        until(lambda: process.poll() is not None or (pid.exists() and pid.read_text() != ""))
    finally:
        process.send_signal(number)
        _, said = process.communicate(timeout=90)
    assert process.returncode == 128 + number, said
    assert said == ""
    assert not lives(pid.read_text().strip())
    assert not results.exists()


def until(condition, seconds: float = 90.0) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lives(pid: str) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
