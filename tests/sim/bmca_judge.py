"""Who judges the contests: our port in virtual time, and a real ptp4l for each of them at once.

The latter share one namespace and have a domain each; root only.
"""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from aes67.clock.timebase import NS, Line
from aes67.ptp.bmca import PortState, Role
from aes67.ptp.port import Port
from aes67.ptp.port_types import PortConfig
from aes67.wire.ptp_header import PortIdentity
from aes67.wire.ptp_messages import Quality
from sim.bmca_contests import LOG_ANNOUNCE, OWN, Contest, clock
from sim.netns import Namespace, namespaces

SETTINGS = """[global]
network_transport UDPv4
domainNumber {domain}
time_stamping software
free_running 1
slaveOnly {slave_only}
clockIdentity {identity}
priority1 {priority1}
clockClass {clock_class}
clockAccuracy {accuracy}
offsetScaledLogVariance {variance}
priority2 {priority2}
logAnnounceInterval {announce}
announceReceiptTimeout 3
uds_address {uds}
[lo]
"""
GENERAL = ("224.0.1.129", 320)
EVERY_S = 0.25
ASK_AFTER_S, TALK_S = 3.0, 4.0
"""Asked while the offers still come: they qualify after two and time out after 1.5 s."""
Verdict = tuple[str, str, str]
"""State of the port, identity of the parent (with its port), identity of the grandmaster."""


STATES = {
    "slave": {PortState.UNCALIBRATED, PortState.SLAVE},
    "master": {PortState.PRE_MASTER, PortState.MASTER},
    "passive": {PortState.PASSIVE},
}


def right(contest: Contest, verdict: Verdict) -> bool:
    """Whether a verdict is what the table says."""
    state, parent, grandmaster = verdict
    if state.lower() not in {each.value for each in STATES[contest.state]}:
        return False
    if contest.winner is None:
        return True
    winner = contest.offers[contest.winner]
    return (parent, grandmaster) == (
        f"{spelled(winner.identity.clock)}-{winner.port}", spelled(winner.grandmaster_clock)
    )  # fmt: skip


def ours(contest: Contest, order: int = 1) -> Verdict:
    """What our port makes of it after 3 s, the offers sent forwards or backwards (-1)."""
    own = contest.own
    identity = PortIdentity(clock(OWN), 1)
    config = PortConfig(identity, Role.SLAVE_ONLY, log_announce=LOG_ANNOUNCE)
    if own is not None:
        quality = Quality(own.clock_class, own.accuracy, own.variance)
        config = PortConfig(
            identity, Role.ORDINARY, 0, own.priority1, own.priority2, quality, LOG_ANNOUNCE
        )
    port = Port(config, lambda: 0.5, 0, Line(0, 0))
    for sequence in range(12):
        now = sequence * NS // 4
        for offer in contest.offers[::order]:
            port.receive(offer.packet(sequence), "10.0.0.1", now, None)
        port.handle_timer(now)
        port.outgoing()
    chosen = port.selected
    if chosen is None or chosen.announce is None:
        return port.state.value, "", ""
    parent = f"{spelled(chosen.identity.clock)}-{chosen.identity.port}"
    return port.state.value, parent, spelled(chosen.announce.grandmaster)


def spelled(identity: bytes) -> str:
    """As linuxptp prints one."""
    text = identity.hex()
    return f"{text[:6]}.{text[6:10]}.{text[10:]}"


def judge(contests: tuple[Contest, ...], folder: Path) -> list[Verdict]:
    """What ptp4l makes of each contest."""
    with namespaces(1) as (home,):
        for domain, contest in enumerate(contests):
            _start(home, contest, domain, folder)
        time.sleep(1.0)
        with home.entered():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            where = socket.inet_aton("127.0.0.1")
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, where)
        with sender:
            for sequence in range(round(TALK_S / EVERY_S)):
                if sequence == round(ASK_AFTER_S / EVERY_S):
                    asked = [_ask(home, domain, folder) for domain in range(len(contests))]
                for domain, contest in enumerate(contests):
                    for offer in contest.offers:
                        sender.sendto(offer.packet(sequence, domain), GENERAL)
                time.sleep(EVERY_S)
        return [_answer(process) for process in asked]


def _start(home: Namespace, contest: Contest, domain: int, folder: Path) -> None:
    own = contest.own
    text = SETTINGS.format(
        domain=domain, slave_only=int(own is None), identity=spelled(clock(OWN)),
        priority1=own.priority1 if own else 255, clock_class=own.clock_class if own else 255,
        accuracy=hex(own.accuracy if own else 0xFE), variance=hex(own.variance if own else 0xFFFF),
        priority2=own.priority2 if own else 255, announce=LOG_ANNOUNCE, uds=folder / f"u{domain}",
    )  # fmt: skip
    settings = folder / f"judge-{domain}.cfg"
    settings.write_text(text)
    home.spawn("ptp4l", "-f", str(settings), "-m", log=folder / f"judge-{domain}.log")


def _ask(home: Namespace, domain: int, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["pmc", "-u", "-b", "0", "-d", str(domain), "-s", str(folder / f"u{domain}"),
         "-i", str(folder / f"p{domain}"), "GET PARENT_DATA_SET", "GET PORT_DATA_SET"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _answer(process: subprocess.Popen[str]) -> Verdict:
    text, _ = process.communicate(timeout=10)
    found = dict(line.split(None, 1) for line in text.splitlines() if len(line.split(None, 1)) == 2)
    missing = f"?{text}"
    return (
        found.get("portState", missing).strip(),
        found.get("parentPortIdentity", missing).strip(),
        found.get("grandmasterIdentity", missing).strip(),
    )
