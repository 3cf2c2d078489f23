"""The timekeeper on real sockets and the kernel's stamps, with ptp4l on the other end.

Everything here shares one CLOCK_REALTIME, so a ptp4l in free-running mode serves exactly that:
it is the truth our media clock is held against.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from aes67.clock.lock import State
from aes67.engine.clock_page import MediaRecord
from aes67.engine.ptp_network import clock_identity
from aes67.engine.timekeeper import Timekeeper
from aes67.errors import Refused
from aes67.net.timestamping import OPT_CMSG, OPT_TSONLY, RX_SOFTWARE, SOFTWARE, STAMPING, CrossClock
from sim import waiting
from sim.netns import Namespace, discipline, ip, namespaces, plug, ptp4l, veth_pair

NS = 1_000_000_000
TAI_NS = 37 * NS


@dataclass(frozen=True)
class Spec:
    mode: str = "ptp-slave"
    interface: str = "lo"
    domain: int = 0
    dscp: int = 46
    priority1: int = 100
    priority2: int = 128
    sync_interval: int = -3
    announce_interval: int | None = -2
    allowed_masters: frozenset[bytes] = frozenset()
    asymmetry_ns: int = 0
    ports: tuple[tuple[str, str], ...] = ()
    card_timestamps: str = "off"
    link_delay_limit_ns: int = 0


class Listener:
    """Collects what a timekeeper publishes, with the instant of each change of state."""

    def __init__(self) -> None:
        self.records: list[tuple[float, MediaRecord]] = []
        self.snapshots: list[dict[str, Any]] = []

    def publish(self, record: MediaRecord) -> None:
        self.records.append((time.monotonic(), record))

    def entered(self, state: State) -> float:
        return next((at for at, r in self.records if r.state == state), float("inf"))

    @property
    def record(self) -> MediaRecord:
        return self.records[-1][1]

    def ahead_of_realtime(self) -> int:
        """Media time minus CLOCK_REALTIME, now."""
        raw_ns, real_ns = CrossClock().read()
        span = raw_ns - self.record.raw_ns
        return self.record.media_ns + span + (span * self.record.rate_q40 >> 40) - real_ns


@asynccontextmanager
async def keeping(
    where: Namespace, spec: Spec, stamping: int = STAMPING
) -> AsyncIterator[tuple[Timekeeper, Listener]]:
    """A timekeeper configured inside a namespace."""
    listener = Listener()
    keeper = Timekeeper(listener.publish, listener.snapshots.append, stamping=stamping)
    with where.entered():
        await keeper.configure(spec)
        try:
            yield keeper, listener
        finally:
            await keeper.close()


async def until(listener: Listener, state: State, seconds: float) -> None:
    """Wait for a state to be published, at most so long."""
    deadline = time.monotonic() + seconds
    while not listener.records or listener.record.state != state:
        last = listener.snapshots[-1] if listener.snapshots else None
        assert time.monotonic() < deadline, last
        await asyncio.sleep(0.02)


async def offsets(listener: Listener, seconds: float) -> list[int]:
    """Media minus REALTIME, sampled for so long."""
    found = []
    for _ in range(round(seconds * 20)):
        await asyncio.sleep(0.05)
        found.append(listener.ahead_of_realtime())
    return found


def number_after(line: str, words: str) -> int:
    """What ptp4l prints behind these words."""
    return int(line.split(words)[1].split()[0])


@pytest.fixture(autouse=True)
def _system_clock_untouched() -> Iterator[None]:
    before = discipline()
    yield
    assert discipline() == before


@pytest.mark.root
@pytest.mark.peer("ptp4l")
async def test_it_locks_to_a_ptp4l_beside_it_on_lo(tmp_path: Path) -> None:
    with namespaces(1) as (home,):
        ptp4l(home, "lo", tmp_path, master=True)
        async with keeping(home, Spec()) as (keeper, listener):
            await until(listener, State.LOCKED, 12)
            snapshot = keeper.snapshot()
            assert snapshot["gmid"] == "00-00-00-FF-FE-00-00-00"
            assert snapshot["port_identity"].startswith("02-00-00-AE-67-00-00-00")
            assert snapshot["timestamps"]["rung"] == "kernel"
            errors = await offsets(listener, 2)
            assert abs(statistics.median(errors)) < 5_000
            assert all(r.state == State.LOCKED for _, r in listener.records[-10:])
            assert snapshot["messages"]["malformed"] == 0


@pytest.mark.root
@pytest.mark.peer("ptp4l")
async def test_over_a_cable_it_locks_in_time_and_holds_over_when_the_master_dies(
    tmp_path: Path,
) -> None:
    with veth_pair() as (a, b, interface):
        async with keeping(b, Spec(interface=interface)) as (keeper, listener):
            gm, _ = ptp4l(a, interface, tmp_path, master=True)
            assert listener.record.state == State.UNLOCKED
            assert abs(listener.ahead_of_realtime() - TAI_NS) < 1_000_000
            first_sync = second_announce = 0.0
            deadline = time.monotonic() + 15
            while listener.record.state != State.LOCKED:
                assert time.monotonic() < deadline, keeper.snapshot()
                received = keeper.snapshot()["messages"]["received"]
                if not first_sync and received.get("Sync", 0) >= 1:
                    first_sync = time.monotonic()
                if not second_announce and received.get("Announce", 0) >= 2:
                    second_announce = time.monotonic()
                await asyncio.sleep(0.01)
            assert first_sync
            assert second_announce
            # 0.5 s for a machine that is busy with something else
            limit = max(first_sync + 2, second_announce + 0.5) + 0.5
            assert listener.entered(State.LOCKED) <= limit
            assert listener.record.epoch == 1
            assert listener.record.session_epoch == 0
            assert abs(statistics.median(await offsets(listener, 2))) < 10_000
            a.stop(gm)
            await until(listener, State.HOLDOVER, 6)
            snapshot = keeper.snapshot()
            assert snapshot["reason"].startswith("no Sync from ")
            assert snapshot["gmid"] != ""
            assert abs(listener.ahead_of_realtime()) < 20_000


@pytest.mark.root
@pytest.mark.peer("ptp4l")
async def test_a_ptp4l_slave_follows_our_grandmaster(tmp_path: Path) -> None:
    with veth_pair() as (a, b, interface):
        async with keeping(a, Spec(mode="gm", interface=interface)) as (keeper, listener):
            assert listener.record.state == State.LOCKED
            assert abs(listener.ahead_of_realtime() - TAI_NS) < 1_000
            _, log = ptp4l(b, interface, tmp_path, master=False, log_delay=-3)
            lines: list[str] = []
            deadline = time.monotonic() + 20
            while len(lines) < 4:
                assert time.monotonic() < deadline, log.read_text()
                await asyncio.sleep(0.1)
                lines = [x for x in log.read_text().splitlines() if "master offset" in x]
            # ptp4l takes the announced UTC offset off the TAI that we give out, so it sees none
            assert abs(statistics.median(number_after(x, "master offset") for x in lines)) < 50_000
            assert 0 < statistics.median(number_after(x, "path delay") for x in lines) < 200_000
            snapshot = keeper.snapshot()
            identity = snapshot["gmid_hex"]
            assert f"{identity[:6]}.{identity[6:10]}.{identity[10:]}" in log.read_text()
            assert snapshot["messages"]["delay_resp_sent"] > 0
            assert snapshot["messages"]["sync_unstamped"] == 0


@pytest.mark.root
async def test_two_engines_on_one_host_grandmaster_and_slave() -> None:
    with namespaces(1) as (home,):
        async with (
            keeping(home, Spec(mode="gm")) as (gm, _),
            keeping(home, Spec(sync_interval=0)) as (slave, listener),
        ):
            await until(listener, State.LOCKED, 6)
            ours, theirs = gm.snapshot(), slave.snapshot()
            assert theirs["gmid"] == ours["gmid"]
            assert theirs["port_identity"] != ours["port_identity"]
            assert abs(statistics.median(await offsets(listener, 1)) - TAI_NS) < 5_000


@pytest.mark.root
async def test_a_grandmaster_that_is_restarted_goes_on_with_the_same_time() -> None:
    with namespaces(1) as (home,):
        found = []
        for _ in range(2):
            async with keeping(home, Spec(mode="gm")) as (keeper, listener):
                found.append((keeper.snapshot()["gmid"], listener.ahead_of_realtime()))
        assert found[0][0] == found[1][0]
        assert abs(found[0][1] - found[1][1]) < 1_000


async def test_free_mode_needs_no_right_and_no_interface() -> None:
    listener = Listener()
    keeper = Timekeeper(listener.publish, listener.snapshots.append)
    await keeper.configure(Spec(mode="free", interface=""))
    try:
        assert listener.record.state == State.LOCKED
        assert listener.record.uncertainty_ns == 0
        await asyncio.sleep(1.2)
        assert abs(listener.ahead_of_realtime() - TAI_NS) < 100_000
        times = [at for at, _ in listener.records]
        assert max(b - a for a, b in zip(times, times[1:], strict=False)) < 0.25
        assert listener.snapshots
    finally:
        await keeper.close()


@pytest.mark.root
async def test_the_mode_can_be_changed_while_it_runs() -> None:
    with namespaces(1) as (home,):
        async with (
            keeping(home, Spec(mode="gm", domain=7)) as _,
            keeping(home, Spec(mode="free")) as (keeper, listener),
        ):
            await keeper.configure(Spec(mode="gm", domain=9))
            assert listener.record.state == State.LOCKED
            identity = keeper.snapshot()["port_identity"]
            await keeper.configure(Spec(domain=9))
            assert keeper.snapshot()["port_identity"] == identity
            assert listener.record.state == State.UNLOCKED
            await asyncio.sleep(0.6)
            assert "heard in domain 7" in keeper.snapshot()["reason"]
            await keeper.configure(Spec(domain=7))
            await until(listener, State.LOCKED, 6)
            # one time base throughout, so nobody had to notice
            assert listener.record.epoch == 0
            assert abs(statistics.median(await offsets(listener, 1)) - TAI_NS) < 20_000


@pytest.mark.root
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"mode": "gptp-maybe"}, "mode"),
        ({"interface": "nosuch0"}, "interface"),
        ({"domain": 128}, "domain"),
        ({"dscp": 64}, "dscp"),
        ({"priority1": 256}, "priority1"),
        ({"sync_interval": 2}, "sync_interval"),
        ({"announce_interval": -4}, "announce_interval"),
        ({"asymmetry_ns": 10_000_001}, "asymmetry_ns"),
    ],
)
async def test_a_refusal_names_the_field_and_changes_nothing(
    change: dict[str, Any], field: str
) -> None:
    with namespaces(1) as (home,):
        async with keeping(home, Spec(mode="gm")) as (keeper, listener):
            before = keeper.snapshot()["gmid"]
            with pytest.raises(Refused) as refused:
                await keeper.configure(replace(Spec(), **change))
            assert refused.value.field == field
            if field == "interface":
                assert "there are: lo" in refused.value.rule
            assert keeper.snapshot()["mode"] == "gm"
            assert keeper.snapshot()["gmid"] == before
            assert listener.record.state == State.LOCKED


PROGRAM = """
import asyncio, sys
from dataclasses import dataclass
from aes67.engine.timekeeper import Timekeeper
from aes67.errors import Refused

