"""The rows of the clock that depend on each other: mode, profile of each port, what it allows.

A value the profile does not allow is refused with the profile's rule over HTTP, replaced by the
profile's default in the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from aes67.errors import Refused
from aes67.ptp.profiles import AES67, GPTP, PROFILES, Profile, refusal

MODES = ("ptp-slave", "ptp", "gptp", "gm", "free", "system")
MODE_RULE = f"one of {', '.join(MODES)}, phc:/dev/ptpN"
PROFILE_RULE = f"one of {', '.join(PROFILES)}, or one for each interface separated by a comma"
CLOCK_NAME = r"[A-Za-z0-9][\w.-]{0,15}"
CLOCKS_RULE = (
    "a name of up to 16 letters, digits, points, - and _, or one for each interface separated by a "
    "comma"
)
WITHOUT_PTP = ("free", "system", "phc:")
"""Modes, or what they begin with, in which no port is open."""
BOUND = (
    ("ptp_domain", "domain"),
    ("ptp_sync_interval", "log_sync"),
    ("ptp_announce_interval", "log_announce"),
)
"""Rows, and the attribute of the profile that bounds each."""


class ClockRows(Protocol):
    """The part of the configuration this is about."""

    @property
    def clock_mode(self) -> str: ...
    @property
    def ptp_profile(self) -> str: ...
    @property
    def ptp_clocks(self) -> str: ...
    @property
    def ptp_domain(self) -> int: ...
    @property
    def ptp_domain_sec(self) -> int | None: ...
    @property
    def timed_on(self) -> tuple[str, ...]: ...


def mode(text: str) -> str:
    """A clock mode, checked; ValueError if there is none such."""
    if text not in MODES and not re.fullmatch(r"phc:/dev/[\w-]{1,32}", text):
        raise ValueError(MODE_RULE)
    return text


def profile_names(text: str) -> str:
    """Names of profiles, checked and without blanks; ValueError if there is none such."""
    names = [each.strip() for each in text.split(",")]
    if len(names) > 2 or any(name not in PROFILES for name in names):
        raise ValueError(PROFILE_RULE)
    return ",".join(names)


def clock_names(text: str) -> str:
    """Names of clocks, checked and without blanks, a repeated one once; ValueError if it is none.
    """
    names = [each.strip() for each in text.split(",")]
    if len(names) > 2 or any(not re.fullmatch(CLOCK_NAME, name, re.ASCII) for name in names):
        raise ValueError(CLOCKS_RULE)
    return ",".join(dict.fromkeys(names))


def media_clock(config: ClockRows) -> str:
    """Name of the clock that streams and applications run on."""
    return config.ptp_clocks.split(",")[0]


def second_clock(config: ClockRows) -> str:
    """Name of the clock of the second PTP interface; empty: it is a port of the media clock."""
    names = config.ptp_clocks.split(",")
    return names[1] if len(names) > 1 and len(config.timed_on) > 1 else ""


def second_domain(config: ClockRows) -> int:
    """PTP domain of the second clock: as configured, else the first one's, or its own profile's."""
    if config.ptp_domain_sec is not None:
        return config.ptp_domain_sec
    first, second = profiles(config)[:2]
    return config.ptp_domain if first is second else second.domain.default


def media_profiles(config: ClockRows) -> tuple[Profile, ...]:
    """The profiles of the media clock's ports: all, unless the second interface has its own."""
    return profiles(config)[:1] if second_clock(config) else profiles(config)


def profiles(config: ClockRows) -> tuple[Profile, ...]:
    """The profile of each interface's port: in mode `gptp` always that; one name is for all."""
    if config.clock_mode == GPTP.name:
        return (GPTP,) * max(len(config.timed_on), 1)
    named = [PROFILES[name] for name in config.ptp_profile.split(",")]
    while len(named) < len(config.timed_on):
        named.append(named[-1])
    return tuple(named)


def objections(config: ClockRows) -> list[Refused]:
    """Every value a profile of the configuration does not allow."""
    found: dict[str, Refused] = {}
    given = len(config.ptp_profile.split(","))
    if given > max(len(config.timed_on), 1):
        rule = f"{given} profiles for {len(config.timed_on)} interface"
        found["ptp_profile"] = Refused("ptp_profile", config.ptp_profile, rule)
    if len(config.ptp_clocks.split(",")) > max(len(config.timed_on), 1):
        rule = f"2 clocks for {len(config.timed_on)} interface"
        found["ptp_clocks"] = Refused("ptp_clocks", config.ptp_clocks, rule)
    for key, attribute in BOUND:
        value = getattr(config, key)
        for profile in profiles(config):
            rule = "" if value is None else refusal(profile, attribute, value)
            if rule:
                found.setdefault(key, Refused(key, value, rule))
    return list(found.values())


def domain_of(values: Mapping[str, Any]) -> int:
    """The default domain by the profile in `values` (of rows, possibly unchecked)."""
    if values.get("clock_mode") == GPTP.name:
        return GPTP.domain.default
    name = str(values.get("ptp_profile") or AES67.name).split(",")[0].strip()
    return PROFILES.get(name, AES67).domain.default
