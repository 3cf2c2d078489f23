"""Control with the engine's real sockets around a stand-in: plans, refusals, restarts, counters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from aes67.engine.cpu_latency import CpuLatency
from aes67.shm.layout import SINK_COUNTERS
from aes67.shm.region import telemetry_views
from sim.engine_sockets import House, build, tear_down
from sim.http_node import SINK, SOURCE, HttpNode, http_node
from sim.waiting import until as until_within

COMPILING_SECONDS = 60.0
"""The clock beside the stand-in is a real one: the first plan may have to compile its kernels."""


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, also where kernels have to be compiled first."""
    await until_within(condition, COMPILING_SECONDS)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = await build(str(tmp_path))
    yield made
    await tear_down(made)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[HttpNode]:
    async with http_node(tmp_path) as made:
        yield made


async def make_streams(node: HttpNode) -> None:
    assert (await node.client.put("/api/source/0", json=SOURCE)).status_code == 200
    sdp = (await node.client.get("/api/source/sdp/0")).text
    answer = await node.client.put("/api/sink/0", json=SINK | {"sdp": sdp})
    assert answer.status_code == 200, answer.text


async def test_streams_made_before_the_engine_reach_it_when_it_comes(
    tmp_path: Path, node: HttpNode
) -> None:
    await make_streams(node)
    house = await build(str(tmp_path))
    await until(lambda: bool(house.engine.applied))
    plan, tables = house.engine.applied[-1]
    assert plan.sockets[0].port == 5004
    assert tables == node.control.node.plan.tables
    await until(lambda: node.control.node.clock.status == "locked")
    answer = await node.client.get("/api/ptp/status")
    assert answer.json() == {"status": "locked", "gmid": "00-00-00-00-00-00-00-00", "jitter": 0}
    await tear_down(house)
    await until(lambda: node.control.node.clock.status == "unlocked")
    assert (await node.client.get("/api/v1/ptp")).json()["reason"] == "the engine is not running"


async def test_a_restarted_engine_gets_the_whole_state(tmp_path: Path, node: HttpNode) -> None:
    first = await build(str(tmp_path), generation=1)
    await until(lambda: bool(first.engine.applied))
    await make_streams(node)
    await tear_down(first)
    await until(lambda: not node.control.link.connected)
    answer = await node.client.put("/api/source/1", json=SOURCE | {"name": "Later"})
    assert answer.status_code == 200
    second = await build(str(tmp_path), generation=2)
    try:
        await until(lambda: bool(second.engine.applied))
        assert second.engine.applied[-1][1] == node.control.node.plan.tables
        status = (await node.client.get("/api/v1/status")).json()
        assert status["engine"]["generation"] == 2
        assert "no real-time priority" in status["engine"]["warnings"]
    finally:
        await tear_down(second)


async def test_what_the_engine_refuses_changes_nothing(house: House, node: HttpNode) -> None:
    await until(lambda: bool(house.engine.applied))
    await make_streams(node)
    house.engine.refuse_rate = 96000
    answer = await node.client.post("/api/config", json={"sample_rate": 96000})
    assert answer.status_code == 400
    assert "not by this stand-in" in answer.text
    assert (await node.client.get("/api/config")).json()["sample_rate"] == 48000
    assert "sample_rate" not in node.config_file, "the file is as it was"
    assert "L24/48000" in (await node.client.get("/api/source/sdp/0")).text


async def test_processors_that_may_not_be_kept_awake_are_a_warning(
    house: House, node: HttpNode, tmp_path: Path
) -> None:
    house.link._cpu_latency = CpuLatency(tmp_path / "none")
    await until(lambda: bool(house.engine.applied))
    url = "/api/v1/config"

    async def warnings() -> list[str]:
        status = (await node.client.get("/api/v1/status")).json()
        return [each for each in status["engine"]["warnings"] if "cpu_latency_us" in each]

    answer = await node.client.patch(url, json={"cpu_latency_us": 0})
    assert answer.json()["cpu_latency_us"] == 0, "taken all the same"
    (warning,) = await warnings()
    assert "`aes67 service install`" in warning
    assert (await node.client.patch(url, json={"cpu_latency_us": None})).status_code == 200
    assert await warnings() == []
    refused = await node.client.patch(url, json={"cpu_latency_us": 10_001})
    assert refused.status_code == 400
    assert "cpu_latency_us" in refused.text
    assert "0 to 10000 us" in refused.text
    assert "cpu_latency_us" not in (await node.client.get("/api/config")).json()


