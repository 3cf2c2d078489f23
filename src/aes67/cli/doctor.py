"""`aes67 doctor`: what would keep this machine from good audio, in words, with what to do."""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shlex
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aes67.cli.output import (
    GREEN,
    RED,
    YELLOW,
    columns_shown,
    paint,
    print_json,
    wrapped,
)
from aes67.client import ApiError, Client, Unreachable
from aes67.errors import Aes67Error

GOOD, WARNING, BAD = "good", "warning", "bad"
COLOURS = {GOOD: GREEN, WARNING: YELLOW, BAD: RED}
MEMORY_LOCK_BYTES = 256 << 20
"""What the engine locks, rounded up."""
PTP_EVENT_PORT = 319


@dataclass(frozen=True)
class Finding:
    """One thing looked at: how it is, and what to do about it (empty when nothing)."""

    subject: str
    state: str
    words: str
    cure: str = ""


def doctor(arguments: argparse.Namespace, client: Client) -> int:
    """Print all findings; 1 when one of them is bad."""
    found = [
        device(), real_time(), locked_memory(), ptp_ports(), governor(), *daemon(client),
    ]  # fmt: skip
    columns = columns_shown()
    if arguments.json:
        print_json([asdict(each) for each in found])
    else:
        for each in found:
            mark = paint(each.state.ljust(8), COLOURS[each.state])
            print(f"{mark}{wrapped(f'{each.subject}: {each.words}', 8, columns)}")
            if each.cure:
                print(f"        {wrapped(each.cure, 8, columns)}")
    return int(any(each.state == BAD for each in found))


def device() -> Finding:
    """Is the ALSA device defined, and are its libraries there?"""
    from aes67.alsa.config import library_dir
    from aes67.alsa.install import status

    subject = "ALSA device"
    try:
        library_dir()
    except Aes67Error as problem:
        return Finding(subject, BAD, "the plugin is not built", str(problem))
    found = status()
    if found.missing_libraries:
        missing = ", ".join(found.missing_libraries)
        cure = f"run: {again('alsa install', found.system_file is not None)}"
        return Finding(subject, BAD, f"defined, but {missing} is gone", cure)
    if not found.is_installed:
        cure = f"run: {again('alsa install', True)}"
        return Finding(subject, WARNING, "programs do not know it", cure)
    return Finding(subject, GOOD, f"defined in {found.system_file or found.user_file}")


def again(arguments: str, as_root: bool) -> str:
    """A command of this program as root can type it too, whose PATH knows no `.venv/bin`."""
    program = Path(sys.executable).absolute().with_name("aes67")
    command = shlex.quote(str(program)) if program.exists() else "aes67"
    sudo = "sudo " if as_root and os.geteuid() else ""
    return f"{sudo}{command} {arguments}"


def real_time() -> Finding:
    """May this user have real-time scheduling? Tried on a thread of its own, which then ends."""
    permitted: list[bool] = []

    def attempt() -> None:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            permitted.append(True)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    subject = "real-time scheduling"
    if permitted:
        return Finding(subject, GOOD, "permitted")
    cure = "add '@audio - rtprio 95' to a file in /etc/security/limits.d, or use the systemd unit"
    return Finding(subject, WARNING, "not permitted for this user; gaps under load", cure)


def locked_memory() -> Finding:
    """May this user keep its memory from being paged out?"""
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    subject = "locked memory"
    if os.geteuid() == 0 or limit == resource.RLIM_INFINITY or limit >= MEMORY_LOCK_BYTES:
        return Finding(subject, GOOD, "permitted")
    cure = "add '@audio - memlock unlimited' to a file in /etc/security/limits.d"
    return Finding(subject, WARNING, f"at most {limit >> 10} KiB for this user", cure)


def ptp_ports() -> Finding:
    """May this user use PTP's ports?"""
    subject = "PTP ports 319 and 320"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PTP_EVENT_PORT))
        except PermissionError:
            cure = 'run the daemon as root or by the systemd unit, or set "clock_mode": "free"'
            return Finding(subject, WARNING, "not permitted for this user", cure)
        except OSError as problem:
            words = f"cannot be used: {problem.strerror}"
            return Finding(subject, BAD, words, "who has them? ss -ulpn")
    return Finding(subject, GOOD, "can be used")


