"""`aes67 ptp` where there are two clocks: the second one with its name, distance and reason."""

from __future__ import annotations

import pytest

from aes67.cli.clock_text import apart, clock_line, screen
from aes67.ptp.history import History

SECOND = {
    "name": "stage", "state": "locked", "reason": "3 sigma 2 us", "interface": "eth1",
    "gmid": "00-1D-C1-FF-FE-00-00-02", "domain": 4, "ahead_of_media_ns": 3_600_000_000_125,
    "ahead_of_media_ppm": 20.0, "uncertainty_ns": 2000, "path_delay_ns": 1500, "masters": [],
}  # fmt: skip
CLOCK = {"name": "media", "state": "locked", "reason": "", "gmid": "x", "second": SECOND}


def rows(clock: dict[str, object]) -> list[str]:
    return screen(clock, [History().read("1min", 0)], []).splitlines()


def test_the_screen_has_the_second_clock_after_the_first() -> None:
    text = [" ".join(line.split()) for line in rows(CLOCK)]
    assert "second clock stage locked" in text
    assert "ahead of media 3600.000000 s, +20.000 ppm" in text
    assert "grandmaster 00-1D-C1-FF-FE-00-00-02" in text
    assert any(line.startswith("use shown only: ") for line in text)


def test_what_is_not_known_of_it_is_said() -> None:
    lost = {"name": "stage", "state": "unlocked", "reason": "eth1 is gone",
            "ahead_of_media_ns": None, "ahead_of_media_ppm": None}  # fmt: skip
    text = [" ".join(line.split()) for line in rows(CLOCK | {"second": lost})]
    assert "ahead of media unknown" in text
    assert "reason eth1 is gone" in text


def test_the_line_has_both() -> None:
    assert clock_line(CLOCK).endswith("stage locked 3600.000000 s ahead")
    assert "stage" not in clock_line(CLOCK | {"second": None})


@pytest.mark.parametrize(
    ("ns", "words"),
    [(250, "250 ns"), (-1500, "-1.50 us"), (2_500_000, "2.500 ms"), (-2 * 10**9, "-2.000000 s")],
)
def test_how_far_apart(ns: int, words: str) -> None:
    assert apart(ns) == words
