"""Mode `ptp` on real sockets: takeover and hand back with a real ptp4l and with our own kind.

Everything shares one CLOCK_REALTIME, and a free-running ptp4l serves exactly that, so media time
minus CLOCK_REALTIME must never move once it has been locked.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aes67.clock.lock import State
from aes67.engine.reference_reader import Ptp4lPlace, ReferenceReader
from aes67.engine.timekeeper import Timekeeper
from aes67.net.reference_clock import Reading
from aes67.ptp.reference import Reference
from sim.netns import namespaces, ptp4l, veth_pair
from sim.timekeeping import (
    TAI_NS,
    Listener,
    keeping,
    measured,
    ptp,
    until,
    until_near,
    until_shown,
    until_state,
)

PPM = 25.0
VIRTUAL_CLOCK = Path(__file__).parent.parent.parent / "bench" / "ptp" / "virtual_clock.c"
ORDINARY = ptp(mode="ptp", priority1=250, announce_interval=-1)


pytestmark = pytest.mark.usefixtures("system_clock_untouched")


class Nowhere:
    """A clock that is not read in this test."""

    name = "a clock"
    method = ""

    def read(self) -> Reading | None:
        return None

    def remark(self) -> str:
        return ""

    def close(self) -> None:
        pass


def selected(log: Path) -> list[str]:
    """The grandmasters a ptp4l has taken, in order, as plain hex."""
    lines = [x for x in log.read_text().splitlines() if "selected best master clock" in x]
    return [line.split()[-1].replace(".", "") for line in lines]


@pytest.mark.root
@pytest.mark.peer("ptp4l")
async def test_it_takes_over_from_a_ptp4l_that_dies_and_gives_way_when_it_is_back(
    tmp_path: Path,
) -> None:
    with veth_pair() as (a, b, interface):
        spec = replace(ORDINARY, interface=interface)
        async with keeping(b, spec) as (keeper, listener):
            rival, _ = ptp4l(a, interface, tmp_path, master=None, priority1=128, log_announce=-1)
            theirs = (await until_shown(keeper, port_state="slave", state="locked"))["gmid"]
            assert theirs != keeper.snapshot()["port_identity"].split("/")[0]
            await until_near(listener, 0, 20_000)
            session, followed = listener.record.session_epoch, len(listener.records)
            ours = bytes.fromhex(keeper.snapshot()["port_identity"].split("/")[0].replace("-", ""))

            a.stop(rival)
            await until_shown(keeper, port_state="master", state="locked", gmid_hex=ours.hex())
            # a slave that comes to us sees the time of the one that died
            _, log = ptp4l(a, interface, tmp_path, master=False, priority1=255, log_delay=-3)
            await until(lambda: abs(measured(log, "offset")) < 50_000, log.read_text)
            assert selected(log)[-1] == ours.hex()
            assert keeper.snapshot()["messages"]["delay_resp_sent"] > 0
            await until_near(listener, 0, 20_000)

            ptp4l(a, interface, tmp_path, master=None, priority1=128, log_announce=-1)
            await until_shown(keeper, port_state="slave", gmid=theirs)
            await until_near(listener, 0, 20_000)
            assert listener.record.session_epoch == session
            assert State.UNLOCKED not in listener.states(since=followed)


@pytest.mark.root
@pytest.mark.peer("ptp4l", "cc")
async def test_the_time_and_the_rate_of_a_master_that_died_go_on(tmp_path: Path) -> None:
    """A ptp4l with a clock of its own, 25 ppm fast, by the law of `bench/ptp/virtual_clock.c`."""
    shim = tmp_path / "virtual_clock.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(VIRTUAL_CLOCK)]
    subprocess.run([*command, "-ldl", "-lm"], check=True)  # noqa: ASYNC221 (nothing runs yet)
    zero = time.time_ns()
    law = (f"LD_PRELOAD={shim}", f"VCLOCK_ZERO_NS={zero}", f"VCLOCK_PPM={PPM}")
    with veth_pair() as (a, b, interface):
        spec = replace(ORDINARY, interface=interface)
        async with keeping(b, spec) as (keeper, listener):

            def error() -> float:
                """Media time against the law."""
                return listener.ahead_of_realtime() - PPM * 1e-6 * (time.time_ns() - zero)

            rival, _ = ptp4l(
                a, interface, tmp_path, master=None, priority1=128, log_announce=-1, environment=law
            )
            await until_shown(keeper, port_state="slave", state="locked")
            steady = 0

            def rate_is_known() -> bool:
                """For 2 seconds in a row."""
                nonlocal steady
                right = keeper.snapshot()["rate_ppm"] == pytest.approx(PPM, abs=1)
                steady = steady + 1 if right else 0
                return steady >= 100

            await until(rate_is_known, keeper.snapshot)
            followed, session = len(listener.records), listener.record.session_epoch
            a.stop(rival)
            await until_shown(keeper, port_state="master")
            errors = []
            for _ in range(60):
                await asyncio.sleep(0.05)
                errors.append(error())
            # the rate was learned from 8 Syncs a second for some seconds, on a busy machine
            assert abs(statistics.median(errors)) < 20_000
            assert keeper.snapshot()["media_rate_ppm"] == pytest.approx(PPM, abs=2)
            assert listener.record.session_epoch == session
            assert listener.states(since=followed) <= {State.LOCKED, State.HOLDOVER}


@pytest.mark.root
async def test_of_two_of_us_the_better_one_leads_and_the_other_takes_over() -> None:
    with veth_pair() as (a, b, interface):
        better = replace(ORDINARY, interface=interface, priority1=249, announce_interval=-2)
        worse = replace(better, priority1=250)
        async with keeping(b, worse) as (second, listener):
            async with keeping(a, better) as (first, _):
                await until_shown(second, port_state="slave")
                assert second.snapshot()["gmid"] == first.snapshot()["gmid"]
                assert first.snapshot()["port_state"] == "master"
                await until_near(listener, TAI_NS, 20_000)
                session = listener.record.session_epoch
            await until_shown(second, port_state="master")
            await until_near(listener, TAI_NS, 20_000)
            async with keeping(a, better) as (first, _):
                await until_shown(second, port_state="slave", state="locked")
                assert first.snapshot()["port_state"] == "master"
                await until_near(listener, TAI_NS, 20_000)
                assert listener.record.session_epoch == session


@pytest.mark.root
@pytest.mark.peer("ptp4l")
async def test_the_ptp4l_of_this_machine_is_asked_for_its_grandmaster(tmp_path: Path) -> None:
    with namespaces(1) as (home,):
        process, log = ptp4l(home, "lo", tmp_path, master=True)
        path = tmp_path / log.name.replace("ptp4l", "uds").removesuffix(".log")
        place = Ptp4lPlace((str(tmp_path / "none"), str(path)), str(tmp_path))
        reference, wrong = Reference("a clock", 0), Reference("a clock", 0)
        reader = ReferenceReader(Nowhere(), reference, 0, place)
        elsewhere = ReferenceReader(Nowhere(), wrong, 5, place)

        def asked() -> bytes | None:
            reader.ask()
            elsewhere.ask()
            return reference.grandmaster

        await until(asked, log.read_text)
        # on lo its identity is made of no address at all
        assert reference.grandmaster == bytes.fromhex("000000fffe000000")
        assert wrong.grandmaster is None, "it runs in another domain"
        home.stop(process)
        await until(lambda: asked() is None, log.read_text)
        reader.close()
        elsewhere.close()


async def test_the_system_clock_is_followed_without_any_network() -> None:
    listener = Listener()
    keeper = Timekeeper(listener.publish, listener.snapshots.append)
    await keeper.configure(ptp(mode="system", interface=""))
    try:
        await until_state(listener, State.LOCKED)
        await until_near(listener, TAI_NS, 2_000)

        def is_sure() -> bool:
            shown = keeper.snapshot()
            return shown["uncertainty_ns"] < 5_000 and shown["reference"]["readings"] > 10

        await until(is_sure, keeper.snapshot)
        snapshot = keeper.snapshot()
        assert snapshot["reference"]["clock"] == "the system clock"
    finally:
        await keeper.close()
