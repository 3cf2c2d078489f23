"""/metrics: read by Prometheus' own parsers, few labels, and names as its conventions want them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

from aes67.shm.layout import LEG_COUNTERS, SINK_COUNTERS, SOURCE_COUNTERS, Struct
from aes67_api import metrics
from sim.http_node import SINK, SOURCE, HttpNode

UNITS_MISSPELT = re.compile(r"_(ns|ms|us|milliseconds|kb|db|ppm|percent)(_|$)")


def row(struct: Struct, start: int) -> dict[str, object]:
    """Counters that are all different."""
    return {
        field.name: [start + n for n in range(field.count)] if field.count > 1 else start + place
        for place, field in enumerate(struct.fields)
    }


@pytest.fixture
async def busy(node: HttpNode, monkeypatch: pytest.MonkeyPatch) -> HttpNode:
    """A node with a source, a sink, and an engine that has counted."""
    await node.client.put("/api/v1/sources/0", json=SOURCE)
    sdp = (await node.client.get("/api/source/sdp/0")).text
    await node.client.put("/api/v1/sinks/5", json=SINK | {"sdp": sdp})
    leg = row(LEG_COUNTERS, 2000) | {"lost": 17}
    snapshot = {
        "clock": {"media_now_ns": 0, "heartbeat_age_ns": 1_500_000, "late_max_ns": 250_000},
        "engine": {"ticks": 10, "busy_ns": 3_000_000_000},
        "sources": {0: row(SOURCE_COUNTERS, 100)},
        "sinks": {5: row(SINK_COUNTERS, 1000), 6: row(SINK_COUNTERS, 1)},
        "legs": {5: [leg, row(LEG_COUNTERS, 3000)], 7: [row(LEG_COUNTERS, 1)]},
        "pcms": {},
    }
    monkeypatch.setattr(node.control.link, "snapshot", lambda: snapshot)
    return node


async def scraped(node: HttpNode, accept: str = "") -> dict[str, Metric]:
    answer = await node.client.get("/metrics", headers={"Accept": accept})
    assert answer.status_code == 200
    parse = openmetrics if "openmetrics" in answer.headers["content-type"] else classic
    families = list(parse(answer.text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    return {family.name: family for family in families}


def value(families: dict[str, Metric], sample: str, **labels: str) -> float:
    found = [
        each.value
        for family in families.values()
        for each in family.samples
        if each.name == sample and each.labels == labels
    ]
    assert len(found) == 1, sample
    return float(found[0])


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=1.0.0"])
async def test_counters_of_the_engine_come_out_with_their_labels(
    busy: HttpNode, accept: str
) -> None:
    found = await scraped(busy, accept)
    offset = {field.name: place for place, field in enumerate(SINK_COUNTERS.fields)}
    assert value(found, "aes67_sink_packets_total", id="5") == 1000 + offset["packets"]
    assert value(found, "aes67_sink_payload_bytes_total", id="5") == 1000 + offset["bytes"]
    assert value(found, "aes67_sink_lost_packets", id="5") == 1000 + offset["lost"]
    assert value(found, "aes67_engine_busy_seconds_total") == 3.0
    assert value(found, "aes67_engine_heartbeat_age_seconds") == 0.0015
    assert value(found, "aes67_engine_up") == 0.0


async def test_legs_have_a_label_and_times_in_seconds(busy: HttpNode) -> None:
    found = await scraped(busy)
    offset = {field.name: place for place, field in enumerate(LEG_COUNTERS.fields)}
    leg = {"id": "5", "leg": "0"}
    assert value(found, "aes67_sink_leg_packets_total", **leg) == 2000 + offset["packets"]
    assert value(found, "aes67_sink_leg_lost_packets", **leg) == 17
    jitter = (2000 + offset["jitter_q4"]) / 16 / 48000
    assert value(found, "aes67_sink_leg_jitter_seconds", **leg) == pytest.approx(jitter)
    count = value(found, "aes67_sink_leg_packet_gap_seconds_bucket", **leg, le="+Inf")
    gaps = next(field for field in LEG_COUNTERS.fields if field.name == "gaps")
    assert count == sum(2000 + n for n in range(gaps.count))
    least = value(found, "aes67_sink_leg_packet_gap_seconds_bucket", **leg, le="0.000125")
    assert least == 2000


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=1.0.0"])
async def test_the_sum_of_a_histogram_grows_by_the_time_between_its_packets(
    busy: HttpNode, accept: str
) -> None:
    name, leg = "aes67_sink_leg_packet_gap_seconds", {"id": "5", "leg": "0"}
    first = await scraped(busy, accept)
    counted = value(first, f"{name}_count", **leg)
    assert value(first, f"{name}_bucket", **leg, le="+Inf") == counted
    row_of_leg = (busy.control.link.snapshot() or {})["legs"][5][0]
    classes, last = list(row_of_leg["gaps"]), row_of_leg["last_frame"]
    limits = [each.labels["le"] for each in first[name].samples if "le" in each.labels][:12]
    upper = [float(limit) for limit in limits[:-1]] + [float(limits[-2]) * 2]
    most = sum(count * limit for count, limit in zip(classes, upper, strict=True))
    assert most / 2 <= value(first, f"{name}_sum", **leg) <= most
    for packets in (3, 0, 40):
        before = value(await scraped(busy, accept), f"{name}_sum", **leg)
        for _ in range(packets):  # a millisecond apart
            row_of_leg["gaps"][3] += 1
            row_of_leg["last_frame"] += 48
        found = await scraped(busy, accept)
        assert value(found, f"{name}_sum", **leg) - before == pytest.approx(packets * 0.001)
    assert row_of_leg["last_frame"] == last + 43 * 48
    row_of_leg |= {"identity": 1, "gaps": [0] * len(classes)}  # counters reset: so is the sum
    assert value(await scraped(busy, accept), f"{name}_sum", **leg) == 0


async def test_streams_that_are_gone_are_not_shown(busy: HttpNode) -> None:
    found = await scraped(busy)
    ids = {each.labels["id"] for each in found["aes67_sink_packets"].samples}
    legs = {each.labels["id"] for each in found["aes67_sink_leg_packets"].samples}
    assert (ids, legs) == ({"5"}, {"5"})


async def test_legs_a_stream_has_not_are_not_shown(busy: HttpNode) -> None:
    found = await scraped(busy)
    assert {each.labels["leg"] for each in found["aes67_sink_leg_packets"].samples} == {"0"}


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=1.0.0"])
async def test_names_and_labels_follow_the_conventions(busy: HttpNode, accept: str) -> None:
    for name, family in (await scraped(busy, accept)).items():
        assert name.startswith(("aes67_", "process_"))
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert not UNITS_MISSPELT.search(name), name
        assert family.documentation, name
        if family.type == "gauge" and name.startswith("aes67_"):
            assert not name.endswith("_total"), name
        for sample in family.samples:
            assert set(sample.labels) <= {"id", "leg", "le"}, sample
            if family.type == "counter":
                assert sample.name.endswith("_total"), sample


async def test_a_node_without_an_engine_has_metrics_too(node: HttpNode) -> None:
    found = await scraped(node)
    assert value(found, "aes67_engine_up") == 0.0
    assert value(found, "aes67_clock_locked") == 0.0
    assert value(found, "aes67_sinks") == 0.0


def test_prometheus_is_not_loaded_before_it_is_asked_for() -> None:
    tree = ast.parse(Path(metrics.__file__ or "").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert "prometheus" not in ast.unparse(node)


async def test_a_head_request_gets_the_type_alone(node: HttpNode) -> None:
    answer = await node.client.head("/metrics")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/plain")
