"""What control keeps of the second clock, from the real page of an engine."""

from __future__ import annotations

import os
from typing import Any

import pytest

from aes67.control.second_clock import SecondClockView
from aes67.engine.clock_page import ClockPage, MediaRecord
from aes67.errors import WireError
from aes67.net.timestamping import raw_now
from aes67.shm.layout import PAGE_BYTES
from aes67.shm.region import create

GONE = "the engine is not running"


def told(**changes: Any) -> dict[str, Any]:
    return {
        "name": "stage", "state": "locked", "reason": "", "gmid": "00-1D-C1-FF-FE-00-00-02",
        "domain": 4, "ahead_of_media_ns": 5, "ahead_of_media_ppm": 0.5,
    } | changes  # fmt: skip


def test_there_is_nothing_without_a_second_clock() -> None:
    second = SecondClockView()
    second.engine_gone(GONE, 1)
    assert second.view() is None
    assert second.history() is None
    assert second.for_sessions() is None
    assert second.name == ""


def test_its_page_says_what_time_it_has_now() -> None:
    second = SecondClockView()
    region = create("test-second", PAGE_BYTES, read_only_for_others=True)
    page = ClockPage(region, 3)
    second.take_page(os.dup(region.fd))
    second.told(told())
    before = raw_now()
    page.publish_media(MediaRecord(before, 10**18, 0, 4, 2, 900, 1))
    view = second.view()
    assert view is not None
    assert view["name"] == "stage"
    assert (view["page"]["epoch"], view["page"]["state"]) == (4, 2)
    assert 0 <= view["page"]["now_ns"] - 10**18 <= raw_now() - before
    second.told(None)
    assert second.view() is None
    region.close()


def test_what_is_no_page_is_refused_and_the_old_one_stays() -> None:
    second = SecondClockView()
    region = create("test-second", PAGE_BYTES, read_only_for_others=True)
    ClockPage(region, 3)
    second.take_page(os.dup(region.fd))
    second.told(told())
    for size in (8, PAGE_BYTES):
        empty = create("test-empty", size, read_only_for_others=True)
        with pytest.raises(WireError):
            second.take_page(os.dup(empty.fd))
        empty.close()
    view = second.view()
    assert view is not None
    assert view["page"]["epoch"] == 1
    second.drop_page()
    region.close()


def test_its_history_is_its_own_and_ends_with_its_name() -> None:
    second = SecondClockView()
    second.told(told())
    history = second.history()
    assert history is not None
    second.told(told(state="holdover"))
    assert second.history() is history
    second.told(told(name="other"))
    assert second.history() is not history


def test_without_an_engine_nothing_is_claimed() -> None:
    second = SecondClockView()
    second.told(told())
    assert second.for_sessions() is not None
    second.engine_gone(GONE, 5)
    view = second.view()
    assert view is not None
    assert (view["name"], view["state"], view["reason"]) == ("stage", "unlocked", GONE)
    assert view["ahead_of_media_ns"] is None
    assert second.for_sessions() is None
    second.told(told())
    view = second.view()
    assert view is not None
    assert view["state"] == "locked"


def test_sessions_hear_of_it_only_while_it_has_a_grandmaster() -> None:
    second = SecondClockView()
    second.told(told(gmid=""))
    assert second.for_sessions() is None
    second.told(told())
    other = second.for_sessions()
    assert other is not None
    assert (other.name, other.domain, other.ahead_ns) == ("stage", 4, 5)
