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
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from aes67.cli import idle
from aes67.cli.finding import BAD, GOOD, WARNING, Finding
from aes67.cli.output import (
    GREEN,
    RED,
    YELLOW,
    columns_shown,
    paint,
    print_json,
    visible,
    wrapped,
)
from aes67.client import ApiError, Client, Unreachable
from aes67.errors import Aes67Error

COLOURS = {GOOD: GREEN, WARNING: YELLOW, BAD: RED}
PTP_EVENT_PORT = 319


def doctor(arguments: argparse.Namespace, client: Client) -> int:
    """Print all findings; 1 when one of them is bad."""
    status = looked_up(client)
    found = [
        device(), real_time(), locked_memory(), ptp_ports(), governor(),
        idle_processors(client, status), *daemon(status),
    ]  # fmt: skip
    columns = columns_shown()
    if arguments.json:
        print_json([asdict(each) for each in found])
    else:
        for each in found:
            mark = paint(each.state.ljust(8), COLOURS[each.state])
            print(f"{mark}{wrapped(visible(f'{each.subject}: {each.words}'), 8, columns)}")
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
    if os.geteuid() == 0 or limit == resource.RLIM_INFINITY:
        return Finding(subject, GOOD, "permitted")
    cure = "add '@audio - memlock unlimited' to a file in /etc/security/limits.d"
    words = f"at most {limit >> 10} KiB for this user, so the engine locks nothing"
    return Finding(subject, WARNING, words, cure)


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


def idle_processors(client: Client, status: dict[str, Any] | Finding) -> Finding:
    """Do processors with nothing to do come back in time? A running engine knows more of it."""
    found = idle.read()
    if isinstance(status, Finding):
        return idle.judged(found, 0)
    engine = status["engine"]
    refused = any(each.startswith("cpu_latency_us") for each in engine.get("warnings") or [])
    if found.limit_us is None and engine["connected"] and not refused:  # not root's eyes
        asked_us = client.get("/api/v1/config").get("cpu_latency_us")
        found = replace(found, limit_us=asked_us)
    return idle.judged(found, engine["counters"].get("late_max_ns") or 0)


def looked_up(client: Client) -> dict[str, Any] | Finding:
    """The running daemon's status, or that there is none."""
    try:
        status: dict[str, Any] = client.get("/api/v1/status")
    except (Unreachable, ApiError) as problem:
        return Finding("daemon", WARNING, f"not running at {client.url}", str(problem))
    return status


def daemon(status: dict[str, Any] | Finding) -> Iterator[Finding]:
    """The running daemon: engine, clock, what each stream says."""
    if isinstance(status, Finding):
        yield status
        return
    engine, clock = status["engine"], status["clock"]
    if not engine["connected"]:
        yield Finding("engine", BAD, "not running", "the daemon's log says why")
        return
    yield Finding("engine", GOOD, "running")
    for warning in engine.get("warnings") or []:
        yield Finding("engine", WARNING, warning)
    yield from clocks(clock)
    ethernet = {port["interface"] for port in clock.get("ports") or []
                if port.get("profile") == "gptp"}  # fmt: skip
    for row in status.get("network", {}).get("interfaces", []):
        yield interface(row, row["name"] in ethernet)
    for kind, rows in (("source", status["sources"]), ("sink", status["sinks"])):
        for row in rows:
            yield stream(kind, row)


def clocks(clock: dict[str, Any]) -> Iterator[Finding]:
    """The media clock, and the second one where there is one."""
    for subject, one in (("clock", clock), ("second clock", clock.get("second"))):
        if not one:
            continue
        state, cure = one.get("state"), ""
        worst = BAD if one is clock else WARNING  # nothing runs on the second one
        grade = {"locked": GOOD, "holdover": WARNING}.get(str(state), worst)
        if grade != GOOD:
            masters = [f"{each['clock']} in domain {each['domain']}"
                       for each in one.get("masters") or []]  # fmt: skip
            cure = f"heard: {', '.join(masters)}; aes67 ptp" if masters else NO_MASTER
        yield Finding(subject, grade, f"{state}: {one.get('reason')}", cure)


NO_MASTER = (
    "is a PTP master on this network, in this domain? If there is none at all, this machine can be "
    'it: aes67 config clock_mode=gm'
)
QUERIER_WORDS = {
    "heard": "an IGMP querier asks",
    "none": "no IGMP querier asks",
    "waiting": "no IGMP querier has asked yet",
    "unknown": "IGMP queriers cannot be heard without CAP_NET_RAW",
}


