"""What the plan tells the engine of its clocks: the media clock, and a second one if it is named.

The second clock is of a network that keeps a time of its own: it is followed, never led, so
priorities and intervals of a master are of no use to it; its other settings are the first one's.
"""

from __future__ import annotations

from typing import Any

from aes67.config.clock import profiles, second_clock, second_domain
from aes67.config.model import Config


def clock_message(config: Config) -> dict[str, Any]:
    """The media clock's part of the plan."""
    count = 1 if second_clock(config) else 2
    return {
        "mode": config.clock_mode,
        "interface": config.timed_on[0],
        "domain": config.ptp_domain,
        "dscp": config.ptp_dscp,
        "priority1": config.priority1,
        "priority2": config.ptp_priority2,
        "sync_interval": config.ptp_sync_interval,
        "announce_interval": config.ptp_announce_interval,
        "allowed_masters": [each for each in config.ptp_allowed_masters.split(",") if each],
        "asymmetry_ns": config.ptp_asymmetry_ns,
        "card_timestamps": config.ptp_card_timestamps,
        "link_delay_limit_ns": config.gptp_link_delay_limit_ns,
        "ports": [
            {"interface": interface, "profile": profile.name}
            for interface, profile in zip(config.timed_on[:count], profiles(config), strict=False)
        ],
    }


def second_clock_message(config: Config) -> dict[str, Any]:
    """`second_clock` of the plan; nothing where both interfaces are ports of one clock."""
    name = second_clock(config)
    if not name:
        return {}
    interface, profile = config.timed_on[1], profiles(config)[1]
    message = clock_message(config) | {
        "name": name,
        "mode": "ptp-slave",
        "interface": interface,
        "domain": second_domain(config),
        "sync_interval": None,
        "announce_interval": None,
        "ports": [{"interface": interface, "profile": profile.name}],
    }
    return {"second_clock": message}
