"""`/metrics` for Prometheus: what the engine counts, per stream and leg, and the clock.

Counters of the engine become metrics by themselves: a field of `shm.layout` that is not called a
value there is a counter. Labels are only `id` (of a source or sink) and `leg`. Units are seconds,
bytes and ratios. prometheus_client is imported at the first scrape.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from aes67.control.control import Control
from aes67.shm.layout import (
    ENGINE_COUNTERS,
    LEG_COUNTERS,
    SINK_COUNTERS,
    SOURCE_COUNTERS,
    Field,
    Struct,
)
from aes67_api.deps import ControlDep
from aes67_api.gaps import Gaps

if TYPE_CHECKING:
    from prometheus_client.core import Metric

router = APIRouter(tags=["metrics"])

NS = 1e-9
FULL_SCALE = float(0x7FFFFF)
UNKNOWN = 2**62

PACKETS = {
    "lost", "late", "early", "reordered", "malformed", "wrong_ssrc", "wrong_payload_type",
    "wrong_source", "wrong_length", "received", "sent", "unmatched", "expected",
}  # fmt: skip
RENAMED = {"bytes": "payload_bytes", "saturated": "saturated_samples"}
DUPLICATE = {"sink": "duplicate_frames", "leg": "duplicate_packets"}
NO_COUNTERS = {
    "magic", "generation", "identity", "ssrc", "peak", "late_max_ns", "last_packet", "lost", "gaps",
}  # fmt: skip
"""Fields that are no counters, although `shm.layout` does not call them values: identities,
meters, what may go back."""

Row = tuple[tuple[str, ...], float]
"""Values of the labels, and the value."""
Rows = list[tuple[tuple[str, ...], Mapping[str, Any]]]
"""Values of the labels, and counters by name."""


@dataclass(frozen=True)
class Family:
    """One metric: its name without suffix, type (`counter`, `gauge`), help, labels and rows."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]
    rows: tuple[Row, ...]


@router.get("/metrics", response_class=Response, include_in_schema=False)
async def metrics(request: Request, control: ControlDep) -> Response:
    """All metrics, as text or as OpenMetrics, whichever is asked for."""
    snapshot = control.link.snapshot() or {}
    families = [*_streams(control, snapshot), *_node(control, snapshot)]
    gaps = request.app.state.gaps.read(_legs(control, snapshot), control.node.state.rate)
    accepted = request.headers.get("accept", "")
    body, kind = await asyncio.to_thread(_rendered, families, gaps, accepted)
    return Response(body, media_type=kind)


def _rendered(families: list[Family], gaps: list[Gaps], accepted: str) -> tuple[bytes, str]:
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.registry import Collector

    class Ours(Collector):
        def collect(self) -> Iterable[Metric]:
            for family in families:
                kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
                made = kind(family.name, family.help, labels=family.labels)
                for labels, value in family.rows:
                    made.add_metric(labels, value)
                yield made
            histogram = HistogramMetricFamily(
                "aes67_sink_leg_packet_gap_seconds",
                "time between two packets",
                labels=("id", "leg"),
            )
            for each in gaps:
                histogram.add_metric(each.labels, each.buckets(), sum_value=each.seconds)
            yield histogram

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Ours())
    ProcessCollector(registry=registry)
    encode, kind = choose_encoder(accepted)
    return encode(registry), kind


def _name(prefix: str, field: Field) -> tuple[str, float]:
    """A counter's metric without `_total`, and its scale."""
    name = field.name
    if name == "duplicate":
        name = DUPLICATE[prefix.rpartition("_")[2]]
    if name in PACKETS:
        name += "_packets"
    name = RENAMED.get(name, name)
    if name.endswith("_ns"):
        return f"aes67_{prefix}_{name[:-3]}_seconds", NS
    return f"aes67_{prefix}_{name}", 1.0


def _counters(
    prefix: str,
    struct: Struct,
    labels: tuple[str, ...],
    rows: Rows,
) -> Iterator[Family]:
    for field in struct.fields:
        is_value = "(a value" in field.meaning or "(meter" in field.meaning
        if field.name in NO_COUNTERS or is_value:
            continue
        name, scale = _name(prefix, field)
        found = tuple((key, row[field.name] * scale) for key, row in rows if field.name in row)
        text = field.meaning or field.name.replace("_", " ")
        yield Family(name, "counter", text, labels, found)


def _streams(control: Control, snapshot: Mapping[str, Any]) -> Iterator[Family]:
    """What the tick counts."""
    engine: Rows = [((), snapshot["engine"])] if "engine" in snapshot else []
    sources = _present(snapshot.get("sources", {}), control.node.sources)
    sinks = _present(snapshot.get("sinks", {}), control.node.sinks)
    legs, rate = _legs(control, snapshot), control.node.state.rate
    yield from _counters("engine", ENGINE_COUNTERS, (), engine)
    yield from _counters("source", SOURCE_COUNTERS, ("id",), sources)
    yield from _counters("sink", SINK_COUNTERS, ("id",), sinks)
    yield from _counters("sink_leg", LEG_COUNTERS, ("id", "leg"), legs)
    for prefix, rows in (("source", sources), ("sink", sinks)):
        yield _gauge(f"{prefix}_peak_ratio", "level of the loudest channel, 1 is full scale",
                     ("id",), "peak", 1 / FULL_SCALE, rows)  # fmt: skip
    yield _gauge("sink_lost_packets", "by sequence number; a late arrival takes it back",
                 ("id",), "lost", 1.0, sinks)  # fmt: skip
    yield _gauge("sink_muted", "1: the newest frame due was silence", ("id",), "muted", 1.0, sinks)
    frame, both = 1 / rate, ("id", "leg")
    for name, text, field, scale in (
        ("lost_packets", "packets that should have come and did not", "lost", 1.0),
        ("jitter_seconds", "interarrival jitter (RFC 3550)", "jitter_q4", frame / 16),
        ("margin_seconds", "from arrival to the time due, newest", "margin_frames", frame),
        ("margin_min_seconds", "the same, least so far", "margin_min_frames", frame),
        ("gap_max_seconds", "longest time between two packets", "gap_max_frames", frame),
    ):
        yield _gauge(f"sink_leg_{name}", text, both, field, scale, legs)


