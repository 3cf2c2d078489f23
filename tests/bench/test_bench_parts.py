"""The benchmarks' arithmetic, plans, stand-ins and C programs; what they measure is not a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aes67.selftest import child

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.clients import LEAD_FRAMES, Client
from bench.media import STREAMS, c_loop
from bench.network import inside, link
from bench.page import page
from bench.programs import program
from bench.rounds import alternate, median, ratios, spread, verdict
from bench.run import BENCHMARKS, main
from bench.streams import planned

from aes67.shm.layout import PAGE_BYTES, RUN_RUNNING, STREAM
from aes67.shm.region import create
from bench import machine
from e2e.machine import without_stall


def test_rounds_run_by_turns_and_change_who_begins() -> None:
    order: list[str] = []

    def side(name: str, value: float) -> dict[str, float]:
        order.append(name)
        return {"x": value}

    ours, theirs = alternate(lambda: side("a", 3.0), lambda: side("b", 2.0), 3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert ratios(ours, theirs, "x") == [1.5, 1.5, 1.5]


def test_medians_and_verdicts() -> None:
    assert median([{"x": 1.0}, {"x": 9.0}, {"x": 2.0}], "x") == 2.0
    assert spread([1.0, 3.0, 2.0]) == {"median": 2.0, "least": 1.0, "most": 3.0}
    assert verdict(1.2, 1.25, 1.15) == {
        "value": 1.2, "limit": 1.25, "met": True, "goal": 1.15, "goal_met": False,
    }  # fmt: skip


def test_the_plan_of_the_media_benchmark_is_one_that_the_engine_takes() -> None:
    plan, tables = planned("va", "10.77.0.1", 64, 64, 8, 48)
    assert plan.tick_frames == 48
    assert len(plan.memberships) == 64
    assert plan.memberships[0].group == "239.77.0.1"
    assert len(tables) == 2 * 64 * 512


def test_a_stand_in_client_runs_and_writes_ahead() -> None:
    region = create("bench-test", PAGE_BYTES + 256 * 2 * 4, read_only_for_others=False)
    now = [1000]
    client = Client(region, 256, 2, lambda: now[0], 7)
    header = region.view(STREAM)[0]
    assert (header["state"], header["epoch"], header["anchor"]) == (RUN_RUNNING, 7, 1000)
    assert header["run_seq"] % 2 == 0
    assert header["appl_pos"] == LEAD_FRAMES
    now[0] += 48
    client.move()
    assert header["appl_pos"] == LEAD_FRAMES + 48
    assert len(set(region.samples((256, 2)).ravel().tolist())) == 512
    region.close()


def test_figures_come_with_facts_and_without_names_of_the_machine() -> None:
    facts = machine.facts() | machine.Disturbance().report()
    assert {"date", "cpu", "cores", "kernel", "python", "load_before", "stolen_ms"} <= set(facts)
    assert "hostname" not in facts


def test_every_benchmark_is_named_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in BENCHMARKS)
    with pytest.raises(SystemExit):
        main(["no-such-benchmark"])


@pytest.mark.root
def test_the_judge_of_gaps_hears_the_c_loop() -> None:
    def attempt() -> dict[str, int]:
        with link() as ends:
            sender = subprocess.Popen(
                c_loop(ends.a, "send", ends.interface_a, 30), stdout=subprocess.DEVNULL
            )
            try:
                gaps = inside(ends.b, program("gaps"), ends.interface_b, "8", "1")
                done = subprocess.run(gaps, check=True, capture_output=True, text=True, timeout=30)
            finally:
                child.kill(sender)
        found: dict[str, int] = json.loads(done.stdout)
        return found

    def is_right(found: dict[str, int]) -> bool:
        """The first second may be cut short."""
        steady = 900_000 < found["p50_ns"] < 1_100_000
        return found["packets"] >= STREAMS and found["lost"] == 0 and steady

    found = without_stall(attempt, is_right)
    assert is_right(found), found


def test_a_report_shows_every_verdict_and_says_what_is_missed() -> None:
    quiet = {"load_before": 0.1, "load_after": 0.2, "stolen_ms": 3}
    lines = [
        {"benchmark": "a", "ratio": spread([1.2, 1.1, 1.3]) | verdict(1.2, 1.25, 1.15)},
        {"benchmark": "b", "cases": [{"buffer_frames": 96, "median": verdict(7.0, 6.0)}]},
    ]
    text = page([line | {"machine": machine.facts(), "disturbance": quiet} for line in lines], "x")
    assert "| a, ratio | 1.2 (1.1 to 1.3) | 1.25 | 1.15 | limit met, goal MISSED |" in text
    assert "| b, cases, 96 frames, median | 7.0 | 6.0 |  | MISSED |" in text
    assert "| a | 0.1 | 0.2 | 3 |" in text
