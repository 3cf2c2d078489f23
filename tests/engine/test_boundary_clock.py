"""Two interfaces are two ports of one clock, each by its own profile: real ptp4l on both sides.

The one above is the grandmaster, the one below follows us; what it says of its parent, over its
management socket, is the judge.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

import pytest

from aes67.clock.lock import State
from sim.gptp_peer import gptp4l
from sim.netns import ptp4l, two_networks
from sim.timekeeping import (
    PATIENCE_S,
    TAI_NS,
    keeping,
    measured,
    ptp,
    until,
    until_near,
    until_state,
)

pytestmark = pytest.mark.usefixtures("system_clock_untouched")


def told(log: Path, profile: str) -> dict[str, str]:
    """What the ptp4l of this log says of its parent and its distance from the grandmaster."""
    number = log.stem.split("-")[-1]
    server = log.with_name(f"{'gptp-' if profile == 'gptp' else ''}uds-{number}")
    own = log.with_suffix(".pmc")
    sdo = "1" if profile == "gptp" else "0"
    command = ["pmc", "-u", "-b", "0", "-t", sdo, "-s", str(server), "-i", str(own),
               "GET PARENT_DATA_SET", "GET CURRENT_DATA_SET"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    words = [line.split() for line in done.stdout.splitlines()]
    return {each[0]: each[1] for each in words if len(each) == 2}


async def until_told(log: Path, profile: str, wanted: dict[str, str]) -> None:
    """Until the ptp4l of this log says all that is wanted; we go on serving it meanwhile."""
    deadline = time.monotonic() + PATIENCE_S
    found: dict[str, str] = {}
    while not wanted.items() <= found.items():
        assert time.monotonic() < deadline, (wanted, found)
        found = await asyncio.to_thread(told, log, profile)


@pytest.mark.root
@pytest.mark.peer("ptp4l", "pmc")
@pytest.mark.parametrize(
    ("up", "down"), [("aes67", "aes67"), ("gptp", "aes67"), ("aes67", "gptp")]
)
async def test_two_interfaces_are_a_boundary_clock_between_a_ptp4l_above_and_one_below(
    tmp_path: Path, up: str, down: str
) -> None:
    with two_networks("up0", "down0") as (above, here, below):
        spec = ptp(
            mode="ptp",
            priority1=250,
            interface="up0",
            announce_interval=0,
            link_delay_limit_ns=1_000_000,
            ports=(("up0", up), ("down0", down)),
        )
        async with keeping(here, spec) as (keeper, listener):
            if up == "gptp":
                gptp4l(above, "up0", tmp_path, priority1=246)
            else:
                ptp4l(above, "up0", tmp_path, master=True, log_announce=-1)
            if down == "gptp":
                _, log = gptp4l(below, "down0", tmp_path, priority1=255)
            else:
                _, log = ptp4l(
                    below, "down0", tmp_path, master=False, priority1=255, log_delay=-3
                )

            def states() -> list[str]:
                return [each["port_state"] for each in keeper.snapshot()["ports"]]

            await until(lambda: states() == ["slave", "master"], keeper.snapshot)
            await until_state(listener, State.LOCKED)
            snapshot = keeper.snapshot()
            ours, (_, second) = snapshot["port_identity"], snapshot["ports"]
            assert snapshot["gmid"] != ours.split("/")[0]
            wanted = {
                "grandmasterIdentity": dotted(snapshot["gmid"]),
                "parentPortIdentity": dotted(second["port_identity"].split("/")[0]) + "-2",
                "stepsRemoved": "2",
            }
            await until_told(log, down, wanted)
            # the one above serves CLOCK_REALTIME, against which the one below measures; it takes
            # an announced UTC offset off where the one above claims the PTP timescale
            await until_near(listener, 0, 20_000)

            def below_ns() -> float:
                found = measured(log, "offset")
                return min(abs(found), abs(found + TAI_NS))

            await until(lambda: below_ns() < 50_000, log.read_text)
            snapshot = keeper.snapshot()
            assert [each["port_identity"][-2:] for each in snapshot["ports"]] == ["/1", "/2"]
            assert [each["profile"] for each in snapshot["ports"]] == [up, down]


def dotted(identity: str) -> str:
    """A clock identity as ptp4l writes it."""
    digits = identity.replace("-", "").lower()
    return f"{digits[:6]}.{digits[6:10]}.{digits[10:]}"
