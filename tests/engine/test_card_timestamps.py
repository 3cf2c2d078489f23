"""Timestamps of the network card, with a card that is not there: `sim/virtual_phc.c` gives ptp4l
and our timekeeper, each in a process of its own, a /dev/ptp0 with a law and stamps in its time.

It exercises everything that leads there: asking the card, reading and converting its clock,
matching two kinds of stamps, the ladder. It says nothing of the precision of real stamps.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sim import netns
from sim.gptp_peer import gptp4l
from sim.netns import Namespace, discipline, veth_pair

NS = 1_000_000_000
START_S = 120
"""A process of ours may have to compile its kernels first."""
SHIM = Path(__file__).parent.parent / "sim" / "virtual_phc.c"
THEIRS = (25.0, 4_411 * NS)
OURS = (-12.0, 99 * NS)
"""Rate in ppm and epoch of the two clocks; the master's counts from its boot, as some do."""

PROGRAM = """
import asyncio, json, sys, time
from engine.test_gptp_link import Listener, Spec, Timekeeper
from aes67.net.timestamping import CrossClock
from aes67.ptp import ladder

ladder.RETRY_NS = 3_000_000_000  # not a minute

async def main(mode, profile, base_ns, ppm, epoch_ns):
    listener = Listener()
    keeper = Timekeeper(listener.publish, lambda snapshot: None)
    await keeper.configure(Spec(
        mode=mode, ports=(("ck0", profile),), card_timestamps="on",
        link_delay_limit_ns=1_000_000,
    ))
    while True:
        await asyncio.sleep(0.1)
        record = listener.record
        raw_ns, real_ns = CrossClock().read()
        span = raw_ns - record.raw_ns
        media_ns = record.media_ns + span + (span * record.rate_q40 >> 40)
        law = epoch_ns + real_ns - base_ns + round((real_ns - base_ns) * ppm * 1e-6)
        snapshot = keeper.snapshot()
        print(json.dumps({"error": media_ns - law, "snapshot": snapshot}), flush=True)

_, mode, profile, base, ppm, epoch = sys.argv
asyncio.run(main(mode, profile, int(base), float(ppm), int(epoch)))
"""


@pytest.fixture(autouse=True)
def _system_clock_untouched() -> Iterator[None]:
    before = discipline()
    yield
    assert discipline() == before


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shim") / "virtual_phc.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(made), str(SHIM)]
    subprocess.run([*command, "-ldl"], check=True)
    return made


