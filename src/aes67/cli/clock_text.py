"""The clock in words: facts, history, changes, messages and masters as text of a terminal."""

from __future__ import annotations

import sys
from typing import Any

from aes67.cli.output import columns_shown, facts, nanoseconds, paint, state, table, wrapped

BARS = "▁▂▃▄▅▆▇█"
LOCAL = ("gm", "free")
EVENTS = (
    ("state_changes", "change of state", "changes of state"),
    ("handovers", "handover", "handovers"),
    ("steps", "step", "steps"),
    ("outliers", "outlier", "outliers"),
)
SILENT_SECONDS = 10.0
NS = 1_000_000_000
PORT_KEYS = ("interface", "profile", "port_state", "rung", "trouble")
MESSAGE_HEAD = ("message", "received", "per second", "lost", "sent")
MASTER_HEAD = (
    "master", "state", "domain", "address", "grandmaster", "priority", "class", "3 sigma",
    "sync lost", "heard",
)  # fmt: skip
CHANGE_HEAD = ("changed", "to", "grandmaster", "why")
CHANGES_SHOWN = 6
SLAVES_NAMED = 3
HISTORY_HEAD = ("history", "worst", "offset", "3 sigma to", "path delay", "rate, ppm")
SENT = {
    "Announce": "announce_sent", "Sync": "sync_sent", "Follow_Up": "follow_up_sent",
    "Delay_Req": "delay_req_sent", "Delay_Resp": "delay_resp_sent",
}  # fmt: skip


def screen(
    clock: dict[str, Any], histories: list[dict[str, Any]], changes: list[dict[str, Any]]
) -> str:
    """Everything there is to say of the clock."""
    columns = columns_shown()
    parts = [facts([*clock_facts(clock), *_more_facts(clock)], columns)]
    if not leads(clock):
        parts.append(table(HISTORY_HEAD, [_history_row(each) for each in histories]))
        if histories and (line := sparkline(histories[0]["series"]["offset_ns"]["mean"])):
            parts[-1] += f"\n{line}  offset, last minute"
    if changes:
        parts.append(changes_text(changes[:CHANGES_SHOWN], columns))
    if messages := message_rows(clock.get("messages") or {}):
        parts.append(table(MESSAGE_HEAD, messages))
    if clock.get("masters"):
        parts.append(masters_text(clock, columns))
    if second := clock.get("second"):
        parts.append(facts(second_clock_facts(second, clock), columns))
        if second.get("masters"):
            parts.append(masters_text(second, columns))
    return "\n\n".join(parts)


def leads(clock: dict[str, Any]) -> bool:
    """Whether there is nothing to measure: it is the grandmaster, or runs without PTP."""
    measured = clock.get("path_delay_ns") is not None
    return not measured and (clock.get("mode") in LOCAL or clock.get("port_state") == "master")


def changes_text(changes: list[dict[str, Any]], columns: int) -> str:
    """Changes of state or grandmaster; where a line is too long, the reason under it."""
    rows = [change_row(each) for each in changes]
    whole = table(CHANGE_HEAD, rows)
    if not columns or all(len(line) <= columns for line in whole.splitlines()):
        return whole
    lines = table(CHANGE_HEAD[:-1], [row[:-1] for row in rows]).splitlines()
    for number, row in enumerate(rows):
        lines[number + 1] += f"\n  {wrapped(str(row[-1]), 2, columns)}"
    return "\n".join(lines)


def masters_text(clock: dict[str, Any], columns: int) -> str:
    """Every master heard: a table, or where that is too wide some lines for each."""
    rows = [master_row(each, clock) for each in clock["masters"]]
    whole = table(MASTER_HEAD, rows)
    if not columns or len(whole.splitlines()[0]) <= columns:
        return whole
    found = []
    for row in rows:
        more = ", ".join(
            f"{name} {value}" for name, value in zip(MASTER_HEAD[2:], row[2:], strict=True)
            if value is not None
        )  # fmt: skip
        found.append(f"master {row[0]}  {state(str(row[1]))}\n  {wrapped(more, 2, columns)}")
    return "\n".join(found)


def clock_word(clock: dict[str, Any]) -> str:
    """The clock's state in one word."""
    return str(clock.get("state") or clock.get("status") or "unknown")