@dataclass
class Spec:
    mode: str
    interface: str
    domain: int = 0
    dscp: int = 46
    priority1: int = 100
    priority2: int = 128
    sync_interval: int = -3
    announce_interval: int | None = -2
    allowed_masters: frozenset[bytes] = frozenset()
    asymmetry_ns: int = 0
    ports: tuple[tuple[str, str], ...] = ()
    card_timestamps: str = "off"
    link_delay_limit_ns: int = 0

async def main():
    states = []
    keeper = Timekeeper(lambda record: states.append(record.state), lambda snapshot: None)
    try:
        await keeper.configure(Spec(*sys.argv[1:]))
    except Refused as refused:
        print(refused)
        return
    for _ in range(1000):
        await asyncio.sleep(0.02)
        if states[-1] == 2 and sys.argv[1] != "gm":
            break
    print(keeper.snapshot()["state"])
    await keeper.close()

asyncio.run(main())
"""


@pytest.mark.root
def test_without_the_right_to_the_ports_it_says_what_to_do(tmp_path: Path) -> None:
    with namespaces(1) as (home,):
        process = home.spawn(
            "setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service",
            sys.executable, "-c", PROGRAM, "gm", "lo", log=tmp_path / "log",
        )  # fmt: skip
        assert process.wait(60) == 0
        text = (tmp_path / "log").read_text()
        assert "port = 319" in text
        assert "CAP_NET_BIND_SERVICE" in text


@pytest.mark.root
@pytest.mark.peer("ptp4l")
def test_it_locks_without_the_right_to_set_any_clock(tmp_path: Path) -> None:
    with namespaces(1) as (home,):
        ptp4l(home, "lo", tmp_path, master=True, log_announce=-1)
        log = tmp_path / "log"
        process = home.spawn(sys.executable, "-c", PROGRAM, "ptp-slave", "lo", log=log)
        assert process.wait(60) == 0
        assert log.read_text().splitlines()[-1] == "locked"


@pytest.mark.root
async def test_an_interface_that_is_unplugged_and_plugged_in_again(tmp_path: Path) -> None:
    with veth_pair() as (a, b, interface):
        a.spawn(sys.executable, "-c", PROGRAM, "gm", interface, log=tmp_path / "gm")
        async with keeping(b, Spec(interface=interface)) as (keeper, listener):
            await until(listener, State.LOCKED, 10)
            ip("-n", b.name, "link", "delete", interface)
            await until(listener, State.HOLDOVER, 6)
            await asyncio.sleep(1.1)
            assert f"interface {interface} is gone" in keeper.snapshot()["reason"]
            plug(a, b, interface)
            await until(listener, State.LOCKED, 8)
            assert listener.record.session_epoch == 0
            assert keeper.snapshot()["trouble"] == ""


@pytest.mark.root
@pytest.mark.parametrize(
    ("stamping", "words"),
    [
        (RX_SOFTWARE | SOFTWARE | OPT_CMSG | OPT_TSONLY, "kernel, receive only"),
        (0, "userspace"),
    ],
)
async def test_a_poorer_kernel_costs_a_rung_not_the_lock(stamping: int, words: str) -> None:
    with namespaces(1) as (home,):
        async with (
            keeping(home, Spec(mode="gm")) as (gm, _),
            keeping(home, Spec(), stamping) as (keeper, listener),
        ):
            deadline = time.monotonic() + 25
            while keeper.snapshot()["timestamps"]["rung"] != words:
                assert time.monotonic() < deadline, keeper.snapshot()
                await asyncio.sleep(0.1)
            while listener.record.state not in (State.LOCKED, State.LOCKING):
                assert time.monotonic() < deadline, keeper.snapshot()
                await asyncio.sleep(0.1)
            await asyncio.sleep(1)
            assert keeper._clock is not None
            followed = keeper._clock.followed
            assert followed is not None
            assert (
                abs(followed.estimator.line.at(listener.record.raw_ns) - listener.record.media_ns)
                < 5_000_000
            )


@pytest.mark.root
@pytest.mark.peer("tshark")
async def test_tshark_reads_our_messages_and_their_dscp(tmp_path: Path) -> None:
    with namespaces(1) as (home,):
        capture = tmp_path / "lo.pcap"
        judge = home.spawn("tshark", "-q", "-i", "lo", "-w", str(capture), log=tmp_path / "log")
        await waiting.until(lambda: "Capturing" in (tmp_path / "log").read_text(), seconds=20)
        async with (
            keeping(home, Spec(mode="gm")) as _,
            keeping(home, Spec(dscp=48)) as (_, listener),
        ):
            await until(listener, State.LOCKED, 6)
            await asyncio.sleep(1.5)
        home.stop(judge)
        rows = subprocess.run(  # noqa: ASYNC221 (nothing else is to run meanwhile)
            ["tshark", "-r", str(capture), "-T", "fields", "-e", "ptp.v2.messagetype",
             "-e", "ip.dsfield.dscp", "-e", "udp.dstport", "-e", "_ws.malformed"],
            capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
        kinds = {tuple(row.split("\t")[:3]) for row in rows}
        assert ("0x00", "46", "319") in kinds  # Sync
        assert ("0x08", "34", "320") in kinds  # Follow_Up
        assert ("0x0b", "34", "320") in kinds  # Announce
        assert ("0x01", "48", "319") in kinds  # Delay_Req
        assert ("0x09", "34", "320") in kinds  # Delay_Resp
        assert not any(row.split("\t")[3:] not in ([], [""]) for row in rows)


def test_our_identity_is_never_ptp4l_s_on_the_same_interface() -> None:
    address = bytes.fromhex("b827eb123456")
    identities = {clock_identity(address, n) for n in range(16)}
    assert len(identities) == 16
    assert address[:3] + b"\xff\xfe" + address[3:] not in identities
    assert all(each[0] & 0x02 for each in identities)
