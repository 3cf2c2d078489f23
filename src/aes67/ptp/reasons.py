"""Why the clock is not locked, in words a user can act on."""

from __future__ import annotations

from collections.abc import Sequence

from aes67.clock.timebase import MS, NS, US, Line
from aes67.ptp.bmca import PortState
from aes67.ptp.foreign import WINDOW_INTERVALS, ForeignMaster
from aes67.ptp.gptp_bmca import NOT_CAPABLE
from aes67.ptp.port import Port
from aes67.wire.ptp_header import dashed

RECENT_NS = 20 * NS
SILENT_INTERVALS = 6
SILENT_AT_LEAST_NS = NS
UNFOLLOWED = 4
UNANSWERED = 4


def missing(
    ports: Sequence[Port], port: Port, interface: str, now_ns: int, started_ns: int
) -> str:
    """Why there is nothing to lock to; empty when the selected master's time is being measured.

    `port` is the one with the selected master if there is any; `interface` the name of a lone one.
    """
    master = port.selected
    if master is None:
        found = [
            _no_master(each, each.config.interface or interface, now_ns, started_ns)
            for each in ports
        ]
        return "; ".join(dict.fromkeys(found))
    estimator = master.estimator
    if estimator.usable:
        return ""
    name = dashed(master.identity.clock)
    if not estimator.syncs:
        if master.unstamped:
            return f"no receive timestamps for the Sync messages of {name}"
        if master.unfollowed:
            return f"no Follow_Up to the two-step Sync messages of {name}"
        if master.absurd:
            return f"the time {name} sends is out of range"
        return f"no Sync from {name}"
    if port.requests.unstamped and not port.requests.answered:
        return "no transmit timestamps for our Delay_Req messages"
    if port.requests.unanswered >= UNANSWERED:
        return f"{name} does not answer Delay_Req ({port.requests.sent} sent)"
    return f"measuring the path delay to {name}"


def silence(port: Port, followed: ForeignMaster, now_ns: int) -> str:
    """Why the master we follow counts as silent; empty when it is heard as it should be."""
    limit = max(SILENT_AT_LEAST_NS, SILENT_INTERVALS * followed.sync_interval_ns)
    if port.selected is followed and now_ns - followed.measured_ns <= limit:
        return ""
    name = dashed(followed.identity.clock)
    if port.selected is None:
        if port.objection:
            return port.objection
        gone = (now_ns - followed.announces.last_ns) / NS
        return f"no Announce from {name} for {gone:.1f} s"
    if port.selected is not followed:
        return f"taking over from {name} to {dashed(port.selected.identity.clock)}"
    if followed.estimator.syncs:
        gone = (now_ns - followed.measured_ns) / NS
        if followed.unfollowed >= UNFOLLOWED:
            return f"no Follow_Up from {name} for {gone:.1f} s"
        heard_since_ns = followed.syncs.last_ns - followed.measured_ns  # the last one is read late
        if now_ns - followed.syncs.last_ns <= limit < 2 * heard_since_ns:
            return f"no usable Sync from {name} for {gone:.1f} s"
        return f"no Sync from {name} for {gone:.1f} s"
    return ""


def leading(ports: Sequence[Port], now_ns: int) -> str:
    """What there is to say while we are the grandmaster: who hears it, and who else is one."""
    mute = [port for port in ports if port.objection]
    if mute:
        where = f" on {mute[0].config.interface}" if mute[0].config.interface else ""
        return f"the local clock, given to nobody{where}: {mute[0].objection}"
    others = [
        m
        for port in ports
        for m in port.table.masters.values()
        if m.announce is not None and now_ns - m.announces.last_ns <= RECENT_NS
    ]
    if not others:
        return "grandmaster on the local clock"
    names = ", ".join(dashed(m.identity.clock) for m in others[:3])
    domain = ports[0].config.domain
    return f"grandmaster on the local clock; {names} announces in domain {domain} too"