def interface(row: dict[str, Any], ethernet: bool = False) -> Finding:
    """One network interface in use; the daemon's warnings say more.

    `ethernet`: its PTP is gPTP, which takes no address.
    """
    subject, roles = f"interface {row['name']}", row.get("roles") or []
    only_time = bool(roles) and all(role.startswith("ptp") for role in roles)
    if not row["present"]:
        cure = f"{'ptp_interfaces' if only_time else 'interface_name'}: ip link"
        return Finding(subject, BAD, "there is none of this name", cure)
    if not row["running"]:
        return Finding(subject, BAD, "no link", "is the cable in, is the switch on?")
    if not row["addresses"] and ethernet and only_time:
        return Finding(subject, GOOD, "has a link; gPTP takes no address")
    if not row["addresses"]:
        return Finding(subject, BAD, "no IPv4 address", "is there a DHCP server? ip address")
    words = f"{row['addresses'][0]}, {QUERIER_WORDS.get(row['querier'], row['querier'])}"
    if row["querier"] == "none" and row["groups"] and row["name"] != "lo":
        cure = "turn on the querier of one switch, or multicast stops after some minutes"
        return Finding(subject, WARNING, words, cure)
    return Finding(subject, GOOD, words)


def stream(kind: str, row: dict[str, Any]) -> Finding:
    """One source or sink."""
    counters = row.get("counters")
    counters = counters if isinstance(counters, dict) else {}
    subject = f"{kind} {row['id']} ({row['name']})"
    if row.get("enabled") is False:
        return Finding(subject, GOOD, "disabled")
    note = str(row.get("note") or "")
    if kind == "source" and not row.get("sending"):
        return _not_sending(subject, row, counters, note)
    if not counters.get("packets"):
        return _not_receiving(subject, row, counters, note)
    if note:
        return Finding(subject, WARNING, note)
    if kind == "sink" and not row.get("flags", {}).get("receiving_rtp_packet", True):
        return Finding(subject, BAD, "no packets come any more", GONE_CURE)
    lost, late, unsent = (counters.get(each, 0) for each in ("lost", "late", "skipped_packets"))
    if lost or late or unsent:
        cures = {LOST_CURE: lost, LATE_CURE: late, UNSENT_CURE: unsent}
        words = f"{lost + late + unsent} packets lost, late or not sent so far"
        cure = "; ".join(text for text, packets in cures.items() if packets)
        return Finding(subject, WARNING, words, cure)
    return _budget(subject, row)


GONE_CURE = "is the sender still on, and its cable in? aes67 browse lists what is announced"
LOST_CURE = "lost: cable, switch, or this machine's load"
LATE_CURE = "late: a larger --delay of the sink"
UNSENT_CURE = "not sent: something holds this machine up, see real-time scheduling"
SCARCE_MS = 1.0
"""A sink with less to spare loses packets at the next disturbance."""


def _budget(subject: str, row: dict[str, Any]) -> Finding:
    """A stream without loss; of a sink, what was left of its delay at the worst packet."""
    rate = row.get("rate")
    spare = [leg.get("margin_min_us") for leg in row.get("legs") or []]
    known = [each / 1000 for each in spare if each is not None]
    if not known or not rate:
        return Finding(subject, GOOD, "flows without loss")
    least, delay = min(known), row["delay"] * 1000 / rate
    words = f"flows without loss, {least:.1f} of {delay:.1f} ms delay to spare at worst"
    if least >= SCARCE_MS:
        return Finding(subject, GOOD, words)
    return Finding(subject, WARNING, words, "a larger --delay of the sink")


UNHEARD = ("wrong_payload_type", "wrong_length", "wrong_ssrc", "wrong_source", "malformed",
           "late", "early")  # fmt: skip


def _not_receiving(
    subject: str, row: dict[str, Any], counters: dict[str, int], note: str
) -> Finding:
    """A sink that heard nothing: because nothing comes, or because none of it can be heard."""
    came = sum(leg.get("packets") or 0 for leg in row.get("legs") or [])
    reasons = [f"{counters[each]} {each.replace('_', ' ')}" for each in UNHEARD
               if counters.get(each)]  # fmt: skip
    if came or reasons:
        words = "packets come, none can be heard"
        words += f": {', '.join(reasons)}" if reasons else ""
        cure = "does the SDP fit what is sent, and the delay the sender's bursts?"
        return Finding(subject, BAD, _both(words, note), cure)
    cure = "is the sender on, is this the right interface, does the switch do IGMP?"
    return Finding(subject, BAD, _both("no packets come", note), cure)


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
