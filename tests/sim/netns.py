"""Network namespaces of one test, with unique names, and ptp4l in them; root only."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from aes67.selftest import child

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Namespace:
    """A network namespace with its `lo` up; `delete` also ends what runs in it by `spawn`."""

    def __init__(self) -> None:
        self.name = f"ck{os.getpid()}-{next(_numbers)}"
        ip("netns", "add", self.name)
        self.processes: list[subprocess.Popen[str]] = []
        ip("-n", self.name, "link", "set", "lo", "up")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread's new sockets are made in here."""
        with open("/proc/thread-self/ns/net", "rb") as home:
            with open(f"/run/netns/{self.name}", "rb") as there:
                assert _libc.setns(there.fileno(), CLONE_NEWNET) == 0
            try:
                yield
            finally:
                assert _libc.setns(home.fileno(), CLONE_NEWNET) == 0

    def spawn(self, *command: str, log: Path) -> subprocess.Popen[str]:
        """Run a program in here without the right to set any clock."""
        with log.open("w") as out:
            process = subprocess.Popen(
                [
                    "ip",
                    "netns",
                    "exec",
                    self.name,
                    "setpriv",
                    "--bounding-set=-sys_time",
                    "--inh-caps=-sys_time",
                    *command,
                ],
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[str]) -> None:
        """End a process of `spawn` (each wrapper executes the next: the pid is the program's)."""
        child.stop(process)

    def delete(self) -> None:
        for process in self.processes:
            self.stop(process)
        ip("netns", "delete", self.name)


@contextlib.contextmanager
def namespaces(count: int) -> Iterator[list[Namespace]]:
    made: list[Namespace] = []
    try:
        for _ in range(count):
            made.append(Namespace())
        yield made
    finally:
        for each in made:
            each.delete()


@contextlib.contextmanager
def veth_pair() -> Iterator[tuple[Namespace, Namespace, str]]:
    """Two namespaces joined by a cable, 10.67.0.1 and 10.67.0.2; the interfaces have one name."""
    with namespaces(2) as (a, b):
        plug(a, b, "ck0")
        yield a, b, "ck0"


def plug(a: Namespace, b: Namespace, name: str, network: str = "10.67.0") -> None:
    """Join two namespaces by a new cable, which is a network with addresses .1 and .2."""
    ip("-n", a.name, "link", "add", name, "type", "veth", "peer", "name", name, "netns", b.name)
    for number, each in enumerate((a, b), 1):
        ip("-n", each.name, "addr", "add", f"{network}.{number}/24", "dev", name)
        ip("-n", each.name, "link", "set", name, "up")


@contextlib.contextmanager
def two_networks(
    first: str = "net0", second: str = "net1"
) -> Iterator[tuple[Namespace, Namespace, Namespace]]:
    """The one in the middle is on two networks, by interfaces of these names."""
    with namespaces(3) as (before, here, behind):
        plug(before, here, first)
        plug(here, behind, second, "10.68.0")
        yield before, here, behind


PTP4L = """[global]
network_transport UDPv4
domainNumber {domain}
time_stamping software
delay_mechanism E2E
free_running 1
{role}
priority1 {priority1}
clockClass {clock_class}
logAnnounceInterval {log_announce}
logSyncInterval {log_sync}
logMinDelayReqInterval {log_delay}
announceReceiptTimeout 3
twoStepFlag 1
dscp_event 46
dscp_general 34
tx_timestamp_timeout 10
freq_est_interval 0
summary_interval -3
uds_address {socket}
[{interface}]
"""


def ptp4l(
    where: Namespace,
    interface: str,
    folder: Path,
    *,
    master: bool | None,
    priority1: int = 127,
    domain: int = 0,
    log_announce: int = 0,
    log_sync: int = -3,
    log_delay: int = 0,
    environment: Sequence[str] = (),
) -> tuple[subprocess.Popen[str], Path]:
    """A real ptp4l that only measures; the process and its log. `master` None: BMCA decides.

    `environment`: `NAME=value` of the process.
    """
    number = next(_numbers)
    settings = folder / f"ptp4l-{number}.cfg"
    settings.write_text(
        PTP4L.format(
            domain=domain,
            role="" if master is None else "masterOnly 1" if master else "slaveOnly 1",
            priority1=priority1,
            clock_class=255 if master is False else 248,
            log_announce=log_announce,
            log_sync=log_sync,
            log_delay=log_delay,
            socket=folder / f"uds-{number}",
            interface=interface,
        )
    )
    log = folder / f"ptp4l-{number}.log"
    command = ["env", *environment, "ptp4l", "-f", str(settings), "-m"]
    return where.spawn(*command, log=log), log


class _Timex(ctypes.Structure):
    """`struct timex` as far as anybody disciplines by it; padded beyond its size."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("fraction", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("rest", ctypes.c_char * 256),
    )


def discipline() -> tuple[int, int, int, int]:
    """Frequency, tick, status and offset of the system clock; reading needs no right."""
    timex = _Timex()
    _libc.adjtimex(ctypes.byref(timex))
    return timex.freq, timex.tick, timex.status, timex.offset
