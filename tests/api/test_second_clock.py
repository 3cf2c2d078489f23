"""What the API and metrics say of a second clock, as if an engine had told of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from aes67.control.snapshot import sink_view
from aes67.session.describe import Clock
from aes67.session.model import Sink
from sim.http_node import HttpNode, http_node
from sim.session_samples import sdp_of

OURS, THEIRS = "00-1D-C1-FF-FE-00-00-01", "00-1D-C1-FF-FE-00-00-02"
MEDIA = {"state": "locked", "reason": "", "gmid": OURS}
STAGE: dict[str, Any] = {
    "name": "stage", "state": "locked", "reason": "", "interface": "eth1", "gmid": THEIRS,
    "domain": 0, "ahead_of_media_ns": 1_500, "ahead_of_media_ppm": 0.25, "steps": 2,
}  # fmt: skip


def told(node: HttpNode, monkeypatch: pytest.MonkeyPatch, *, clocks: str = "media,stage") -> None:
    rows = {"interface_name": "lo,eth1", "ptp_clocks": clocks}
    config = node.control.node.config.model_copy(update=rows)
    monkeypatch.setattr(type(node.control.node), "config", config)
    node.control.told.clock(MEDIA, time.monotonic_ns())
    node.control.told.second.told(STAGE)
    monkeypatch.setattr(type(node.control.link), "connected", True)


async def test_clock_history_changes_and_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with http_node(tmp_path) as node:
        told(node, monkeypatch)
        clock = (await node.client.get("/api/v1/clock")).json()
        assert (clock["name"], clock["gmid"]) == ("media", OURS)
        assert clock["second"]["gmid"] == THEIRS
        assert clock["second"]["ahead_of_media_ns"] == 1_500
        for path in ("history?span=1min&clock=", "changes?clock="):
            for name, code in (("stage", 200), ("media", 200), ("", 200), ("nobody", 400)):
                answer = await node.client.get(f"/api/v1/clock/{path}{name}")
                assert answer.status_code == code, (path, name, answer.text)
        assert "there is media, stage" in answer.json()["rule"]
        metrics = (await node.client.get("/metrics")).text
        assert 'aes67_second_clock_ahead_seconds{clock="stage"} 1.5e-06' in metrics
        assert 'aes67_second_clock_steps_total{clock="stage"} 2.0' in metrics
        assert "aes67_second_clock_path_delay_seconds{" not in metrics, "not known"


async def test_one_clock_has_no_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the engine that had one is another by now and says nothing of it."""
    async with http_node(tmp_path) as node:
        told(node, monkeypatch, clocks="media")
        assert (await node.client.get("/api/v1/clock")).json()["second"] is None
        assert "second_clock" not in (await node.client.get("/metrics")).text


async def test_the_note_is_of_another_grandmaster_only(tmp_path: Path) -> None:
    async with http_node(tmp_path) as node:
        control = node.control
        sdp = sdp_of(clock=f"a=ts-refclk:ptp=IEEE1588-2008:{THEIRS}:0\n")
        await control.node.put_sink(Sink(id=0, name="S", sdp=sdp, ignore_refclk_gmid=True))
        control._second_clock_told(STAGE)
        control.node.clock = Clock("locked", OURS)
        assert "runs on the clock stage" in sink_view(control.node, 0, None, None, 0)["note"]
        control.node.clock = Clock("locked", THEIRS)
        assert "stage" not in sink_view(control.node, 0, None, None, 0)["note"]
        control._second_clock_told(None)
        assert control.node.other_clock is None