def divided(
    ports: Sequence[Port], grandmaster: bytes | None, ours: Line, now_ns: int
) -> str:
    """Which network insists on a grandmaster that is not ours; empty while none does.

    By the rules of 1588 (9.3) a port that hears a worse master than the one we follow becomes its
    master, a slave-only port keeps silent. One that goes on announcing all the same (it is master
    only, or listens to nobody) keeps a time of its own, and one clock can have only one.
    """
    if grandmaster is None or not any(port.selected for port in ports):
        return ""
    for port in ports:
        for master in port.table.masters.values() if port.selected is None else ():
            announce = master.announce
            if announce is None or announce.grandmaster == grandmaster:
                continue
            if not master.qualified(now_ns):
                continue
            estimator = master.estimator
            apart = _apart(estimator.line.at(now_ns) - ours.at(now_ns)) if estimator.usable else ""
            leads = port.state is PortState.MASTER
            what = "goes on announcing beside our time" if leads else "is not followed"
            return (
                f"{port.config.interface or 'the other port'} has another grandmaster, "
                f"{dashed(announce.grandmaster)}{apart}, which {what} (ptp_clocks can give that "
                "network a clock of its own)"
            )
    return ""


def _apart(ahead_ns: int) -> str:
    """How far another time is from ours, in words that follow a name."""
    size = abs(ahead_ns)
    for unit, name in ((NS, "s"), (MS, "ms"), (US, "us")):
        if size >= unit:
            return f", {size / unit:.3g} {name} {'ahead of' if ahead_ns > 0 else 'behind'} ours"
    return ", of the same time as ours"


def doubt(port: Port, followed: ForeignMaster) -> str:
    """Why the time of a master that is heard may have become uncertain."""
    name = dashed(followed.identity.clock)
    if port.requests.unanswered >= UNANSWERED:
        return f"{name} has not answered the last {port.requests.unanswered} Delay_Req"
    return f"the measurements of {name} disagree"


def _no_master(port: Port, interface: str, now_ns: int, started_ns: int) -> str:
    domain = port.config.domain
    where = f" on {interface}" if interface else ""
    if port.objection:
        return f"{port.objection}{where}"
    announcing = [m for m in port.table.masters.values() if m.announces.count]
    recent = [m for m in announcing if now_ns - m.announces.last_ns <= RECENT_NS]
    if recent:
        newest = max(recent, key=lambda m: m.announces.last_ns)
        name = dashed(newest.identity.clock)
        if newest.announces.count == 1:
            return f"one Announce from {name} in domain {domain}, a second one makes it a master"
        if port.config.major_sdo and newest.announce and newest.announce.priority1 == NOT_CAPABLE:
            return f"{name} announces that it is no grandmaster (priority1 {NOT_CAPABLE})"
        times = newest.announce_times
        if len(times) > 1 and times[-1] - times[0] > WINDOW_INTERVALS * newest.announce_interval_ns:
            return f"{name} announces less often than it says"
        gone = (now_ns - newest.announces.last_ns) / NS
        return f"no Announce from {name} for {gone:.1f} s"
    syncing = [m for m in port.table.masters.values() if now_ns - m.syncs.last_ns <= RECENT_NS]
    if syncing and any(m.syncs.count for m in syncing):
        name = dashed(syncing[0].identity.clock)
        return f"Sync but no Announce from {name} in domain {domain}"
    sdo = port.config.major_sdo
    here = port.heard.here(domain, now_ns, RECENT_NS, sdo)
    strangers = [m for m in here if not port.allows(m.clock)]
    if strangers:
        names = ", ".join(dashed(m.clock) for m in strangers[:3])
        return f"no allowed master in domain {domain}{where}; {names} not in ptp_allowed_masters"
    elsewhere = port.heard.elsewhere(domain, now_ns, RECENT_NS, sdo)
    if elsewhere:
        others = ", ".join(
            f"{dashed(m.clock)} heard in domain {m.domain}" + (" (gPTP)" if m.major_sdo else "")
            for m in elsewhere[:3]
        )
        return f"no Announce in domain {domain}{where}; master {others}"
    if port.malformed and not any(port.received.values()):
        return f"only malformed PTP messages{where}: {port.last_malformed}"
    return f"no Announce in domain {domain}{where} for {(now_ns - started_ns) / NS:.0f} s"
