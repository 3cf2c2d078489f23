"""What the plan says of the clock, checked and with the defaults of the profiles put in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from aes67.errors import Refused
from aes67.ptp.bmca import Role
from aes67.ptp.modes import LOCAL, REFERENCED, Mode
from aes67.ptp.port_types import PortConfig
from aes67.ptp.profiles import PROFILES, Profile
from aes67.wire.ptp_header import PortIdentity

PHC_PREFIX = "phc:"
DEVICE = r"/dev/[\w-]{1,32}"
ROLES = {
    Mode.PTP: Role.ORDINARY,
    Mode.GPTP: Role.ORDINARY,
    Mode.PTP_SLAVE: Role.SLAVE_ONLY,
    Mode.GRANDMASTER: Role.MASTER_ONLY,
}
WITHOUT_PTP = (Mode.FREE, *REFERENCED)
RANGES = (
    ("domain", 0, 127),
    ("dscp", 0, 63),
    ("priority1", 0, 255),
    ("priority2", 0, 255),
    ("sync_interval", -7, 1),
    ("announce_interval", -3, 4),
    ("asymmetry_ns", -10_000_000, 10_000_000),
    ("link_delay_limit_ns", 0, 1_000_000_000),
)
OPTIONAL = ("sync_interval", "announce_interval")
MAX_PORTS = 2
assert set(ROLES) | set(REFERENCED) | set(LOCAL) == set(Mode)


class ClockSpec(Protocol):
    """The plan's `clock` object; intervals are base-2 logarithms of seconds, None: the profile's.

    `ports` holds (interface, name of its profile) of each port; empty: one on `interface`.
    """

    @property
    def mode(self) -> str: ...
    @property
    def interface(self) -> str: ...
    @property
    def domain(self) -> int: ...
    @property
    def dscp(self) -> int: ...
    @property
    def priority1(self) -> int: ...
    @property
    def priority2(self) -> int: ...
    @property
    def sync_interval(self) -> int | None: ...
    @property
    def announce_interval(self) -> int | None: ...
    @property
    def allowed_masters(self) -> frozenset[bytes]: ...
    @property
    def asymmetry_ns(self) -> int: ...
    @property
    def ports(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def card_timestamps(self) -> str: ...
    @property
    def link_delay_limit_ns(self) -> int: ...


@dataclass(frozen=True)
class Wanted:
    """A spec that can be done: `device` in mode PHC, `ports` in the modes with PTP."""

    mode: Mode
    device: str
    ports: tuple[tuple[str, Profile], ...]

    @property
    def words(self) -> str:
        """For the log."""
        where = ", ".join(f"{name} ({profile.name})" for name, profile in self.ports)
        return " ".join(each for each in (self.mode.value, self.device, where) if each)


def parse_mode(text: str) -> tuple[Mode, str]:
    """The mode, and the device of `phc:DEVICE`.

    Raises:
        Refused: neither.
    """
    device = text.removeprefix(PHC_PREFIX)
    if device != text and re.fullmatch(DEVICE, device):
        return Mode.PHC, device
    try:
        mode = Mode(text)
    except ValueError:
        mode = Mode.PHC
    if mode is Mode.PHC:
        known = ", ".join(each.value for each in Mode if each is not Mode.PHC)
        raise Refused("mode", text, f"the clock's mode is one of {known}, phc:/dev/ptpN")
    return mode, ""


def checked(spec: ClockSpec) -> Wanted:
    """What the spec asks for.

    Raises:
        Refused: a value out of range, an unknown mode or profile.
    """
    mode, device = parse_mode(spec.mode)
    for name, low, high in RANGES:
        value = getattr(spec, name)
        if value is None and name in OPTIONAL:
            continue
        if not isinstance(value, int) or not low <= value <= high:
            raise Refused(name, value, f"from {low} to {high}")
    ordinary = "gptp" if mode is Mode.GPTP else "aes67"
    named = spec.ports or ((spec.interface, ordinary),)
    if len(named) > MAX_PORTS:
        raise Refused("ports", len(named), f"at most {MAX_PORTS}")
    ports = []
    for interface, name in named:
        if name not in PROFILES:
            raise Refused("profile", name, f"one of {', '.join(PROFILES)}")
        ports.append((interface, PROFILES[name]))
    return Wanted(mode, device, () if mode in WITHOUT_PTP else tuple(ports))


def port_config(
    spec: ClockSpec, mode: Mode, port: tuple[str, Profile], identity: PortIdentity
) -> PortConfig:
    """A port's configuration: what the spec says, else what its profile does."""
    interface, profile = port
    announce, sync = spec.announce_interval, spec.sync_interval
    return PortConfig(
        identity=identity,
        role=ROLES[mode],
        domain=spec.domain,
        priority1=spec.priority1,
        priority2=spec.priority2,
        log_announce=profile.log_announce.default if announce is None else announce,
        log_sync=profile.log_sync.default if sync is None else sync,
        log_delay_request=profile.log_delay_request.default,
        announce_receipt_timeout=profile.announce_receipt_timeout.default,
        sync_receipt_timeout=profile.sync_receipt_timeout,
        major_sdo=profile.major_sdo,
        path_trace=profile.path_trace,
        profile=profile.name,
        interface=interface,
        allowed_masters=spec.allowed_masters,
        asymmetry_ns=spec.asymmetry_ns,
        link_delay_limit_ns=spec.link_delay_limit_ns,
    )


def same(a: ClockSpec, b: ClockSpec) -> bool:
    """Whether two specs ask for the same; without PTP an interface does not matter."""
    if a.mode == b.mode and parse_mode(a.mode)[0] in WITHOUT_PTP:
        return a.domain == b.domain
    names = ["mode", "interface", "allowed_masters", "ports", "card_timestamps"]
    names += [name for name, _, _ in RANGES]
    return all(getattr(a, name) == getattr(b, name) for name in names)
