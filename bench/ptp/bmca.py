"""`ptp-bmca`: who is the best master, judged by a real ptp4l and by us on the same packets."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.rounds import Effort

TESTS = Path(__file__).parents[2] / "tests"


def measure(effort: Effort) -> dict[str, Any]:
    """Contests on which ptp4l, the table and our port agree."""
    sys.path.insert(0, str(TESTS))
    try:
        from sim.bmca_contests import CONTESTS
        from sim.bmca_judge import judge, ours, right
    finally:
        sys.path.remove(str(TESTS))
    with tempfile.TemporaryDirectory(prefix="bench-ptp-") as folder:
        verdicts = judge(CONTESTS, Path(folder))
    wrong = [
        contest.name for contest, verdict in zip(CONTESTS, verdicts, strict=True)
        if not (right(contest, verdict) and right(contest, ours(contest)))
    ]  # fmt: skip
    same = len(CONTESTS) - len(wrong)
    return {
        "contests": len(CONTESTS), "disagreed": wrong,
        "same_winner": {"value": same, "at_least": 30, "met": not wrong and same >= 30},
    }  # fmt: skip
