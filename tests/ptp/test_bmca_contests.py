"""The table of contests, judged by our port, and by a real ptp4l that hears the same packets."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sim.bmca_contests import CONTESTS, Contest
from sim.bmca_judge import judge, ours, right

pytestmark = pytest.mark.usefixtures("system_clock_untouched")


@pytest.mark.parametrize("order", [1, -1], ids=["forwards", "backwards"])
@pytest.mark.parametrize("contest", CONTESTS, ids=lambda contest: contest.name)
def test_our_port_names_the_winner(contest: Contest, order: int) -> None:
    assert right(contest, ours(contest, order))


@pytest.mark.root
@pytest.mark.peer("ptp4l")
def test_ptp4l_names_the_same_winner_of_every_contest(tmp_path: Path) -> None:
    assert len({contest.name for contest in CONTESTS}) == len(CONTESTS) >= 30
    began = time.monotonic()
    verdicts = judge(CONTESTS, tmp_path)
    assert time.monotonic() - began < 60
    for contest, verdict in zip(CONTESTS, verdicts, strict=True):
        assert right(contest, verdict), (contest.name, verdict)
