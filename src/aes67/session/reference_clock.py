"""The reference clock of a description, ts-refclk (RFC 7273, 4.8)."""

from __future__ import annotations

from aes67.config.clock import WITHOUT_PTP, profiles
from aes67.config.model import Config

GPTP = "gptp"
"""Name of the profile."""
TRACEABLE = "ptp=IEEE1588-2008:traceable"


def is_gptp(config: Config) -> bool:
    """Whether our time is that of an 802.1AS network and no other."""
    if config.clock_mode.startswith(WITHOUT_PTP):
        return False
    return all(profile.name == GPTP for profile in profiles(config))


def ptp_reference(gmid: str, domain: int, *, gptp: bool) -> str:
    """The value that names a grandmaster; with 802.1AS there is no domain in it."""
    return f"ptp=IEEE802.1AS-2011:{gmid}" if gptp else f"ptp=IEEE1588-2008:{gmid}:{domain}"