class Watched:
    """Our timekeeper in a process with the shim, line by line."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def lines(self) -> list[dict[str, Any]]:
        whole = self._log.read_text().rsplit("\n", 1)[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def until(self, seconds: float, **wanted: Any) -> dict[str, Any]:
        """The newest line once its snapshot has these values (`rung`: of the timestamps)."""
        deadline = time.monotonic() + seconds
        while True:
            lines = self.lines()
            if lines:
                snapshot = lines[-1]["snapshot"]
                found = {"rung": snapshot["timestamps"]["rung"], **snapshot}
                if all(found[key] == value for key, value in wanted.items()):
                    return snapshot  # type: ignore[no-any-return]
            assert time.monotonic() < deadline, self._log.read_text()[-3_000:]
            time.sleep(0.1)

    def errors(self, seconds: float) -> list[int]:
        before = len(self.lines())
        time.sleep(seconds)
        return [line["error"] for line in self.lines()[before:]]


def environment(shim: Path, base_ns: int, law: tuple[float, int], mute: Path) -> list[str]:
    ppm, epoch_ns = law
    return [
        f"LD_PRELOAD={shim}", f"PHC_BASE_NS={base_ns}", f"PHC_PPM={ppm}",
        f"PHC_EPOCH_NS={epoch_ns}", f"PHC_MUTE={mute}",
    ]  # fmt: skip


def ptp4l(
    where: Namespace,
    interface: str,
    folder: Path,
    profile: str,
    shimmed: list[str],
    *,
    master: bool = True,
) -> Path:
    """ptp4l with stamps of its card; its log."""
    if profile == "gptp":
        return gptp4l(
            where, interface, folder, priority1=246, stamps="hardware", environment=shimmed
        )[1]
    role, clock_class = ("masterOnly 1", 248) if master else ("slaveOnly 1", 255)
    settings = netns.PTP4L.replace("time_stamping software", "time_stamping hardware").format(
        domain=0, role=role, priority1=127 if master else 255, clock_class=clock_class,
        log_announce=0, log_sync=-3, log_delay=0, socket=folder / "uds", interface=interface,
    )  # fmt: skip
    (folder / "other.cfg").write_text(settings)
    log = folder / "other.log"
    where.spawn("env", *shimmed, "ptp4l", "-f", str(folder / "other.cfg"), "-m", log=log)
    return log


@pytest.mark.root
@pytest.mark.peer("ptp4l")
@pytest.mark.parametrize("profile", ["aes67", "gptp"])
def test_the_card_s_stamps_are_used_while_they_come(
    tmp_path: Path, shim: Path, profile: str
) -> None:
    base_ns = time.time_ns()
    mute, never = tmp_path / "mute", tmp_path / "never"
    with veth_pair() as (a, b, interface):
        log = ptp4l(a, interface, tmp_path, profile, environment(shim, base_ns, THEIRS, never))
        ours = [*environment(shim, base_ns, OURS, mute), f"PYTHONPATH={os.pathsep.join(sys.path)}"]
        arguments = ["ptp-slave", profile, str(base_ns), str(THEIRS[0]), str(THEIRS[1])]
        program = [sys.executable, "-c", PROGRAM, *arguments]
        out = tmp_path / "ours.log"
        b.spawn("env", *ours, *program, log=out)
        watched = Watched(out)
        snapshot = watched.until(START_S, state="locked", rung="hardware")
        assert snapshot["timestamps"]["card"] == (
            "/dev/ptp0, PTP_SYS_OFFSET_EXTENDED against CLOCK_MONOTONIC_RAW"
        )
        errors = watched.errors(4)
        assert abs(statistics.median(errors)) < 10_000, errors
        # the master's clock is 25 ppm fast against this machine's; ours, at -12, is a go-between
        snapshot = watched.until(5, state="locked", rung="hardware")
        assert snapshot["rate_ppm"] == pytest.approx(THEIRS[0], abs=3)
        assert snapshot["timestamps"]["card_missed"] == 0
        assert "MASTER" in log.read_text()
        if profile == "gptp":
            assert snapshot["peer"]["rate_ppm"] == pytest.approx(THEIRS[0], abs=5)

        mute.touch()
        snapshot = watched.until(12, rung="kernel")
        assert snapshot["timestamps"]["card_missed"] >= 5
        assert snapshot["state"] in ("locked", "holdover")
        mute.unlink()
        snapshot = watched.until(15, rung="hardware", state="locked")
        assert snapshot["timestamps"]["rung_changes"] >= 3
        assert snapshot["session_epoch"] == 0
        assert abs(statistics.median(watched.errors(2))) < 10_000


@pytest.mark.root
@pytest.mark.peer("ptp4l")
def test_a_ptp4l_with_a_card_follows_us_with_one(tmp_path: Path, shim: Path) -> None:
    """Its clock is right from the start (TAI as we give it out), so it sees no offset."""
    base_ns = time.time_ns()
    mute = tmp_path / "mute"
    tai = (0.0, base_ns + 37 * NS)
    with veth_pair() as (a, b, interface):
        ours = [*environment(shim, base_ns, OURS, mute), f"PYTHONPATH={os.pathsep.join(sys.path)}"]
        out = tmp_path / "ours.log"
        arguments = ["gm", "aes67", str(base_ns), "0", str(tai[1])]
        b.spawn("env", *ours, sys.executable, "-c", PROGRAM, *arguments, log=out)
        snapshot = Watched(out).until(START_S, rung="hardware", state="locked")
        assert "Announce" not in snapshot["messages"]["received"]
        shimmed = environment(shim, base_ns, tai, mute)
        log = ptp4l(a, interface, tmp_path, "aes67", shimmed, master=False)
        deadline = time.monotonic() + 25
        lines: list[str] = []
        while len(lines) < 5:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
            lines = [x for x in log.read_text().splitlines() if "master offset" in x]
        offsets = [int(x.split("master offset")[1].split()[0]) for x in lines]
        assert abs(statistics.median(offsets)) < 20_000
        snapshot = Watched(out).until(5, rung="hardware", port_state="master")
        assert snapshot["messages"]["sync_unstamped"] == 0
        assert snapshot["timestamps"]["card_missed"] == 0


@pytest.mark.root
def test_without_a_card_the_snapshot_says_so(tmp_path: Path) -> None:
    with veth_pair() as (_, b, _):
        out = tmp_path / "ours.log"
        path = f"PYTHONPATH={os.pathsep.join(sys.path)}"
        arguments = ["ptp-slave", "aes67", "0", "0", "0"]
        b.spawn("env", path, sys.executable, "-c", PROGRAM, *arguments, log=out)
        snapshot = Watched(out).until(START_S, rung="kernel")
        assert snapshot["timestamps"]["card"] == "the card has none"
