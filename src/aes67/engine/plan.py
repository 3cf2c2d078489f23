"""A plan as it comes from control: checked field by field, nothing is opened here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from aes67.engine.clock_spec import MAX_PORTS, parse_mode
from aes67.engine.cpu_latency import MOST_US
from aes67.errors import Refused
from aes67.ptp.profiles import PROFILES
from aes67.shm.layout import MAX_DEVICE_CHANNELS, MAX_SOCKETS

RATES = (44_100, 48_000, 88_200, 96_000, 176_400, 192_000, 352_800, 384_000)
MAX_MEMBERSHIPS = 512
MAX_ALLOWED_MASTERS = 64
ASYMMETRY_NS = 10_000_000
LINK_DELAY_NS = 1_000_000_000
SECOND_CLOCK_MODE = "ptp-slave"
"""A network that keeps a time of its own is followed, never led."""
SECOND_CLOCK_NAME_MOST = 16
CARD_TIMESTAMPS = ("off", "auto", "on")
_INTERFACE_NAME_BYTES = 15
"""IFNAMSIZ without its NUL."""
_TICKS_PER_S_MAX = 8000
"""125 us, the shortest packet time."""
_TICKS_PER_S_MIN = 250


@dataclass(frozen=True)
class SocketSpec:
    """A media socket: its interface by name and its UDP port, both ways."""

    interface: str
    port: int


@dataclass(frozen=True)
class MembershipSpec:
    """A multicast group to be a member of; `source`: only of this sender (RFC 4607), else None."""

    interface: str
    group: str
    source: str | None


@dataclass(frozen=True)
class ClockSpec:
    """What the clock is to do.

    Attributes:
        mode: `ptp-slave`, `ptp`, `gptp`, `gm`, `free`, `system` or `phc:/dev/ptpN`.
        interface: by name. domain: 0 to 255. dscp: 0 to 63.
        priority1, priority2: of this clock as a grandmaster, 0 to 255.
        sync_interval, announce_interval: log2 of seconds, -7 to 4; None: as the profile says.
        allowed_masters: clock identities listened to as masters; empty: all.
        asymmetry_ns: how much longer than the mean the way from the master takes, up to 10 ms.
        ports: (interface, name of its profile) of each port, at most 2; empty: one on `interface`.
        card_timestamps: use the network card's stamps: `off`, `auto` (if turned on), `on`.
        link_delay_limit_ns: of a gPTP neighbour, up to 1 s; 0: by the kind of timestamps.
    """

    mode: str
    interface: str
    domain: int
    dscp: int
    priority1: int
    priority2: int
    sync_interval: int | None
    announce_interval: int | None
    allowed_masters: frozenset[bytes] = frozenset()
    asymmetry_ns: int = 0
    ports: tuple[tuple[str, str], ...] = ()
    card_timestamps: str = "off"
    link_delay_limit_ns: int = 0

    @staticmethod
    def from_json(obj: object) -> ClockSpec:
        """Read the plan's `clock`.

        Raises:
            Refused: a field is missing or outside its range.
        """
        clock = _object("clock", obj)
        mode = _text("clock.mode", clock.get("mode"))
        try:
            parse_mode(mode)
        except Refused as refusal:
            raise Refused("clock.mode", mode, refusal.rule) from None
        return ClockSpec(
            mode=mode,
            interface=_interface("clock.interface", clock.get("interface")),
            domain=_integer("clock.domain", clock.get("domain"), 0, 255),
            dscp=_integer("clock.dscp", clock.get("dscp"), 0, 63),
            priority1=_integer("clock.priority1", clock.get("priority1"), 0, 255),
            priority2=_integer("clock.priority2", clock.get("priority2"), 0, 255),
            sync_interval=_interval("clock.sync_interval", clock.get("sync_interval")),
            announce_interval=_interval("clock.announce_interval", clock.get("announce_interval")),
            allowed_masters=_identities(clock.get("allowed_masters", [])),
            asymmetry_ns=_integer(
                "clock.asymmetry_ns", clock.get("asymmetry_ns", 0), -ASYMMETRY_NS, ASYMMETRY_NS
            ),
            ports=_ports(clock.get("ports", [])),
            card_timestamps=_card_timestamps(clock.get("card_timestamps", "off")),
            link_delay_limit_ns=_integer(
                "clock.link_delay_limit_ns", clock.get("link_delay_limit_ns", 0), 0, LINK_DELAY_NS
            ),
        )


def _card_timestamps(value: object) -> str:
    if value not in CARD_TIMESTAMPS:
        raise Refused(
            "clock.card_timestamps", value, f"is one of {', '.join(CARD_TIMESTAMPS)}"
        )
    return str(value)


def _ports(value: object) -> tuple[tuple[str, str], ...]:
    ports = []
    for index, entry in enumerate(_list("clock.ports", value, MAX_PORTS)):
        name = f"clock.ports[{index}]"
        each = _object(name, entry)
        profile = _text(f"{name}.profile", each.get("profile"))
        if profile not in PROFILES:
            raise Refused(f"{name}.profile", profile, f"is one of {', '.join(PROFILES)}")
        ports.append((_interface(f"{name}.interface", each.get("interface")), profile))
    if len({interface for interface, _ in ports}) != len(ports):
        raise Refused("clock.ports", len(ports), "names the same interface twice")
    return tuple(ports)


def _interval(field: str, value: object) -> int | None:
    return _integer_or_none(field, value, -7, 4)


def _identities(value: object) -> frozenset[bytes]:
    field = "clock.allowed_masters"
    if not isinstance(value, list) or len(value) > MAX_ALLOWED_MASTERS:
        raise Refused(field, value, f"is a list of up to {MAX_ALLOWED_MASTERS} clock identities")
    found = set()
    for each in value:
        try:
            identity = bytes.fromhex(_text(field, each).replace("-", ""))
        except ValueError:
            identity = b""
        if len(identity) != 8:
            raise Refused(field, each, "is a clock identity: 8 bytes, such as 00-1D-...-01")
        found.add(identity)
    return frozenset(found)


@dataclass(frozen=True)
class Plan:
    """Everything the engine is told but the rows of the tables.

    Attributes:
        serial: control's number for it, at least 1.
        rate: device rate in Hz.
        tick_frames: distance of ticks, 125 us to 4 ms.
        device_channels: of the device, both directions.
        rate_follows_app: whether an application may ask for another rate.
        playback_delay_frames: told to applications as additional delay.
        sender_name: what control made the SSRCs of; only kept, for a control that is started anew.
        cpu_latency_us: how long an idle processor may take to wake up, 0 to 10000; None: any time.
        second_clock: of a network that keeps a time of its own, `ptp-slave` on an interface that
            `clock` has no port on; None: there is none. second_clock_name: what it is called.
    """

    serial: int
    rate: int
    tick_frames: int
    device_channels: int
    rate_follows_app: bool
    playback_delay_frames: int
    sockets: tuple[SocketSpec, ...]
    memberships: tuple[MembershipSpec, ...]
    clock: ClockSpec
    second_clock: ClockSpec | None = None
    second_clock_name: str = ""
    sender_name: str = ""
    cpu_latency_us: int | None = None

    @staticmethod
    def from_json(obj: dict[str, Any]) -> Plan:
        """Read a `plan` message of the engine link; unknown fields are ignored.

        Raises:
            Refused: a field is missing, of another type or outside its range.
        """
        plan = _object("plan", obj)
        rate = plan.get("rate")
        if type(rate) is not int or rate not in RATES:
            raise Refused("rate", rate, f"is one of {', '.join(map(str, RATES))} Hz")
        follows = plan.get("rate_follows_app")
        if type(follows) is not bool:
            raise Refused("rate_follows_app", follows, "is true or false")
        clock = ClockSpec.from_json(plan.get("clock"))
        second, second_name = _second_clock(plan.get("second_clock"), clock)
        return Plan(
            serial=_integer("serial", plan.get("serial"), 1, 2**53),
            rate=rate,
            tick_frames=_integer(
                "tick_frames",
                plan.get("tick_frames"),
                -(-rate // _TICKS_PER_S_MAX),
                rate // _TICKS_PER_S_MIN,
            ),
            device_channels=_integer(
                "device_channels", plan.get("device_channels"), 1, MAX_DEVICE_CHANNELS
            ),
            rate_follows_app=follows,
            playback_delay_frames=_integer(
                "playback_delay_frames", plan.get("playback_delay_frames"), 0, 10 * rate
            ),
            sockets=_sockets(plan.get("sockets")),
            memberships=_memberships(plan.get("memberships")),
            clock=clock,
            second_clock=second,
            second_clock_name=second_name,
            sender_name=_text("sender_name", plan.get("sender_name", "")),
            cpu_latency_us=_integer_or_none(
                "cpu_latency_us", plan.get("cpu_latency_us"), 0, MOST_US
            ),
        )


def _second_clock(value: object, clock: ClockSpec) -> tuple[ClockSpec | None, str]:
    """The second clock domain and its name, if there is one."""
    if value is None:
        return None, ""
    second = ClockSpec.from_json(value)
    name = _text("second_clock.name", _object("second_clock", value).get("name"))
    if not 0 < len(name) <= SECOND_CLOCK_NAME_MOST or not name.isprintable():
        raise Refused("second_clock.name", name, f"is 1 to {SECOND_CLOCK_NAME_MOST} characters")
    if second.mode != SECOND_CLOCK_MODE:
        raise Refused("second_clock.mode", second.mode, f"is {SECOND_CLOCK_MODE}")
    taken = {interface for interface, _ in clock.ports} or {clock.interface}
    if taken & ({interface for interface, _ in second.ports} | {second.interface}):
        raise Refused("second_clock.interface", second.interface, "has a port of the first clock")
    return second, name


def _sockets(value: object) -> tuple[SocketSpec, ...]:
    sockets = []
    for index, entry in enumerate(_list("sockets", value, MAX_SOCKETS)):
        name = f"sockets[{index}]"
        each = _object(name, entry)
        sockets.append(
            SocketSpec(
                _interface(f"{name}.interface", each.get("interface")),
                _integer(f"{name}.port", each.get("port"), 1, 65535),
            )
        )
    if len(set(sockets)) != len(sockets):
        raise Refused("sockets", len(sockets), "names the same interface and port twice")
    return tuple(sockets)


def _memberships(value: object) -> tuple[MembershipSpec, ...]:
    memberships = []
    for index, entry in enumerate(_list("memberships", value, MAX_MEMBERSHIPS)):
        name = f"memberships[{index}]"
        each = _object(name, entry)
        group = _address(f"{name}.group", each.get("group"))
        if not ipaddress.IPv4Address(group).is_multicast:
            raise Refused(f"{name}.group", group, "is an IPv4 multicast address")
        source = each.get("source")
        memberships.append(
            MembershipSpec(
                _interface(f"{name}.interface", each.get("interface")),
                group,
                None if source is None else _address(f"{name}.source", source),
            )
        )
    return tuple(dict.fromkeys(memberships))


def _object(field: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused(field, value, "is an object")
    return value


def _list(field: str, value: object, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise Refused(field, value, f"is a list of at most {most}")
    return value


def _integer_or_none(field: str, value: object, low: int, high: int) -> int | None:
    return None if value is None else _integer(field, value, low, high)


def _integer(field: str, value: object, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise Refused(field, value, f"is an integer from {low} to {high}")
    return value


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise Refused(field, value, "is text")
    return value


def _interface(field: str, value: object) -> str:
    name = _text(field, value)
    usable = name.isascii() and name.isprintable() and "/" not in name and " " not in name
    if not 0 < len(name) <= _INTERFACE_NAME_BYTES or not usable:
        raise Refused(field, name, f"is an interface name of 1 to {_INTERFACE_NAME_BYTES} octets")
    return name


def _address(field: str, value: object) -> str:
    try:
        return str(ipaddress.IPv4Address(_text(field, value)))
    except ValueError:
        raise Refused(field, value, "is an IPv4 address in dotted form") from None
