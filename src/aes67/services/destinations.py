"""Where descriptions may be fetched from: an address somebody else named is not simply believed."""

from __future__ import annotations

import ipaddress

METADATA = ("169.254.169.254", "fd00:ec2::254", "100.100.100.200")
"""Under these clouds hand out their secrets."""


def is_allowed(address: str) -> bool:
    """Whether one host may be there: no group, no broadcast, nothing reserved, and not the
    addresses under which clouds hand out their secrets."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    found = mapped or found
    if found.is_multicast or found.is_unspecified or str(found) in METADATA:
        return False
    return found.is_loopback or not found.is_reserved


def is_neighbour(address: str) -> bool:
    """The same for another machine: a loopback address would lead to ourselves."""
    return is_allowed(address) and not ipaddress.ip_address(address).is_loopback
