"""802.1AS on a real link: ptp4l with its gPTP settings as our master and as our slave, tshark as
the judge of our frames. Kernel software stamps on both sides."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aes67.clock.lock import State
from sim import waiting
from sim.gptp_peer import gptp4l
from sim.netns import veth_pair
from sim.timekeeping import PATIENCE_S, gptp, keeping, measured, until, until_near, until_shown

pytestmark = pytest.mark.usefixtures("system_clock_untouched")


@pytest.mark.root
@pytest.mark.peer("ptp4l")
@pytest.mark.parametrize("mode", ["gptp", "ptp-slave"])
async def test_ptp4l_is_our_grandmaster(tmp_path: Path, mode: str) -> None:
    with veth_pair() as (a, b, interface):
        gm, log = gptp4l(a, interface, tmp_path, priority1=246)
        ports = (("ck0", "gptp"),) if mode == "ptp-slave" else ()
        async with keeping(b, gptp(mode=mode, ports=ports)) as (keeper, listener):
            # a node that may lead does so while a slow start of the other end leaves it alone
            snapshot = await until_shown(keeper, port_state="slave", state="locked")
            assert snapshot["timestamps"]["rung"] == "kernel"
            await until_near(listener, 0, 5_000)

            def peer_is_measured() -> bool:
                """Both ends have one clock in this machine."""
                peer = keeper.snapshot()["peer"]
                return (
                    peer["as_capable"]
                    and peer["link_delay_ns"] < 100_000
                    and abs(peer["rate_ppm"]) < 20
                    and abs(peer["grandmaster_rate_ppm"]) < 20
                )

            await until(peer_is_measured, keeper.snapshot)
            snapshot = await until_shown(keeper, port_state="slave", state="locked")
            assert snapshot["messages"]["malformed"] == 0
            assert snapshot["messages"]["delay_req_sent"] == 0
            master = snapshot["masters"][0]
            assert (master["selected"], master["profile"]) == (True, "gptp")
            assert snapshot["gmid"] == master["grandmaster"]["identity"]
            assert "MASTER" in log.read_text()
            a.stop(gm)
            # whoever goes on, it is with the time that was followed
            if mode == "ptp-slave":
                await until_shown(keeper, port_state="listening", state="holdover")
            else:
                await until_shown(keeper, port_state="master", state="locked")
            assert abs(listener.ahead_of_realtime()) < 20_000


@pytest.mark.root
@pytest.mark.peer("ptp4l")
async def test_ptp4l_follows_us(tmp_path: Path) -> None:
    with veth_pair() as (a, b, interface):
        _, log = gptp4l(a, interface, tmp_path, priority1=248)
        async with keeping(b, gptp(priority1=246)) as (keeper, listener):
            await until_shown(keeper, port_state="master")
            assert listener.record.state == State.LOCKED
            # the announced offset between TAI and UTC is taken off: both are this machine's clock
            await until(lambda: abs(measured(log, "master offset")) < 20_000, log.read_text)
            await until(lambda: abs(measured(log, "path delay")) < 100_000, log.read_text)
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
        await waiting.until(lambda: "Capturing" in (tmp_path / "log").read_text(), PATIENCE_S)
        program = [sys.executable, "-c", PROGRAM]
        log = tmp_path / "other"
        a.spawn("env", f"PYTHONPATH={os.pathsep.join(sys.path)}", *program, log=log)
        async with keeping(b, gptp(priority1=246)) as (keeper, _):
            await until_shown(keeper, port_state="master")

            def every_kind_was_sent() -> bool:
                """More than once, for the judge may not have kept the newest frames."""
                snapshot = keeper.snapshot()
                messages, peer = snapshot["messages"], snapshot["peer"]
                asked = min(peer["requests_answered"], peer["answers"])
                return min(asked, messages["announce_sent"], messages["follow_up_sent"]) >= 3

            await until(every_kind_was_sent, lambda: (keeper.snapshot(), log.read_text()))
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
from sim.timekeeping import Timekeeper, gptp

async def main():
    keeper = Timekeeper(lambda record: None, lambda snapshot: None)
    await keeper.configure(gptp(mode="ptp-slave", ports=(("ck0", "gptp"),)))
    await asyncio.Event().wait()

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