def governor(root: Path = Path("/sys/devices/system/cpu")) -> Finding:
    """Does the processor slow down when it is idle?"""
    subject = "processor frequency"
    names = {
        path.read_text(encoding="ascii").strip()
        for path in root.glob("cpu[0-9]*/cpufreq/scaling_governor")
    }
    if names <= {"performance"}:
        return Finding(subject, GOOD, "not scaled down")
    cure = "for the smallest buffers: cpupower frequency-set -g performance"
    return Finding(subject, WARNING, f"governed by {', '.join(sorted(names))}", cure)


def daemon(client: Client) -> Iterator[Finding]:
    """The running daemon: engine, clock, what each stream says."""
    try:
        status = client.get("/api/v1/status")
    except (Unreachable, ApiError) as problem:
        yield Finding("daemon", WARNING, f"not running at {client.url}", str(problem))
        return
    engine, clock = status["engine"], status["clock"]
    if not engine["connected"]:
        yield Finding("engine", BAD, "not running", "the daemon's log says why")
        return
    yield Finding("engine", GOOD, "running")
    for warning in engine.get("warnings") or []:
        yield Finding("engine", WARNING, warning)
    locked = clock.get("state") in ("locked", "holdover")
    state = GOOD if clock.get("state") == "locked" else WARNING if locked else BAD
    yield Finding("clock", state, f"{clock.get('state')}: {clock.get('reason')}")
    for row in status.get("network", {}).get("interfaces", []):
        yield interface(row)
    for kind, rows in (("source", status["sources"]), ("sink", status["sinks"])):
        for row in rows:
            yield stream(kind, row)


QUERIER_WORDS = {
    "heard": "an IGMP querier asks",
    "none": "no IGMP querier asks",
    "waiting": "no IGMP querier has asked yet",
    "unknown": "IGMP queriers cannot be heard without CAP_NET_RAW",
}


def interface(row: dict[str, Any]) -> Finding:
    """One network interface in use; the daemon's warnings say more."""
    subject = f"interface {row['name']}"
    if not row["present"]:
        return Finding(subject, BAD, "there is none of this name", "interface_name: ip link")
    if not row["running"]:
        return Finding(subject, BAD, "no link", "is the cable in, is the switch on?")
    if not row["addresses"]:
        return Finding(subject, BAD, "no IPv4 address", "is there a DHCP server? ip address")
    words = f"{row['addresses'][0]}, {QUERIER_WORDS.get(row['querier'], row['querier'])}"
    if row["querier"] == "none" and row["groups"] and row["name"] != "lo":
        cure = "turn on the querier of one switch, or multicast stops after some minutes"
        return Finding(subject, WARNING, words, cure)
    return Finding(subject, GOOD, words)


def stream(kind: str, row: dict[str, object]) -> Finding:
    """One source or sink."""
    counters = row.get("counters")
    counters = counters if isinstance(counters, dict) else {}
    subject = f"{kind} {row['id']} ({row['name']})"
    if row.get("enabled") is False:
        return Finding(subject, GOOD, "disabled")
    note = str(row.get("note") or "")
    if not counters.get("packets"):
        if kind == "source":
            return _not_sending(subject, row, counters, note)
        cure = "is the sender on, is this the right interface, does the switch do IGMP?"
        return Finding(subject, BAD, _both("no packets come", note), cure)
    if note:
        return Finding(subject, WARNING, note)
    lost = counters.get("lost", 0) + counters.get("late", 0) + counters.get("skipped_packets", 0)
    if lost:
        return Finding(subject, WARNING, f"{lost} packets lost, late or not sent so far")
    return Finding(subject, GOOD, "flows without loss")


def _not_sending(
    subject: str, row: dict[str, object], counters: dict[str, int], note: str
) -> Finding:
    """A source of which no packet has left; what is known of the reason comes first."""
    if refused := counters.get("send_errors", 0):
        words = f"does not send: the kernel refused {refused} packets to {row.get('address')}"
        return Finding(subject, BAD, _both(words, note), f"ip route get {row.get('address')}")
    cure = "" if note else "is the clock locked?"
    return Finding(subject, BAD, _both("does not send", note), cure)


def _both(words: str, note: str) -> str:
    return f"{words}; {note}" if note else words
