"""Namespaces on bridges, and the programs in them; everything is gone when the lab is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from bench.daemon import die_with_parent
from bench.network import inside, run
from bench.programs import program
from bench.ptp.truth import Law

INTERFACE = "p0"
DROP = ["setpriv", "--bounding-set=-sys_time", "--inh-caps=-sys_time"]
"""No program of ours or of others may set a clock, whatever it tries."""
ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0
COMPILING_S = 300.0

SETTINGS = """[global]
network_transport UDPv4
domainNumber {domain}
time_stamping software
delay_mechanism E2E
twoStepFlag 1
free_running {free}
{role} 1
priority1 {priority1}
clockClass {clock_class}
logAnnounceInterval {announce}
logSyncInterval {sync}
logMinDelayReqInterval {delay}
announceReceiptTimeout 3
dscp_event 46
dscp_general 34
tx_timestamp_timeout 50
uds_address {uds}
{more}
[{interface}]
"""

GPTP = """[global]
gmCapable 1
priority1 {priority1}
priority2 248
free_running {free}
logAnnounceInterval 0
logSyncInterval -3
syncReceiptTimeout 3
neighborPropDelayThresh 1000000
min_neighbor_prop_delay -20000000
assume_two_step 1
path_trace_enabled 1
follow_up_info 1
transportSpecific 0x1
ptp_dst_mac 01:80:C2:00:00:0E
network_transport L2
delay_mechanism P2P
time_stamping software
tx_timestamp_timeout 50
uds_address {uds}
[{interface}]
"""
"""Stamps of the kernel exceed 802.1AS's limit of 800 ns for a link's delay."""


class Lab:
    """One bridge namespace with `lo` up, any number of others plugged into its bridges."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pid = os.getpid()
        self._numbers = count(1)
        self.clocks: list[subprocess.Popen[bytes]] = []
        """Ours, that write what they know when they are stopped."""
        self._programs: list[subprocess.Popen[bytes]] = []
        self._spaces: list[str] = []
        self._bridges: set[str] = set()
        self.hub = self.space()

    def space(self) -> str:
        """A new namespace, its `lo` up."""
        name = f"ptp{self._pid}-{next(self._numbers)}"
        run("ip", "netns", "add", name)
        self._spaces.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def plug(self, bridge: str, space: str = "", interface: str = INTERFACE) -> str:
        """A new namespace (or `space`) with an interface on a bridge of the hub."""
        name, port = self._cable(space or self.space(), interface)
        self._join(port, bridge)
        return name

    def link(self) -> tuple[str, str]:
        """Two new namespaces with a cable between them."""
        number = next(self._numbers)
        one, other = self.space(), self.space()
        run("ip", "link", "add", INTERFACE, "netns", one,
            "type", "veth", "peer", "name", INTERFACE, "netns", other)  # fmt: skip
        for host, name in enumerate((one, other), 1):
            self._address(name, INTERFACE, f"10.78.{number}.{host}/24")
        return one, other

    def _address(self, name: str, interface: str, address: str) -> None:
        """Let a namespace speak IP on its interface, and multicast."""
        run("ip", "-n", name, "addr", "add", address, "dev", interface)
        run("ip", "-n", name, "link", "set", interface, "up")
        run("ip", "-n", name, "route", "append", "224.0.0.0/4", "dev", interface)

    def _join(self, port: str, bridge: str) -> None:
        if bridge not in self._bridges:
            self._bridges.add(bridge)
            run("ip", "-n", self.hub, "link", "add", bridge, "type", "bridge",
                "stp_state", "0", "mcast_snooping", "0")  # fmt: skip
            run("ip", "-n", self.hub, "link", "set", bridge, "up")
        run("ip", "-n", self.hub, "link", "set", port, "master", bridge)

    def _cable(self, name: str, interface: str) -> tuple[str, str]:
        number = next(self._numbers)
        port = f"v{number}"
        run("ip", "link", "add", interface, "netns", name,
            "type", "veth", "peer", "name", port, "netns", self.hub)  # fmt: skip
        self._address(name, interface, f"10.78.{number}.1/24")
        run("ip", "-n", self.hub, "link", "set", port, "up")
        return name, port

    def start(
        self, space: str, words: list[str], environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Run a program in a namespace without the right to set clocks."""
        given = [f"{name}={value}" for name, value in (environment or {}).items()]
        command = inside(space, *DROP, "env", *given, *words)
        with (self.folder / f"log-{next(self._numbers)}").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT,
                preexec_fn=die_with_parent,
            )  # fmt: skip
        self._programs.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM, and wait: each wrapper executes the next, so this is the program itself."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def ptp4l(
        self,
        space: str,
        *,
        master: bool,
        law: Law | None = None,
        log: Path | None = None,
        sync: int = -3,
        delay: int = -3,
        announce: int = 1,
        domain: int = 0,
        more: str = "",
        network: tuple[float, float, int] = (0.0, 0.0, 0),
        stamps: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """A real ptp4l; with a `law` it lives on that clock, and with a `log` disciplines it.

        `more`: further lines of its settings. `network`: with a law, the share of its general
        messages that are lost, the share of its timestamps that are late, by how many ns. `stamps`:
        with a law, where its timestamps are written down in the machine's time.
        """
        number = next(self._numbers)
        settings = self.folder / f"ptp4l-{number}.cfg"
        settings.write_text(
            SETTINGS.format(
                domain=domain, free=int(log is None), role="masterOnly" if master else "slaveOnly",
                priority1=127, clock_class=248 if master else 255, announce=announce, sync=sync,
                delay=delay, uds=self.folder / f"uds-{number}", more=more,
                interface=INTERFACE,
            )
        )  # fmt: skip
        return self._clocked(space, settings, law, log, stamps, network)

    def gptp4l(
        self, space: str, *, priority1: int, law: Law, log: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """A real ptp4l in an 802.1AS network; see `ptp4l`. The lower `priority1` leads."""
        number = next(self._numbers)
        settings = self.folder / f"ptp4l-{number}.cfg"
        settings.write_text(
            GPTP.format(
                priority1=priority1, free=int(log is None), uds=self.folder / f"uds-{number}",
                interface=INTERFACE,
            )
        )  # fmt: skip
        return self._clocked(space, settings, law, log)

    def _clocked(
        self,
        space: str,
        settings: Path,
        law: Law | None,
        log: Path | None,
        stamps: Path | None = None,
        network: tuple[float, float, int] = (0.0, 0.0, 0),
    ) -> subprocess.Popen[bytes]:
        """ptp4l with these settings, on the clock of `law` if there is one."""
        environment = {}
        if law is not None:
            shim = program("ptp/virtual_clock", "-shared", "-fPIC", "-ldl", "-lm")
            environment = {"LD_PRELOAD": shim, **law.environment()}
            for name, value in zip(("LOSS", "SPIKE", "SPIKE_NS"), network, strict=True):
                environment[f"VCLOCK_{name}"] = str(value)
            for name, path in (("LOG", log), ("STAMPS", stamps)):
                if path is not None:
                    environment[f"VCLOCK_{name}"] = str(path)
        return self.start(space, ["ptp4l", "-f", str(settings), "-m"], environment)

    def ours(self, space: str, out: Path, *words: str) -> subprocess.Popen[bytes]:
        """Our timekeeper; `out` is written when it is stopped."""
        command = [sys.executable, "-m", "bench.ptp.ours", "--interface", INTERFACE]
        process = self.start(space, [*command, "--out", str(out), *words])
        self.clocks.append(process)
        return process

    def lone_slave(self, *words: str) -> tuple[str, Path]:
        """Ours on a bridge, ready; a namespace beside it for its master, and what it will write."""
        master, here = self.plug("br0"), self.plug("br0")
        out = self.folder / "ours.npz"
        self.ours(here, out, *words)
        self.wait_ready()
        return master, out

    def wait_ready(self) -> None:
        """Until all of ours have opened their sockets: the first one may have to compile."""
        deadline = time.monotonic() + COMPILING_S
        while len(list(self.folder.glob("*.ready"))) < len(self.clocks):
            if time.monotonic() > deadline:
                raise RuntimeError(f"not ready: {self.last_words()}")
            self.check()
            time.sleep(0.1)

    def collect(self) -> None:
        """Stop ours, so that they write."""
        for process in self.clocks:
            self.stop(process)
        self.check()

    def hogs(self, number: int) -> list[subprocess.Popen[bytes]]:
        """So many programs that want a whole core each."""
        return [self.start(self.hub, [sys.executable, "-c", "while True: pass"])
                for _ in range(number)]  # fmt: skip

    def flood(self, space: str, interface: str, packets_per_ms: int) -> subprocess.Popen[bytes]:
        """Multicast packets of 800 bytes out of an interface, in bursts of a millisecond."""
        words = [sys.executable, "-m", "bench.ptp.flood", interface, str(packets_per_ms)]
        return self.start(space, words)

    def check(self) -> None:
        """Raise RuntimeError with its last words if a program has ended by itself."""
        for process in self._programs:
            if process.poll() not in (None, 0, -signal.SIGTERM, 128 + signal.SIGTERM):
                raise RuntimeError(f"{process.args!r} ended: {self.last_words()}")

    def last_words(self) -> str:
        """The end of every log."""
        texts = [p.read_text(errors="replace")[-400:] for p in self.folder.glob("log-*")]
        return "\n".join(text for text in texts if text)

    def close(self) -> None:
        """End all programs and delete all namespaces."""
        for process in self._programs:
            if process.poll() is None:
                process.terminate()
        for process in self._programs:
            self.stop(process)
        for name in self._spaces:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@contextmanager
def lab() -> Iterator[Lab]:
    """A lab in a folder of its own, both gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-ptp-") as folder:
        made = Lab(Path(folder))
        try:
            yield made
            made.check()
        finally:
            made.close()


def wait_until(instant_ns: int) -> None:
    """Sleep until CLOCK_REALTIME says so."""
    time.sleep(max(0.0, (instant_ns - time.time_ns()) / 1e9))
