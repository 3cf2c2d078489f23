"""`latency`: the self-test's own measure, from `writei` of a frame to `readi` of it."""

from __future__ import annotations

import statistics
import sys
from typing import Any

from bench.media import START_SECONDS, answer
from bench.rounds import Effort, verdict

CASES: tuple[dict[str, Any], ...] = (
    {"frames": 96, "period": 48, "packet_time": "1ms", "limit": 6.0, "goal": 4.0},
    {"frames": 24, "period": 12, "packet_time": "125us", "limit": 2.0, "goal": 1.0},
)


def once(case: dict[str, Any], seconds: float) -> dict[str, Any]:
    """One run of `aes67 latency`; it may say that there were xruns, which is a figure too."""
    command = [
        sys.executable, "-m", "aes67.selftest.latency", "--frames", str(case["frames"]),
        "--period", str(case["period"]), "--packet-time", case["packet_time"],
        "--duration", str(seconds), "--json",
    ]  # fmt: skip
    return answer(command, START_SECONDS + seconds, accepted=(0, 1))


def measure(effort: Effort) -> dict[str, object]:
    """Both cases: medians over the rounds of the median, p99 and max; the median is judged."""
    cases = []
    for case in CASES:
        runs = [once(case, effort.seconds) for _ in range(effort.rounds)]
        heard = [run["latency"] for run in runs if run["latency"]]
        figures = {
            name: round(statistics.median(each[name] for each in heard), 3)
            for name in ("min_ms", "median_ms", "p99_ms", "max_ms") if heard
        }  # fmt: skip
        median_ms = figures.get("median_ms", float("inf"))
        cases.append({
            "buffer_frames": case["frames"], "period_frames": case["period"],
            "packet_time": case["packet_time"], "floor_ms": runs[0]["floor_ms"],
            "sink_delay_frames": runs[0]["sink_delay_frames"], "latency": figures,
            "xruns": [run["xruns"] for run in runs], "counters": [run["counters"] for run in runs],
            "median": verdict(median_ms, case["limit"], case["goal"]),
        })  # fmt: skip
    return {"rounds": effort.rounds, "seconds": effort.seconds, "cases": cases}