def clock_facts(clock: dict[str, Any]) -> list[tuple[str, object]]:
    """The clock in words and figures; of one that leads what it tells, of others what they hear."""
    measured = clock.get("path_delay_ns") is not None
    own = str(clock.get("port_identity") or "").partition("/")[0]
    itself = " (this node)" if own and own == clock.get("gmid") else ""
    found: list[tuple[str, object]] = [
        ("clock", clock_word(clock)),
        ("reason", clock.get("reason")),
        ("mode", clock.get("mode")),
        ("grandmaster", f"{clock.get('gmid') or 'none'}{itself}"),
        ("domain", clock.get("domain")),
    ]
    if leads(clock):
        return found + _told(clock)
    return [
        *found,
        ("offset", nanoseconds(clock.get("offset_ns"))),
        ("uncertainty", f"{nanoseconds(clock.get('uncertainty_ns'))} (3 sigma)"),
        ("rate", f"{clock['rate_ppm']:.3f} ppm" if measured else "unknown"),
        ("path delay", nanoseconds(clock.get("path_delay_ns"))),
    ]


def _told(clock: dict[str, Any]) -> list[tuple[str, object]]:
    """What a grandmaster says of itself, and what slaves ask it."""
    far, messages = clock.get("grandmaster") or {}, clock.get("messages") or {}
    if not far or not messages:
        return []
    asked = (messages.get("per_second") or {}).get("Delay_Req")
    words = f"{asked} Delay_Req a second" if asked else "nothing: no Delay_Req comes"
    if slaves := clock.get("slaves"):
        names = ", ".join(each["port"] for each in slaves[:SLAVES_NAMED])
        more = f" and {len(slaves) - SLAVES_NAMED} more" if len(slaves) > SLAVES_NAMED else ""
        words += f" ({names}{more})"
    return [
        ("priority", f"{far['priority1']}/{far['priority2']}, class {far['clock_class']}"),
        ("slaves ask", words),
    ]


def second_clock_facts(
    second: dict[str, Any], clock: dict[str, Any]
) -> list[tuple[str, object]]:
    """The clock of a network that keeps a time of its own, in words and figures."""
    media = clock.get("name") or "media"
    ahead, ppm = second.get("ahead_of_media_ns"), second.get("ahead_of_media_ppm")
    far = "unknown" if ahead is None or ppm is None else f"{apart(ahead)}, {ppm:+.3f} ppm"
    return [
        ("second clock", f"{second['name']} {clock_word(second)}"),
        ("reason", second.get("reason")),
        ("interface", second.get("interface")),
        ("grandmaster", second.get("gmid") or "none"),
        ("domain", second.get("domain")),
        (f"ahead of {media}", far),
        ("uncertainty", f"{nanoseconds(second.get('uncertainty_ns'))} (3 sigma)"),
        ("path delay", nanoseconds(second.get("path_delay_ns"))),
        ("use", f"shown only: all that is sent and played runs on the clock {media}"),
    ]


def apart(ahead_ns: int) -> str:
    """How far one clock is ahead of another; from a second on in seconds."""
    return nanoseconds(ahead_ns) if abs(ahead_ns) < NS else f"{ahead_ns / NS:.6f} s"


def _more_facts(clock: dict[str, Any]) -> list[tuple[str, object]]:
    jitter = clock.get("jitter_ns") or {}
    found: list[tuple[str, object]] = []
    if not leads(clock):
        ways = [nanoseconds(jitter.get(way)) for way in ("sync", "delay")]
        found.append(("jitter", f"{ways[0]} from the master, {ways[1]} to it"))
    if clock.get("asymmetry_ns"):
        found.append(("asymmetry", f"{nanoseconds(clock['asymmetry_ns'])} (ptp_asymmetry_ns)"))
    for port in clock.get("ports") or []:
        found.append(("port", _joined(port, *PORT_KEYS)))
    if peer := clock.get("peer"):
        why = "802.1AS" if peer["as_capable"] else peer["objection"]
        delay = nanoseconds(peer.get("link_delay_ns"))
        found.append(("neighbour", f"{peer.get('neighbor') or 'none'}, {delay} away, {why}"))
    if reference := clock.get("reference"):
        found.append(("reference", _joined(reference, "clock", "method", "remark")))
    spent = [(name, s) for name, s in (clock.get("seconds_in") or {}).items() if s > 0]
    if spent:
        spent.sort(key=lambda each: -each[1])
        found.append(("time spent", ", ".join(f"{name} {duration(s)}" for name, s in spent)))
        seen = [counted(clock.get(key, 0), one, several) for key, one, several in EVENTS]
        found.append(("events", ", ".join(seen)))
    return found


def counted(number: int, one: str, several: str) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else several}"


def _joined(row: dict[str, Any], *keys: str) -> str:
    return ", ".join(str(row[key]) for key in keys if row.get(key))


def change_row(change: dict[str, Any]) -> tuple[object, ...]:
    """A change of state or grandmaster, as a line of a table."""
    when = f"{duration(change['seconds_ago'])} ago"
    return when, change["state"], change["gmid"], change["reason"]


