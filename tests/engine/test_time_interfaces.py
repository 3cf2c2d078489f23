"""Time by an interface of its own: moved while it runs, missing at first, one of two missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aes67.clock.lock import State
from aes67.engine.plan import ClockSpec
from aes67.engine.timekeeper import Timekeeper
from aes67.errors import Refused
from sim.netns import Namespace, namespaces, plug, ptp4l, two_networks
from sim.timekeeping import Listener, keeping, ptp, until, until_near, until_shown

NOBODY = "00-00-00-00-00-00-00-00"


pytestmark = pytest.mark.usefixtures("system_clock_untouched")


def on(*interfaces: str) -> ClockSpec:
    """A slave with a port on each of these."""
    ports = tuple((each, "aes67") for each in interfaces)
    return ptp(interface=interfaces[0], ports=ports)


def joined(where: Namespace) -> set[str]:
    """The interfaces on which the group of PTP is joined in a namespace."""
    found, name = set(), ""
    with where.entered():
        lines = Path("/proc/thread-self/net/igmp").read_text().splitlines()
    for line in lines[1:]:
        words = line.split()
        if len(words) > 4:
            name = words[1]
        elif words[0] == "810100E0":  # 224.0.1.129
            found.add(name)
    return found


@pytest.mark.root
@pytest.mark.peer("ptp4l")
async def test_the_clock_moves_to_another_interface_and_goes_on(tmp_path: Path) -> None:
    with two_networks() as (first, here, second):
        ptp4l(first, "net0", tmp_path, master=True, log_announce=-1)
        ptp4l(second, "net1", tmp_path, master=True, log_announce=-1)
        async with keeping(here, on("net0")) as (keeper, listener):
            before = await until_shown(keeper, port_state="slave", state="locked")
            assert joined(here) == {"net0"}
            session = listener.record.session_epoch
            await keeper.configure(on("net1"))
            assert joined(here) == {"net1"}
            after = await until_shown(keeper, port_state="slave", state="locked")
            assert after["gmid"] != before["gmid"]
            assert after["port_identity"] != before["port_identity"], "made of its own address"
            assert [each["interface"] for each in after["ports"]] == ["net1"]
            await until_near(listener, 0, 20_000)
            assert listener.record.session_epoch == session, "both serve this machine's clock"


@pytest.mark.root
async def test_the_interface_of_the_first_plan_may_come_later() -> None:
    with namespaces(2) as (master, here):
        listener = Listener()
        keeper = Timekeeper(listener.publish, listener.snapshots.append)
        with here.entered():
            with pytest.raises(Refused):
                await keeper.configure(on("ck0"))
            await keeper.configure(on("ck0"), wait=True)
        try:
            shown = keeper.snapshot()
            assert shown["state"] == "unlocked"
            assert shown["reason"].startswith("there is no interface ck0; ")
            assert listener.record.state == State.UNLOCKED
            plug(master, here, "ck0")
            with here.entered():
                await until(lambda: not keeper.snapshot()["trouble"], keeper.snapshot)
            assert keeper.snapshot()["port_identity"].split("/")[0] != NOBODY
            async with keeping(master, ptp(mode="gm", interface="ck0")):
                await until_shown(keeper, port_state="slave", state="locked")
        finally:
            await keeper.close()


@pytest.mark.root
async def test_a_grandmaster_has_its_name_from_the_interface_that_came() -> None:
    with namespaces(2) as (slave, here):
        listener = Listener()
        keeper = Timekeeper(listener.publish, listener.snapshots.append)
        with here.entered():
            await keeper.configure(replace(on("ck0"), mode="gm"), wait=True)
        try:
            assert keeper.snapshot()["gmid"] == NOBODY
            session = listener.record.session_epoch
            plug(slave, here, "ck0")
            with here.entered():
                await until(lambda: keeper.snapshot()["gmid"] != NOBODY, keeper.snapshot)
            assert listener.record.session_epoch == session, "its time goes on"
            async with keeping(slave, on("ck0")) as (other, _):
                shown = await until_shown(other, port_state="slave", state="locked")
                assert shown["gmid"] == keeper.snapshot()["gmid"]
        finally:
            await keeper.close()


@pytest.mark.root
async def test_one_of_two_that_is_missing_is_a_reason_and_the_other_one_serves() -> None:
    with namespaces(2) as (master, here):
        plug(master, here, "net1")
        async with (
            keeping(master, ptp(mode="gm", interface="net1")),
            keeping(here, on("net0", "net1")) as (keeper, _),
        ):
            shown = await until_shown(keeper, port_state="slave", state="locked")
            assert shown["reason"].startswith("there is no interface net0; ")
            assert [bool(each["trouble"]) for each in shown["ports"]] == [True, False]
            assert [each["interface"] for each in shown["ports"]] == ["net0", "net1"]
