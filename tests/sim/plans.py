"""Plan messages of the engine link for tests, valid unless a test spoils them."""

from __future__ import annotations

from typing import Any

from aes67.shm.layout import MAX_SINKS, MAX_SOURCES, SINK_ROW, SOURCE_ROW

FREE_CLOCK = {
    "mode": "free",
    "interface": "lo",
    "domain": 0,
    "dscp": 46,
    "priority1": 250,
    "priority2": 128,
    "sync_interval": -3,
    "announce_interval": 1,
}
EMPTY_TABLES = bytes(MAX_SOURCES * SOURCE_ROW.size + MAX_SINKS * SINK_ROW.size)


def plan_message(**changes: Any) -> dict[str, Any]:
    """A plan without streams, on the local clock."""
    return {
        "type": "plan",
        "serial": 1,
        "rate": 48000,
        "tick_frames": 12,
        "device_channels": 8,
        "rate_follows_app": False,
        "playback_delay_frames": 0,
        "sockets": [],
        "memberships": [],
        "clock": FREE_CLOCK,
    } | changes