def message_rows(messages: dict[str, Any]) -> list[tuple[object, ...]]:
    """A line for each kind of message that came or went."""
    received = messages.get("received") or {}
    sent = {name: messages[key] for name, key in SENT.items() if messages.get(key)}
    rates, lost = messages.get("per_second") or {}, messages.get("lost") or {}
    return [
        (name, received.get(name), rates.get(name), lost.get(name), sent.get(name))
        for name in {**received, **sent}
    ]


def master_row(master: dict[str, Any], clock: dict[str, Any]) -> tuple[object, ...]:
    """A master that was heard, as a line of a table."""
    far = master.get("grandmaster") or {}
    itself = far.get("identity") == master["clock"]
    sigma = master.get("uncertainty_ns")
    return (
        master["clock"], master_word(master, clock), master["domain"], master.get("address"),
        "itself" if itself else far.get("identity"),
        f"{far['priority1']}/{far['priority2']}" if far else None, far.get("clock_class"),
        None if sigma is None else nanoseconds(sigma), master.get("sync_lost"),
        f"{duration(master['last_heard_seconds'])} ago",
    )  # fmt: skip


def master_word(master: dict[str, Any], clock: dict[str, Any]) -> str:
    """What a master is to us."""
    if not master.get("allowed", True):
        return "not allowed"
    if master["last_heard_seconds"] > SILENT_SECONDS:
        return "silent"
    if master.get("selected"):
        return "followed"
    if master["domain"] != clock.get("domain"):
        return "other domain"
    return "not the best" if master.get("qualified") else "not qualified"


def _history_row(history: dict[str, Any]) -> tuple[object, ...]:
    seen = [each for each in history["state"] if each]
    order = ("unlocked", "locking", "holdover", "locked")
    worst = min(seen, key=order.index, default=None)
    series = history["series"]
    offset = _extent(series["offset_ns"])
    sigma = _extent(series["uncertainty_ns"])
    delay = _extent(series["path_delay_ns"])
    rate = _extent(series["rate_ppm"])
    return (
        history["span"], worst,
        spread(*offset) if offset else None,
        nanoseconds(sigma[1]) if sigma else None,
        spread(*delay) if delay else None,
        f"{rate[0]:.3f} to {rate[1]:.3f}" if rate else None,
    )  # fmt: skip


def spread(least: float, greatest: float) -> str:
    """From one time to another, in the unit that reads best for the larger."""
    size = max(abs(least), abs(greatest))
    scale, unit, digits = (1.0, "ns", 0) if size < 1e3 else (1e3, "us", 2)
    if size >= 1e6:
        scale, unit, digits = 1e6, "ms", 3
    return f"{least / scale:.{digits}f} to {greatest / scale:.{digits}f} {unit}"


def _extent(values: dict[str, list[float | None]]) -> tuple[float, float] | None:
    least = [each for each in values["least"] if each is not None]
    greatest = [each for each in values["greatest"] if each is not None]
    return (min(least), max(greatest)) if least else None


def sparkline(values: list[float | None]) -> str:
    """Values as bars from the least to the greatest; empty where the terminal has no such signs."""
    known = [each for each in values if each is not None]
    if not known or "utf" not in (sys.stdout.encoding or "").lower():
        return ""
    low, span = min(known), max(known) - min(known) or 1.0
    top = len(BARS) - 1
    return "".join(" " if v is None else BARS[round((v - low) / span * top)] for v in values)


def duration(value: float) -> str:
    """Seconds in the two largest units that are not zero."""
    if value < 10:
        return f"{value:.1f} s"
    rest, parts = round(value), []
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if rest >= length:
            parts.append(f"{rest // length} {unit}")
        rest %= length
    return " ".join(parts[:2])


def clock_line(clock: dict[str, Any]) -> str:
    """The clock in one line."""
    if leads(clock):
        told = ", ".join(f"{name} {value}" for name, value in _told(clock))
        return f"{state(clock_word(clock).ljust(8))}  {clock.get('gmid') or ''}  {told}".rstrip()
    line = (
        f"{state(clock_word(clock).ljust(8))}  {clock.get('gmid') or 'no grandmaster'}  "
        f"offset {nanoseconds(clock.get('offset_ns'))}  "
        f"3 sigma {nanoseconds(clock.get('uncertainty_ns'))}  "
        f"delay {nanoseconds(clock.get('path_delay_ns'))}"
    )
    if second := clock.get("second"):
        ahead = second.get("ahead_of_media_ns")
        far = "" if ahead is None else f" {apart(ahead)} ahead"
        line += f"  {second['name']} {clock_word(second)}{far}"
    if clock_word(clock) == "locked":
        return line
    return f"{line}  {paint(str(clock.get('reason') or ''), '33')}".rstrip()
