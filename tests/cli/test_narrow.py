"""What commands print into 80 columns, and of a clock that leads."""

from __future__ import annotations

import io
from typing import Any

import pytest

from aes67.cli import clock_text, node, output
from aes67.cli.clock_text import clock_facts, clock_line, leads, masters_text, screen, spread
from aes67.cli.ptp import looks, seconds

OWN = "02-00-00-AE-67-00-00-00"
GRANDMASTER: dict[str, Any] = {
    "state": "locked", "reason": "grandmaster on the local clock", "mode": "gm", "domain": 0,
    "gmid": OWN, "offset_ns": None, "rate_ppm": 0.0, "port_identity": f"{OWN}/1",
    "port_state": "master", "grandmaster": {"priority1": 127, "priority2": 128, "clock_class": 248},
    "messages": {"received": {"Delay_Req": 9}, "per_second": {"Delay_Req": 8.1}, "sync_sent": 7},
    "seconds_in": {"locked": 4.0}, "state_changes": 1,
}  # fmt: skip


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> int:
    for module in (clock_text, node):
        monkeypatch.setattr(module, "columns_shown", lambda: 80)
    return 80


def longest(text: str) -> int:
    return max(len(line) for line in text.splitlines())


def test_a_grandmaster_shows_what_it_tells_and_nothing_unknown() -> None:
    assert leads(GRANDMASTER)
    found = dict(clock_facts(GRANDMASTER))
    assert found["grandmaster"] == f"{OWN} (this node)"
    assert found["priority"] == "127/128, class 248"
    assert found["slaves ask"] == "8.1 Delay_Req a second"
    text = screen(GRANDMASTER, [], [])
    assert "unknown" not in text
    assert "1 change of state" in text
    assert "8.1" in clock_line(GRANDMASTER)
    assert "unknown" not in clock_line(GRANDMASTER)


def test_tables_are_cut_to_a_terminal_and_whole_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(0, "n" * 90, 12345)]
    assert longest(output.table(("id", "name", "packets"), rows, 60)) == 60
    assert "n" * 90 in output.table(("id", "name", "packets"), rows)
    assert "12345" in output.table(("id", "name", "packets"), rows, 20), "figures are never cut"
    assert output.columns_shown() == 0, "no terminal here"
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "72")
    assert output.columns_shown() == 72
    assert output.rows_shown() == 0


@pytest.mark.usefixtures("narrow")
def test_notes_stand_whole_under_the_table() -> None:
    note = "the description names the grandmaster 00-1D-C1-FF-FE-00-00-01, " * 2
    sink = {"id": 3, "name": "S" * 63, "note": note.strip(), "counters": {"packets": 10**9}}
    text = node.sinks_text([sink])
    assert longest(text) <= 80
    assert text.count("00-1D-C1-FF-FE-00-00-01") == 2
    assert "sink 3:" in text
    assert node.sources_text([]).startswith("no source")


def test_a_master_too_wide_for_a_line_has_several() -> None:
    master = {
        "clock": OWN, "domain": 0, "address": "10.0.0.1", "selected": True, "last_heard_seconds": 1,
        "grandmaster": {"identity": OWN, "priority1": 1, "priority2": 2, "clock_class": 6},
    }  # fmt: skip
    clock = {"domain": 0, "masters": [master]}
    assert len(masters_text(clock, 0).splitlines()) == 2
    text = masters_text(clock, 80)
    assert longest(text) <= 80
    for word in (OWN, "followed", "grandmaster itself", "class 6"):
        assert word in text


def test_a_range_has_one_unit() -> None:
    assert spread(-29, 300) == "-29 to 300 ns"
    assert spread(-450, 1_200) == "-0.45 to 1.20 us"
    assert spread(0, 2_500_000) == "0.000 to 2.500 ms"


@pytest.mark.parametrize(("kind", "text"), [(looks, "-1"), (looks, "x"), (seconds, "soon")])
def test_wrong_figures_are_named(kind: Any, text: str) -> None:
    with pytest.raises(Exception, match=text):
        kind(text)