def _node(control: Control, snapshot: Mapping[str, Any]) -> Iterator[Family]:
    """The clock, the processes, the network, how many of what."""
    clock, hello = control.views.clock(), control.link.hello
    jitter, network = clock.get("jitter_ns") or {}, control.views.network()
    page = snapshot.get("clock", {})
    values: tuple[tuple[str, str, Any, float], ...] = (
        ("engine_up", "1: the engine is running", int(hello is not None), 1),
        ("engine_realtime", "1: with real-time priority", int(bool(hello and hello.realtime)), 1),
        ("engine_heartbeat_age_seconds", "since the latest tick", page.get("heartbeat_age_ns"), NS),
        ("engine_late_max_seconds", "greatest lateness of a tick", page.get("late_max_ns"), NS),
        ("clock_locked", "1: locked to its reference", int(clock["state"] == "locked"), 1),
        ("clock_holdover", "1: the master is silent", int(clock["state"] == "holdover"), 1),
        ("clock_offset_seconds", "media clock less estimated time", clock.get("offset_ns"), NS),
        ("clock_uncertainty_seconds", "3 sigma", clock.get("uncertainty_ns"), NS),
        ("clock_path_delay_seconds", "one way to the master", clock.get("path_delay_ns"), NS),
        ("clock_rate_ratio", "master against our oscillator, less 1", clock.get("rate_ppm"), 1e-6),
        ("clock_sync_jitter_seconds", "of Sync, standard deviation", jitter.get("sync"), NS),
        ("clock_delay_jitter_seconds", "of Delay_Req, the same", jitter.get("delay"), NS),
        ("sources", "configured", len(control.node.sources), 1),
        ("sinks", "configured", len(control.node.sinks), 1),
        ("pcms", "applications that have the device open", len(control.told.pcms), 1),
        ("warnings", "things to know, see /api/v1/status", len(control.views.warnings()), 1),
    )
    counted: tuple[tuple[str, str, Any], ...] = (
        ("clock_steps", "steps of the master's time", clock.get("steps")),
        ("clock_handovers", "times another master was followed", clock.get("handovers")),
        ("clock_outliers", "measurements given little weight", clock.get("outliers")),
        ("udp_checksum_errors", "packets the kernel dropped", network["udp_checksum_errors"]),
        ("udp_buffer_errors", "packets a full socket dropped", network["udp_buffer_errors"]),
    )
    for name, text, value, scale in values:
        yield Family(f"aes67_{name}", "gauge", text, (), _one(value, scale))
    for name, text, value in counted:
        yield Family(f"aes67_{name}", "counter", text, (), _one(value, 1))
    if second := clock.get("second"):
        yield from _second_clock(second)
    receiving = tuple(
        ((str(view["id"]),), float(view["flags"]["receiving_rtp_packet"]))
        for view in control.views.sinks()
    )
    yield Family("aes67_sink_receiving", "gauge", "1: packets are coming", ("id",), receiving)


def _second_clock(second: Mapping[str, Any]) -> Iterator[Family]:
    """The clock of a network that keeps a time of its own."""
    key = (str(second["name"]),)
    values: tuple[tuple[str, str, str, Any, float], ...] = (
        ("gauge", "locked", "1: locked to its master", int(second["state"] == "locked"), 1),
        ("gauge", "holdover", "1: its master is silent", int(second["state"] == "holdover"), 1),
        ("gauge", "ahead_seconds", "its time less the media clock's",
         second.get("ahead_of_media_ns"), NS),
        ("gauge", "ahead_ratio", "its rate against the media clock's, less 1",
         second.get("ahead_of_media_ppm"), 1e-6),
        ("gauge", "uncertainty_seconds", "3 sigma", second.get("uncertainty_ns"), NS),
        ("gauge", "path_delay_seconds", "one way to its master", second.get("path_delay_ns"), NS),
        ("counter", "steps", "steps of its master's time", second.get("steps") or 0, 1),
    )  # fmt: skip
    for kind, name, text, value, scale in values:
        rows: tuple[Row, ...] = () if value is None else ((key, value * scale),)
        yield Family(f"aes67_second_clock_{name}", kind, text, ("clock",), rows)


def _one(value: Any, scale: float) -> tuple[Row, ...]:
    return () if value is None else (((), value * scale),)


def _gauge(
    name: str,
    text: str,
    labels: tuple[str, ...],
    field: str,
    scale: float,
    rows: Rows,
) -> Family:
    found = tuple(
        (key, row[field] * scale) for key, row in rows if abs(row.get(field, UNKNOWN)) < UNKNOWN
    )
    return Family(f"aes67_{name}", "gauge", text, labels, found)


def _present(counters: Mapping[int, Mapping[str, Any]], wanted: Iterable[int]) -> Rows:
    return [((str(number),), counters[number]) for number in wanted if number in counters]


def _legs(control: Control, snapshot: Mapping[str, Any]) -> Rows:
    """Legs of sinks as far as their descriptions have them."""
    found, streams = snapshot.get("legs", {}), control.node.plan.streams
    return [
        ((str(sink), str(number)), leg)
        for sink in control.node.sinks
        if sink in streams
        for number, leg in enumerate(found.get(sink, ())[: len(streams[sink].legs)])
    ]
