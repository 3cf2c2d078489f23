"""The network as a user is shown it: what each interface is for, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aes67.net.udp_counters import UdpCounters
from aes67.session.node import Node

QUERIER_SECONDS = 130.0
"""A querier asks every 125 s by default (RFC 3376, 8.2): this long without is worth a word."""
QUERIER_GONE_SECONDS = 255.0
"""Other Querier Present Interval (RFC 3376, 8.5): then it has gone."""
HEARD, NONE, WAITING, UNKNOWN = "heard", "none", "waiting", "unknown"


def network_view(
    node: Node, facts: Mapping[str, Any] | None, udp: UdpCounters
) -> dict[str, Any]:
    """Interfaces in use and the kernel's UDP counters since the daemon was started.

    Args:
        facts: the engine's newest `network` message, None without one.
    """
    roles = interface_roles(node)
    return {
        "interfaces": [_interface(node, name, roles[name], facts) for name in roles],
        "udp_checksum_errors": udp.checksum_errors,
        "udp_buffer_errors": udp.buffer_errors,
    }


def interface_roles(node: Node) -> dict[str, list[str]]:
    """Interfaces the plan uses, by name, and what each is for."""
    roles: dict[str, list[str]] = {}
    config, message = node.config, node.plan.message
    for number, name in enumerate(dict.fromkeys(config.interfaces)):
        roles.setdefault(name, []).append("media" if number == 0 else "media, second leg")
    for port in message["clock"].get("ports", ()):
        roles.setdefault(port["interface"], []).append("ptp")
    if second := message.get("second_clock"):
        roles.setdefault(second["interface"], []).append(f"ptp, clock {second['name']}")
    for role, names in (("discovery", config.announced_on), ("control", config.controlled_on)):
        for name in names:
            roles.setdefault(name, []).append(role)
    return roles


def _interface(
    node: Node, name: str, roles: list[str], facts: Mapping[str, Any] | None
) -> dict[str, Any]:
    there = node.state.network.find(name)
    link = ((facts or {}).get("interfaces") or {}).get(name) or {}
    groups = {
        each["group"] for each in node.plan.message["memberships"] if each["interface"] == name
    }
    state, seconds = querier_state(link, bool((facts or {}).get("igmp")))
    return {
        "name": name,
        "roles": roles,
        "present": there is not None,
        "running": there is not None and there.running,
        "mac": there.mac if there else "",
        "addresses": list(there.addresses) if there else [],
        "groups": len(groups),
        "rejoins": int(link.get("rejoins", 0)),
        "querier": state,
        "querier_address": link.get("querier") or "",
        "querier_version": int(link.get("querier_version") or 0),
        "querier_seconds": seconds,
    }


def querier_state(link: Mapping[str, Any], audible: bool) -> tuple[str, float]:
    """Whether somebody asks for groups on a link, and since how many seconds that is so.

    `unknown` where the engine may not listen, `waiting` until a querier must have asked.
    """
    if not link or not audible:
        return UNKNOWN, 0.0
    quiet = link.get("queried_s")
    if link.get("querier") and quiet is not None and quiet < QUERIER_GONE_SECONDS:
        return HEARD, float(quiet)
    since = float(quiet if quiet is not None else link.get("since_s", 0.0))
    return (NONE if since >= QUERIER_SECONDS else WAITING), since


def network_warnings(view: Mapping[str, Any], udp: UdpCounters) -> list[str]:
    """What is wrong with the network, each in a sentence with its cure.

    Args:
        view: see `network_view`.
        udp: what the kernel drops at present, see `control.udp_losses`.
    """
    found = []
    for each in view["interfaces"]:
        name = each["name"]
        if each["present"] and not each["running"]:
            found.append(f"{name} has no link: is the cable in, is the switch on?")
        elif each["querier"] == NONE and each["groups"] and name != "lo":
            found.append(
                f"no IGMP querier heard on {name} for {each['querier_seconds']:.0f} s: a switch "
                "that snoops stops delivering multicast after some minutes; turn the querier of "
                "one switch on"
            )
    if udp.checksum_errors:
        found.append(
            f"{udp.checksum_errors} UDP packets with a wrong checksum were dropped by the "
            "kernel (UdpInCsumErrors), so PTP or audio may be missing here although it is on the "
            "wire: a sender or a network driver writes checksums wrongly; on the sender try "
            "'ethtool -K INTERFACE tx off', here 'ethtool -K INTERFACE rx off'"
        )
    if udp.buffer_errors:
        found.append(
            f"{udp.buffer_errors} UDP packets were dropped because a socket was full "
            "(UdpRcvbufErrors): the machine was busy elsewhere, or its receive buffers are too "
            "small (sysctl net.core.rmem_max)"
        )
    return found
