"""Timestamps of the network card, with a card that is not there: `sim/virtual_phc.c` gives ptp4l
and our timekeeper, each in a process of its own, a /dev/ptp0 with a law and stamps in its time.

It exercises everything that leads there: asking the card, reading and converting its clock,
matching two kinds of stamps, the ladder. It says nothing of the precision of real stamps.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aes67.ptp.ladder import MISSES
from sim import netns
from sim.gptp_peer import gptp4l
from sim.netns import Namespace, veth_pair
from sim.timekeeping import NS, PATIENCE_S, Reports, measured
from sim.waiting import wait_until

START_S = 120
"""A process of ours may have to compile its kernels first."""
SHIM = Path(__file__).parent.parent / "sim" / "virtual_phc.c"
THEIRS = (25.0, 4_411 * NS)
OURS = (-12.0, 99 * NS)
"""Rate in ppm and epoch of the two clocks; the master's counts from its boot, as some do."""

PROGRAM = """
import asyncio, sys
from sim.timekeeping import gptp, report_law
from aes67.ptp import ladder

ladder.RETRY_NS = 1_000_000_000  # not a minute
_, mode, profile, base, ppm, epoch = sys.argv
spec = gptp(
    mode=mode, ports=(("ck0", profile),), card_timestamps="on", link_delay_limit_ns=1_000_000,
)
asyncio.run(report_law(spec, int(base), float(ppm), int(epoch)))
"""


pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("system_clock_untouched")]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shim") / "virtual_phc.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(made), str(SHIM)]
    subprocess.run([*command, "-ldl"], check=True)
    return made


def stands(state: str, rung: str) -> Callable[[dict[str, Any]], bool]:
    """A snapshot of this state with timestamps of this kind."""
    return lambda shown: (shown["state"], shown["timestamps"]["rung"]) == (state, rung)


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
        reports = Reports(out)
        snapshot = reports.until(stands("locked", "hardware"), START_S)
        assert snapshot["timestamps"]["card"] == (
            "/dev/ptp0, PTP_SYS_OFFSET_EXTENDED against CLOCK_MONOTONIC_RAW"
        )
        reports.until_near(10_000)

        def rates(shown: dict[str, Any]) -> bool:
            """The master's clock is 25 ppm fast; ours, which counts at -12, is a go-between."""
            found = [(shown["rate_ppm"], 3)]
            if profile == "gptp":
                found.append((shown["peer"]["rate_ppm"], 5))
            return all(ppm == pytest.approx(THEIRS[0], abs=within) for ppm, within in found)

        snapshot = reports.until(rates, PATIENCE_S)
        assert snapshot["timestamps"]["card_missed"] < MISSES, "the card stamped all the time"
        assert "MASTER" in log.read_text()

        mute.touch()
        snapshot = reports.until(lambda x: x["timestamps"]["rung"] == "kernel", PATIENCE_S)
        assert snapshot["timestamps"]["card_missed"] >= MISSES
        assert snapshot["state"] in ("locked", "holdover")
        mute.unlink()
        snapshot = reports.until(stands("locked", "hardware"), PATIENCE_S)
        assert snapshot["timestamps"]["rung_changes"] >= 3
        assert snapshot["session_epoch"] == 0
        reports.until_near(10_000)


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
        snapshot = Reports(out).until(stands("locked", "hardware"), START_S)
        assert "Announce" not in snapshot["messages"]["received"]
        shimmed = environment(shim, base_ns, tai, mute)
        log = ptp4l(a, interface, tmp_path, "aes67", shimmed, master=False)
        wait_until(lambda: abs(measured(log, "master offset")) < 20_000, PATIENCE_S)
        snapshot = Reports(out).until(stands("locked", "hardware"), PATIENCE_S)
        assert snapshot["port_state"] == "master"
        assert snapshot["messages"]["sync_unstamped"] < MISSES
        assert snapshot["timestamps"]["card_missed"] < MISSES


@pytest.mark.root
def test_without_a_card_the_snapshot_says_so(tmp_path: Path) -> None:
    with veth_pair() as (_, b, _):
        out = tmp_path / "ours.log"
        path = f"PYTHONPATH={os.pathsep.join(sys.path)}"
        arguments = ["ptp-slave", "aes67", "0", "0", "0"]
        b.spawn("env", path, sys.executable, "-c", PROGRAM, *arguments, log=out)
        snapshot = Reports(out).until(lambda x: x["timestamps"]["rung"] == "kernel", START_S)
        assert snapshot["timestamps"]["card"] == "the card has none"