async def test_flags_are_latched_until_read(house: House, node: HttpNode) -> None:
    await until(lambda: bool(house.engine.applied))
    await make_streams(node)
    row = telemetry_views(house.engine.telemetry)["sinks"][0]
    assert row.dtype == SINK_COUNTERS.dtype
    row["identity"] = 5
    row["packets"], row["wrong_ssrc"] = 10, 1
    leg = telemetry_views(house.engine.telemetry)["legs"][0]
    leg["identity"], leg["expected"], leg["packets"], leg["margin_min_frames"] = 5, 12, 10, 96

    async def status() -> tuple[dict[str, bool], int]:
        answer = (await node.client.get("/api/sink/status/0")).json()
        return answer["sink_flags"], answer["sink_min_time"]

    flags, least = await status()
    assert (flags["rtp_ssrc_error"], flags["receiving_rtp_packet"], least) == (True, True, 2)
    view = (await node.client.get("/api/v1/sinks/0")).json()
    assert view["counters"]["wrong_ssrc"] == 1
    assert view["counters"]["margin_min_frames"] == 96
    assert [(each["interface"], each["lost"]) for each in view["legs"]] == [("lo", 2)]
    flags, _ = await status()
    assert (flags["rtp_ssrc_error"], flags["receiving_rtp_packet"]) == (False, False)
    row["wrong_ssrc"] += 1
    await node.client.get("/api/v1/status")
    assert (await status())[0]["rtp_ssrc_error"], "our own views take nothing from the contract's"


async def test_a_rate_an_application_wants(tmp_path: Path, house: House) -> None:
    async with http_node(tmp_path, rate_follows_app=True) as node:
        await until(lambda: bool(house.engine.applied))
        await make_streams(node)
        assert house.link.request_rate(96000)
        await until(lambda: house.engine.applied[-1][0].rate == 96000)
        await until(lambda: node.control.node.state.rate == 96000)
        assert "L24/96000/2" in (await node.client.get("/api/source/sdp/0")).text
        assert (await node.client.get("/api/config")).json()["sample_rate"] == 48000


async def test_a_rate_is_refused_where_it_is_fixed(house: House, node: HttpNode) -> None:
    await until(lambda: bool(house.engine.applied))
    refused: list[str] = []
    house.alsa.rate_refused = refused.append  # type: ignore[method-assign]
    assert house.link.request_rate(96000)
    await until(lambda: bool(refused))
    assert refused == ["rate_follows_app is off"]
    assert node.control.node.state.rate == 48000


async def test_volumes_survive_everything(tmp_path: Path) -> None:
    async with http_node(tmp_path) as node:
        house = await build(str(tmp_path))
        await until(lambda: bool(house.engine.applied))
        changed = house.alsa.controls.changed({"playback_db": -20, "playback_on": False})
        house.alsa.set_controls(changed)
        house.link.controls_changed()
        await until(
            lambda: "controls" in (node.status_file if (tmp_path / "status.json").exists() else {})
        )
        await tear_down(house)
    async with http_node(tmp_path):
        again = await build(str(tmp_path))
        await until(lambda: again.alsa.controls.to_json()["playback_db"] == -20)
        assert again.alsa.controls.to_json()["playback_on"] is False
        await tear_down(again)


async def test_the_script_hears_of_every_change(tmp_path: Path) -> None:
    out = tmp_path / "states"
    script = tmp_path / "s.sh"
    script.write_text(f"#!/bin/sh\necho $1 >> {out}\n")
    script.chmod(0o755)
    async with http_node(tmp_path, ptp_status_script=str(script)):
        house = await build(str(tmp_path))
        await until(lambda: out.exists() and "locked" in out.read_text().split())
        await tear_down(house)
        await until(lambda: out.read_text().split()[-1] == "unlocked")


async def test_a_new_control_takes_over_without_a_change(tmp_path: Path, house: House) -> None:
    async with http_node(tmp_path) as node:
        await until(lambda: bool(house.engine.applied))
        await make_streams(node)
    tables = house.engine.applied[-1][1]
    async with http_node(tmp_path):
        count = len(house.engine.applied)
        await until(lambda: len(house.engine.applied) > count - 1)
        await asyncio.sleep(0)
    assert house.engine.applied[-1][1] == tables
