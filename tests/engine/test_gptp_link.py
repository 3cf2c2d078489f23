"""802.1AS on a real link: ptp4l with its gPTP settings as our master and as our slave, tshark as
the judge of our frames. Kernel software stamps on both sides."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aes67.clock.lock import State
from aes67.engine.clock_page import MediaRecord
from aes67.engine.timekeeper import Timekeeper
from aes67.net.timestamping import CrossClock
from sim import waiting
from sim.gptp_peer import gptp4l
from sim.netns import Namespace, discipline, veth_pair

NS = 1_000_000_000


@dataclass(frozen=True)
class Spec:
    mode: str = "gptp"
    interface: str = "ck0"
    domain: int = 0
    dscp: int = 46
    priority1: int = 250
    priority2: int = 248
    sync_interval: int | None = None
    announce_interval: int | None = None
    allowed_masters: frozenset[bytes] = frozenset()
    asymmetry_ns: int = 0
    ports: tuple[tuple[str, str], ...] = ()
    card_timestamps: str = "off"
    link_delay_limit_ns: int = 0


class Listener:
    """What a timekeeper published last."""

    def __init__(self) -> None:
        self.record: MediaRecord | None = None

    def publish(self, record: MediaRecord) -> None:
        self.record = record

    def ahead_of_realtime(self) -> int:
        """Media time minus CLOCK_REALTIME, which is the time a ptp4l on this machine gives out."""
        assert self.record is not None
        raw_ns, real_ns = CrossClock().read()
        span = raw_ns - self.record.raw_ns
        return self.record.media_ns + span + (span * self.record.rate_q40 >> 40) - real_ns


@asynccontextmanager
async def keeping(where: Namespace, spec: Spec) -> AsyncIterator[tuple[Timekeeper, Listener]]:
    listener = Listener()
    keeper = Timekeeper(listener.publish, lambda snapshot: None)
    with where.entered():
        await keeper.configure(spec)
        try:
            yield keeper, listener
        finally:
            await keeper.close()


async def until(keeper: Timekeeper, key: str, value: Any, seconds: float) -> dict[str, Any]:
    """The snapshot once `key` is `value`, within so long."""
    deadline = time.monotonic() + seconds
    while (snapshot := keeper.snapshot())[key] != value:
        assert time.monotonic() < deadline, snapshot
        await asyncio.sleep(0.05)
    return snapshot


@pytest.fixture(autouse=True)
def _system_clock_untouched() -> Iterator[None]:
    before = discipline()
    yield
    assert discipline() == before


@pytest.mark.root
@pytest.mark.peer("ptp4l")
@pytest.mark.parametrize("mode", ["gptp", "ptp-slave"])
async def test_ptp4l_is_our_grandmaster(tmp_path: Path, mode: str) -> None:
    with veth_pair() as (a, b, interface):
        gm, log = gptp4l(a, interface, tmp_path, priority1=246)
        ports = (("ck0", "gptp"),) if mode == "ptp-slave" else ()
        async with keeping(b, Spec(mode=mode, ports=ports)) as (keeper, listener):
            # a node that may lead does so while a slow start of the other end leaves it alone
            await until(keeper, "port_state", "slave", 20)
            snapshot = await until(keeper, "state", "locked", 20)
            assert snapshot["port_state"] == "slave"
            assert snapshot["peer"]["as_capable"]
            assert snapshot["timestamps"]["rung"] == "kernel"
            errors = []
            for _ in range(60):
                await asyncio.sleep(0.05)
                errors.append(listener.ahead_of_realtime())
            snapshot = keeper.snapshot()
            assert abs(statistics.median(errors)) < 5_000
            assert snapshot["peer"]["link_delay_ns"] < 100_000
            # both ends have one clock in this machine
            assert abs(snapshot["peer"]["rate_ppm"]) < 20
            assert abs(snapshot["peer"]["grandmaster_rate_ppm"]) < 20
            assert snapshot["messages"]["malformed"] == 0
            assert snapshot["messages"]["delay_req_sent"] == 0
            master = snapshot["masters"][0]
            assert (master["selected"], master["profile"]) == (True, "gptp")
            assert snapshot["gmid"] == master["grandmaster"]["identity"]
            assert "MASTER" in log.read_text()
            a.stop(gm)
            expected = "holdover" if mode == "ptp-slave" else "locked"
            port = "listening" if mode == "ptp-slave" else "master"
            await until(keeper, "port_state", port, 15)
            assert (await until(keeper, "state", expected, 3))["state"] == expected
            # whoever goes on, it is with the time that was followed
            assert abs(listener.ahead_of_realtime()) < 20_000


@pytest.mark.root
@pytest.mark.peer("ptp4l")
async def test_ptp4l_follows_us(tmp_path: Path) -> None:
    with veth_pair() as (a, b, interface):
        _, log = gptp4l(a, interface, tmp_path, priority1=248)
        async with keeping(b, Spec(priority1=246)) as (keeper, listener):
            await until(keeper, "port_state", "master", 15)
            assert listener.record is not None
            assert listener.record.state == State.LOCKED
            lines: list[str] = []
            deadline = time.monotonic() + 25
            while len(lines) < 5:
                assert time.monotonic() < deadline, log.read_text()
                await asyncio.sleep(0.2)
                lines = [x for x in log.read_text().splitlines() if "master offset" in x]
            # the announced offset between TAI and UTC is taken off: both are this machine's clock
            offsets = [int(x.split("master offset")[1].split()[0]) for x in lines]
            delays = [int(x.split("path delay")[1].split()[0]) for x in lines]
            assert abs(statistics.median(offsets)) < 20_000
            assert abs(statistics.median(delays)) < 100_000
            identity = keeper.snapshot()["gmid_hex"]
            dotted = f"{identity[:6]}.{identity[6:10]}.{identity[10:]}"
            assert f"selected best master clock {dotted}" in log.read_text()


FIELDS = (
    "ptp.v2.messagetype", "eth.dst", "ptp.v2.majorsdoid", "ptp.v2.minorversionptp",
    "ptp.v2.messagelength", "ptp.as.fu.lengthField", "ptp.as.fu.organizationId",
    "ptp.as.fu.organizationSubType", "ptp.v2.an.pathsequence", "ptp.v2.clockidentity",
    "ptp.v2.flags.twostep", "ptp.v2.logmessageperiod", "_ws.malformed", "_ws.expert.message",
)  # fmt: skip


@pytest.mark.root
@pytest.mark.peer("tshark")
async def test_tshark_reads_our_frames(tmp_path: Path) -> None:
    with veth_pair() as (a, b, interface):
        capture = tmp_path / "link.pcap"
        judge = a.spawn("tshark", "-q", "-i", interface, "-w", str(capture), log=tmp_path / "log")
        await waiting.until(lambda: "Capturing" in (tmp_path / "log").read_text(), seconds=20)
        program = [sys.executable, "-c", PROGRAM]
        log = tmp_path / "other"
        other = a.spawn("env", f"PYTHONPATH={os.pathsep.join(sys.path)}", *program, log=log)
        async with keeping(b, Spec(priority1=246)) as (keeper, _):
            await until(keeper, "port_state", "master", 90)  # the other may have to compile first
            await asyncio.sleep(2)
            assert other.poll() is None, log.read_text()
            ours = "0x" + keeper.snapshot()["gmid_hex"]
        a.stop(judge)
        rows = read(capture)
        kinds = {row["ptp.v2.messagetype"] for row in rows}
        assert kinds == {"0x00", "0x02", "0x03", "0x08", "0x0a", "0x0b"}
        for row in rows:
            assert row["eth.dst"] == "01:80:c2:00:00:0e"
            assert (row["ptp.v2.majorsdoid"], row["ptp.v2.minorversionptp"]) == ("0x01", "1")
            assert row["_ws.malformed"] == row["_ws.expert.message"] == ""
        follow_ups = [row for row in rows if row["ptp.v2.messagetype"] == "0x08"]
        assert {row["ptp.as.fu.lengthField"] for row in follow_ups} == {"28"}
        assert {int(row["ptp.as.fu.organizationId"]) for row in follow_ups} == {0x0080C2}
        assert {row["ptp.as.fu.organizationSubType"] for row in follow_ups} == {"1"}
        announces = [row for row in rows if row["ptp.v2.messagetype"] == "0x0b"]
        assert {row["ptp.v2.an.pathsequence"] for row in announces} == {ours}
        syncs = [row for row in rows if row["ptp.v2.messagetype"] == "0x00"]
        assert {row["ptp.v2.logmessageperiod"] for row in syncs} == {"-3"}
        assert {row["ptp.v2.flags.twostep"] for row in syncs} == {"1"}


PROGRAM = """
import asyncio
from engine.test_gptp_link import Spec, Timekeeper

async def main():
    keeper = Timekeeper(lambda record: None, lambda snapshot: None)
    await keeper.configure(Spec(mode="ptp-slave", ports=(("ck0", "gptp"),)))
    await asyncio.sleep(100)

asyncio.run(main())
"""


def read(capture: Path) -> list[dict[str, str]]:
    """The PTP frames of a capture."""
    command = ["tshark", "-n", "-r", str(capture), "-Y", "ptp", "-T", "fields", "-E", "header=n"]
    for name in FIELDS:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [dict(zip(FIELDS, row.split("\t"), strict=True)) for row in done.stdout.splitlines()]


@pytest.mark.root
def test_without_the_right_to_raw_sockets_it_says_what_to_do(tmp_path: Path) -> None:
    with veth_pair() as (a, _, _):
        process = a.spawn(
            "setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw",
            "env", f"PYTHONPATH={os.pathsep.join(sys.path)}",
            sys.executable, "-c", PROGRAM, log=tmp_path / "log",
        )  # fmt: skip
        assert process.wait(120) == 1  # it may have to compile first
        text = (tmp_path / "log").read_text()
        assert "Refused" in text
        assert "CAP_NET_RAW" in text
