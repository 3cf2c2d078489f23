"""The clock's history: against a naive twin, gaps, bounded memory, and over HTTP."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.clock.timebase import NS
from aes67.ptp.history import CHANGES, HOLD_NS, SERIES, SPANS, STATES, History
from sim.http_node import http_node

Sample = tuple[int, str, int | None]


def snapshot(state: str, offset: int | None) -> dict[str, Any]:
    return {
        "state": state,
        "offset_ns": offset,
        "residual_ns": None if offset is None else 3 * offset,
        "uncertainty_ns": 7,
        "rate_ppm": 0.0 if offset is None else 12.5,
        "path_delay_ns": None,
        "jitter_ns": {"sync": 1, "delay": None},
    }


def naive(samples: list[Sample], bucket_ns: int, buckets: int, now_ns: int) -> list[Any]:
    """For each bucket (worst state, least, mean, greatest offset): all samples kept and sorted."""
    newest = now_ns // bucket_ns
    result = []
    for number in range(newest - buckets + 1, newest + 1):
        states, values = [], []
        for i, (at_ns, state, offset) in enumerate(samples):
            own = at_ns // bucket_ns
            last = own
            if i + 1 < len(samples) and samples[i + 1][0] - at_ns <= HOLD_NS:
                last = max(own, samples[i + 1][0] // bucket_ns - 1)
            if own <= number <= last:
                states.append(state)
                if offset is not None:
                    values.append(offset)
        worst = min(states, key=STATES.index, default=None)
        mean = sum(values) / len(values) if values else None
        result.append((worst, min(values, default=None), mean, max(values, default=None)))
    return result


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40 * NS),
            st.sampled_from(STATES),
            st.none() | st.integers(-(10**6), 10**6),
        ),
        max_size=60,
    ),
    st.integers(0, 100 * NS),
)
def test_buckets_are_those_of_a_naive_twin(steps: list[Sample], later_ns: int) -> None:
    history, samples, at_ns = History(), [], 0
    for step_ns, state, offset in steps:
        at_ns += step_ns
        samples.append((at_ns, state, offset))
        history.add(snapshot(state, offset), at_ns)
    now_ns = at_ns + later_ns
    for name, span in SPANS.items():
        read = history.read(name, now_ns)
        offset = read["series"]["offset_ns"]
        rows = list(
            zip(read["state"], offset["least"], offset["mean"], offset["greatest"], strict=True)
        )
        expected = naive(samples, span.bucket_ns, span.buckets, now_ns)
        assert len(rows) == len(read["seconds_ago"]) == span.buckets
        for (state, least, mean, most), (state_, least_, mean_, most_) in zip(
            rows, expected, strict=True
        ):
            assert (state, least, most) == (state_, least_, most_)
            assert mean == (None if mean_ is None else pytest.approx(mean_, abs=1e-6))


def test_spans_cover_what_their_names_say() -> None:
    lengths = {"1min": 60, "1h": 3_600, "24h": 86_400}
    for name, span in SPANS.items():
        assert span.bucket_ns * span.buckets == lengths[name] * NS
        ages = History().read(name, 10**15)["seconds_ago"]
        assert ages == sorted(ages, reverse=True)
        assert ages[0] == pytest.approx(lengths[name], abs=1.5 * span.bucket_ns / NS)
        assert 0 <= ages[-1] <= span.bucket_ns / NS


def test_no_gap_between_snapshots_that_are_a_little_late() -> None:
    history = History()
    for i in range(120):
        history.add(snapshot("locked", i), 10 * NS + round(i * 1.07 * NS))
    read = history.read("1min", 10 * NS + round(119 * 1.07 * NS))
    assert None not in read["series"]["offset_ns"]["mean"]
    assert set(read["state"]) == {"locked"}


def test_a_time_without_an_engine_is_a_gap() -> None:
    history = History()
    for second in (*range(30), *range(50, 60)):
        history.add(snapshot("locked", 1), second * NS)
    state = history.read("1min", 59 * NS + NS // 2)["state"]
    assert state == ["locked"] * 30 + [None] * 20 + ["locked"] * 10


def test_what_is_not_known_is_left_out() -> None:
    history = History()
    history.add({"state": "unlocked", "reason": "not configured"}, NS)
    history.add(snapshot("unlocked", None), 2 * NS)
    read = history.read("1min", 2 * NS)
    assert read["series"]["rate_ppm"]["mean"][-2:] == [None, None]
    assert read["series"]["path_delay_ns"]["mean"][-2:] == [None, None]
    assert read["series"]["jitter_sync_ns"]["mean"][-2:] == [None, 1]
    assert read["state"][-2:] == ["unlocked", "unlocked"]


def test_two_days_take_no_more_memory_than_a_minute() -> None:
    history = History()
    history.add(snapshot("locked", 1), 0)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for second in range(1, 2 * 86_400, 7):
        history.add(snapshot("locked", second), second * NS)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 10_000
    assert json.dumps(history.read("24h", 2 * 86_400 * NS))


def test_changes_are_kept_with_the_reason_they_had_and_no_more_of_them_than_64() -> None:
    history = History()
    told = [
        ("unlocked", "", "no Announce"), ("unlocked", "", "no Announce for 1 s"),
        ("locked", "A", "3 sigma 1 us"), ("locked", "A", "3 sigma 2 us"),
        ("locked", "B", "3 sigma 3 us"),
    ]  # fmt: skip
    for second, (state, gmid, reason) in enumerate(told):
        history.add({"state": state, "gmid": gmid, "reason": reason}, second * NS)
    history.engine_gone("the engine is not running", 9 * NS)
    assert [tuple(each.values()) for each in history.changes(10 * NS)] == [
        (1.0, "unlocked", "", "the engine is not running"),
        (6.0, "locked", "B", "3 sigma 3 us"),
        (8.0, "locked", "A", "3 sigma 1 us"),
        (10.0, "unlocked", "", "no Announce"),
    ]
    for second in range(10, 300):
        history.add({"state": STATES[second % 4], "reason": "x"}, second * NS)
    assert len(history.changes(300 * NS)) == CHANGES


async def test_it_is_to_be_had_over_http(tmp_path: Path) -> None:
    async with http_node(tmp_path) as node:
        answer = await node.client.get("/api/v1/clock")
        assert answer.json() == {"state": "unlocked", "reason": "the engine is not running"}
        await node.control._clock_changed(snapshot("locked", 42))
        answer = await node.client.get("/api/v1/clock/history", params={"span": "1min"})
        assert answer.status_code == 200
        read = answer.json()
        assert read["span"] == "1min"
        assert set(read["series"]) == set(SERIES)
        assert 42 in read["series"]["offset_ns"]["greatest"]
        assert "locked" in read["state"]
        for span in SPANS:
            got = (await node.client.get(f"/api/v1/clock/history?span={span}")).json()
            assert len(got["state"]) == SPANS[span].buckets
        await node.control._clock_changed(None)
        changes = (await node.client.get("/api/v1/clock/changes")).json()
        assert [each["state"] for each in changes] == ["unlocked", "locked"]
        assert changes[0]["reason"] == "the engine is not running"
        answer = await node.client.get("/api/v1/clock/history?span=1week")
        assert answer.status_code == 400
        assert answer.json()["field"] == "span"
