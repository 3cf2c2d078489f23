"""Mode `phc:/dev/ptp0` with a clock that is not there: `sim/virtual_phc.c` answers for it.

No network and no rights are needed; the clock runs 25 ppm fast, from an epoch of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHIM = ROOT / "sim" / "virtual_phc.c"
PPM, EPOCH_NS = 25.0, 4_411_000_000_000

PROGRAM = """
import asyncio, json, os, sys
from engine.test_timekeeper import Listener, Spec, Timekeeper
from aes67.net.timestamping import CrossClock

async def main(base_ns, ppm, epoch_ns):
    listener = Listener()
    keeper = Timekeeper(listener.publish, lambda snapshot: None)
    await keeper.configure(Spec(mode="phc:/dev/ptp0", interface=""))
    for turn in range(100):
        await asyncio.sleep(0.1)
        record = listener.record
        raw_ns, real_ns = CrossClock().read()
        span = raw_ns - record.raw_ns
        media_ns = record.media_ns + span + (span * record.rate_q40 >> 40)
        law = epoch_ns + real_ns - base_ns + round((real_ns - base_ns) * ppm * 1e-6)
        if turn > 50:
            print(json.dumps({"error": media_ns - law, "snapshot": keeper.snapshot()}), flush=True)
    await keeper.close()

asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
"""


@pytest.mark.peer("cc")
def test_it_follows_a_hardware_clock_of_any_epoch_and_rate(tmp_path: Path) -> None:
    shim = tmp_path / "virtual_phc.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(SHIM), "-ldl"]
    subprocess.run(command, check=True)
    base_ns = time.time_ns()
    law = {"PHC_BASE_NS": base_ns, "PHC_PPM": PPM, "PHC_EPOCH_NS": EPOCH_NS}
    environment = os.environ | {key: str(value) for key, value in law.items()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(base_ns), str(PPM), str(EPOCH_NS)],
        env=environment | {"LD_PRELOAD": str(shim), "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    last = lines[-1]["snapshot"]
    assert last["mode"] == "phc"
    assert last["state"] == "locked"
    assert last["gmid"] == ""
    assert last["rate_ppm"] == pytest.approx(PPM, abs=0.5)
    assert last["reference"]["clock"] == "/dev/ptp0"
    assert last["reference"]["method"].startswith("PTP_SYS_OFFSET_EXTENDED")
    assert last["session_epoch"] == 0, "the first lock is nobody's jump"
    assert abs(statistics.median(each["error"] for each in lines)) < 2_000
    assert all(each["snapshot"]["uncertainty_ns"] < 5_000 for each in lines[-10:])
