"""Mode `phc:/dev/ptp0` with a clock that is not there: `sim/virtual_phc.c` answers for it.

No network and no rights are needed; the clock runs 25 ppm fast, from an epoch of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from aes67.selftest import child
from sim.timekeeping import PATIENCE_S, Reports

ROOT = Path(__file__).parent.parent
SHIM = ROOT / "sim" / "virtual_phc.c"
PPM, EPOCH_NS = 25.0, 4_411_000_000_000

PROGRAM = """
import asyncio, sys
from sim.timekeeping import ptp, report_law

_, base, ppm, epoch = sys.argv
spec = ptp(mode="phc:/dev/ptp0", interface="")
asyncio.run(report_law(spec, int(base), float(ppm), int(epoch)))
"""


@pytest.mark.timeout(400)
@pytest.mark.peer("cc")
def test_it_follows_a_hardware_clock_of_any_epoch_and_rate(tmp_path: Path) -> None:
    shim = tmp_path / "virtual_phc.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(SHIM), "-ldl"]
    subprocess.run(command, check=True)
    base_ns = time.time_ns()
    law = {"PHC_BASE_NS": base_ns, "PHC_PPM": PPM, "PHC_EPOCH_NS": EPOCH_NS}
    environment = os.environ | {key: str(value) for key, value in law.items()}
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(base_ns), str(PPM), str(EPOCH_NS)],
            env=environment | {"LD_PRELOAD": str(shim), "PYTHONPATH": str(ROOT)},
            stdout=out, stderr=out,
        )  # fmt: skip

    def follows(shown: dict[str, Any]) -> bool:
        return (
            shown["state"] == "locked"
            and shown["rate_ppm"] == pytest.approx(PPM, abs=0.5)
            and shown["uncertainty_ns"] < 5_000
        )

    try:
        reports = Reports(log)
        last = reports.until(follows, 2 * PATIENCE_S)  # it may have to compile first
        reports.until_near(2_000)
    finally:
        child.kill(process)
    assert last["mode"] == "phc"
    assert last["gmid"] == ""
    assert last["reference"]["clock"] == "/dev/ptp0"
    assert last["reference"]["method"].startswith("PTP_SYS_OFFSET_EXTENDED")
    assert last["session_epoch"] == 0, "the first lock is nobody's jump"
