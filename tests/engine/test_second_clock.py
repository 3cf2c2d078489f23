"""Two networks, each with a ptp4l that insists on its own time: two clocks, two pages, both right.

One ptp4l serves CLOCK_REALTIME, the other lives an hour ahead and 20 ppm fast, by the law of
`bench/ptp/virtual_clock.c`. Nothing they hear makes either of them a slave.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from aes67.clock.lock import State
from aes67.clock.timebase import NS
from aes67.engine.clock_page import ClockPage, MediaRecord
from aes67.engine.plan import ClockSpec, Plan
from aes67.engine.second_clock import Hooks, SecondClock
from aes67.engine.timekeeper import Timekeeper
from aes67.errors import Refused
from aes67.shm.layout import CLOCK, CLOCK_MAGIC, PAGE_BYTES
from aes67.shm.region import attach, create
from sim.netns import namespaces, plug, ptp4l, two_networks
from sim.plans import FREE_CLOCK, plan_message
from sim.timekeeping import reading_of, until

VIRTUAL_CLOCK = Path(__file__).parent.parent.parent / "bench" / "ptp" / "virtual_clock.c"
AHEAD_NS = 3600 * NS
PPM = 20.0
PATIENCE_S = 120.0
RIGHT_NS = 100_000
"""The clocks are an hour apart; how exact each one is, is for other tests."""
GENERATION = 7
SECOND = FREE_CLOCK | {"mode": "ptp-slave", "interface": "net1", "name": "stage"}


pytestmark = pytest.mark.usefixtures("system_clock_untouched")


def spec(interface: str) -> ClockSpec:
    return ClockSpec.from_json(FREE_CLOCK | {"mode": "ptp-slave", "interface": interface})


def ahead_of_realtime(record: MediaRecord) -> tuple[int, int]:
    """Time of a page minus CLOCK_REALTIME, and CLOCK_REALTIME, of this moment."""
    media_ns, real_ns = reading_of(record)
    return media_ns - real_ns, real_ns


@dataclass
class Pair:
    """A media clock and a second one, as the engine has them."""

    media: Timekeeper
    page: ClockPage
    second: SecondClock
    pages: list[int]
    told: list[dict[str, Any] | None]

    def second_page(self) -> MediaRecord:
        """What another process reads on the second page."""
        region = self.second.region
        assert region is not None
        mapped = attach(os.dup(region.fd))
        header = mapped.view(CLOCK)[0]
        record = MediaRecord(*(int(header[each.name]) for each in fields(MediaRecord)))
        mapped.close()
        return record


@asynccontextmanager
async def two_clocks() -> AsyncIterator[Pair]:
    region = create("test-clock", PAGE_BYTES, read_only_for_others=True)
    page = ClockPage(region, GENERATION)
    media = Timekeeper(page.publish_media, lambda snapshot: None)
    pages: list[int] = []
    told: list[dict[str, Any] | None] = []
    hooks = Hooks(page=lambda: pages.append(len(told)), told=told.append)
    second = SecondClock(page.media, GENERATION, hooks)
    try:
        yield Pair(media, page, second, pages, told)
    finally:
        await second.close()
        await media.close()
        region.close()


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shim") / "virtual_clock.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(path), str(VIRTUAL_CLOCK)]
    subprocess.run([*command, "-ldl", "-lm"], check=True)
    return path


@pytest.mark.root
@pytest.mark.peer("ptp4l", "cc")
@pytest.mark.timeout(400)
async def test_each_of_two_insisting_grandmasters_has_a_clock_and_a_page(
    tmp_path: Path, shim: Path
) -> None:
    zero = time.time_ns()
    law = (f"LD_PRELOAD={shim}", f"VCLOCK_ZERO_NS={zero}", f"VCLOCK_PPM={PPM}",
           f"VCLOCK_OFFSET_NS={AHEAD_NS}")  # fmt: skip
    with two_networks() as (above, here, beside):
        ptp4l(above, "net0", tmp_path, master=True, log_announce=-1)
        ptp4l(beside, "net1", tmp_path, master=True, log_announce=-1, environment=law)
        with here.entered():
            async with two_clocks() as pair:
                await _both_are_followed(pair, zero)


async def _both_are_followed(pair: Pair, zero: int) -> None:
    await pair.media.configure(spec("net0"))
    await pair.second.configure(spec("net1"), "stage")

    def both() -> list[dict[str, Any]]:
        return [pair.media.snapshot(), pair.second.snapshot() or {}]

    def locked() -> bool:
        found[:] = both()
        states = [(each["state"], each.get("port_state")) for each in found]
        return states == [("locked", "slave")] * 2

    found: list[dict[str, Any]] = []
    await until(locked, both, PATIENCE_S)
    first, second = found
    assert first["gmid"] != second["gmid"]
    assert second["name"] == "stage"
    assert [len(each["ports"]) for each in (first, second)] == [1, 1]
    assert first["port_identity"] != second["port_identity"]

    errors: list[tuple[float, float, float]] = []

    def right() -> bool:
        """A second long, but for measurements that a standing machine has spoilt."""
        ours, _ = ahead_of_realtime(pair.page.media())
        theirs, real_ns = ahead_of_realtime(pair.second_page())
        truth = AHEAD_NS + PPM * 1e-6 * (real_ns - zero)
        snapshot = pair.second.snapshot() or {}
        shown, ppm = snapshot["ahead_of_media_ns"], snapshot["ahead_of_media_ppm"]
        if shown is None or abs(ppm - PPM) > 10:
            return False
        errors.append((ours, theirs - truth, shown - truth))
        medians = [statistics.median(each) for each in zip(*errors[-50:], strict=True)]
        return len(errors) >= 50 and all(abs(each) < RIGHT_NS for each in medians)

    await until(right, lambda: errors[-3:], PATIENCE_S)

    followed, session = pair.media.snapshot()["gmid"], pair.page.media().session_epoch
    await pair.second.configure(None)
    assert pair.second.snapshot() is None
    assert pair.second.region is None
    assert pair.told[-1] is None
    assert pair.media.snapshot()["gmid"] == followed, "the media clock never noticed"
    assert pair.page.media().session_epoch == session


@pytest.mark.root
@pytest.mark.timeout(300)
async def test_an_interface_that_is_missing_is_a_reason_and_its_clock_begins_with_it() -> None:
    with namespaces(2) as (here, there):
        async with two_clocks() as pair:
            with here.entered():
                await pair.second.configure(spec("net1"), "stage")
                shown = pair.second.snapshot() or {}
                assert shown["state"] == "unlocked"
                assert "net1" in shown["reason"] or "interface" in shown["reason"]
                assert shown["ahead_of_media_ns"] is None
                assert pair.second.region is None
                plug(here, there, "net1")
                await until(lambda: pair.second.region, pair.second.snapshot, PATIENCE_S)
            shown = pair.second.snapshot() or {}
            assert shown["ports"][0]["interface"] == "net1"
            assert len(pair.pages) == 1


async def test_the_second_page_says_what_it_is_and_leaves_the_heartbeat_to_the_first() -> None:
    async with two_clocks() as pair:
        await pair.second.configure(ClockSpec.from_json(FREE_CLOCK), "stage")
        region = pair.second.region
        assert region is not None
        mapped = attach(os.dup(region.fd))
        header = mapped.view(CLOCK)[0]
        assert header["magic"] == CLOCK_MAGIC
        assert header["generation"] == GENERATION
        assert header["mono_ns"] == 0
        assert header["media_seq"] > 0
        assert header["state"] == State.LOCKED
        mapped.close()


def test_a_plan_names_the_second_clock() -> None:
    plan = Plan.from_json(plan_message(second_clock=SECOND))
    assert plan.second_clock is not None
    assert (plan.second_clock.interface, plan.second_clock_name) == ("net1", "stage")
    assert Plan.from_json(plan_message()).second_clock is None
    assert Plan.from_json(plan_message(second_clock=None)).second_clock_name == ""


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"mode": "gm"}, "second_clock.mode"),
        ({"name": ""}, "second_clock.name"),
        ({"name": "x" * 17}, "second_clock.name"),
        ({"name": 3}, "second_clock.name"),
        ({"interface": "lo"}, "second_clock.interface"),
        ({"ports": [{"interface": "lo", "profile": "aes67"}]}, "second_clock.interface"),
    ],
)
def test_what_the_second_clock_cannot_be(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refusal:
        Plan.from_json(plan_message(second_clock=SECOND | changes))
    assert refusal.value.field == field
