# ruff: noqa: E501 - a parameter is one line, however long
"""The configuration: one line per parameter, and nothing of a parameter anywhere else.

Default, range, unit, effect and help of each stand in its row; the file, both HTTP interfaces, their
schema and the documentation are derived from here. The first 37 are the contract's, in its order;
then come ours. Keys nobody here knows are kept.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from aes67.config.clock import (
    CLOCKS_RULE,
    MODE_RULE,
    PROFILE_RULE,
    clock_names,
    mode,
    profile_names,
    profiles,
)

RATES = (44_100, 48_000, 88_200, 96_000, 176_400, 192_000, 352_800, 384_000)
"""Sample rates the device can run at, in Hz."""

ALLOWED_MASTERS = 64
IDENTITIES_RULE = (
    f"up to {ALLOWED_MASTERS} clock identities such as 00-1D-C1-FF-FE-12-34-56, by commas"
)
NOBODY = "00-00-00-00-00-00-00-00"
"""A list that cannot be read lets nobody in, rather than everybody."""
RATE_RULE = "one of " + ", ".join(map(str, RATES))
MULTICAST_RULE = "an IPv4 multicast address"
BASE_RULE = "an IPv4 multicast address, 224.0.0.0 to 239.255.255.192"
"""The last source's id is added to it."""

ROLE_INTERFACES = 8
PTP_INTERFACES = 2
NAMES_RULE = f"names of up to {ROLE_INTERFACES} interfaces, separated by commas"
PTP_NAMES_RULE = f"names of up to {PTP_INTERFACES} interfaces, separated by a comma"

EFFECTS = {
    "table": "the engine gets a new table; streams that did not change lose nothing",
    "clock": "the PTP port is set anew",
    "http": "the HTTP listener moves",
    "log": "logging only",
    "files": "the file named is used from now on",
    "sdp": "session descriptions change",
    "discovery": "announcing and browsing only; no stream is touched",
    "streamer": "the HTTP streamer only; who listens may have to begin again",
    "stored": "kept and reported; the function does not exist yet",
    "api": "the HTTP interface only",
    "ignored": "computed, ignored on input",
}


def _multicast(text: str) -> str:
    address = IPv4Address(text)
    if not address.is_multicast:
        raise ValueError(MULTICAST_RULE)
    return str(address)


def _base(text: str) -> str:
    if IPv4Address(text) > IPv4Address("239.255.255.192"):
        raise ValueError(BASE_RULE)
    return _multicast(text)


def _rate(rate: int) -> int:
    if rate not in RATES:
        raise ValueError(RATE_RULE)
    return rate


def _listed(text: str, most: int, rule: str) -> str:
    """Names of interfaces without blanks, each once."""
    names = list(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
    if len(names) > most or any(not re.fullmatch(r"[^\s/]{1,15}", name) for name in names):
        raise ValueError(rule)
    return ",".join(names)


def _names(text: str) -> str:
    return _listed(text, ROLE_INTERFACES, NAMES_RULE)


def _ptp_names(text: str) -> str:
    return _listed(text, PTP_INTERFACES, PTP_NAMES_RULE)


def _identities(text: str) -> str:
    """Clock identities as the standards write them, whatever separators they came with."""
    found = []
    for each in text.replace(";", ",").split(","):
        digits = re.sub(r"[-:.\s]", "", each)
        if not digits:
            continue
        if not re.fullmatch("[0-9a-fA-F]{16}", digits):
            raise ValueError(IDENTITIES_RULE)
        found.append(bytes.fromhex(digits).hex("-").upper())
    if len(found) > ALLOWED_MASTERS:
        raise ValueError(IDENTITIES_RULE)
    return ",".join(dict.fromkeys(found))


def _printable(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("no control characters")
    return text


Text = Annotated[str, AfterValidator(_printable)]
InterfaceNames = Annotated[str, AfterValidator(_names)]
PtpInterfaceNames = Annotated[str, AfterValidator(_ptp_names)]
Identities = Annotated[str, AfterValidator(_identities)]
ClockMode = Annotated[str, AfterValidator(mode)]
ProfileNames = Annotated[str, AfterValidator(profile_names)]
ClockNames = Annotated[str, AfterValidator(clock_names)]
Rate = Annotated[int, AfterValidator(_rate)]
Multicast = Annotated[str, AfterValidator(_multicast)]
MulticastBase = Annotated[str, AfterValidator(_base)]


def row(
    default: Any,
    effect: str,
    description: str,
    *,
    least: int | None = None,
    most: int | None = None,
    unit: str = "",
    letter: str = "i",
    repair: Any = None,
    rule: str = "",
    longest: int | None = None,
) -> Any:
    """One parameter. `repair` is what a value out of range in the file becomes (None: the default);
    `letter` is the contract's name of its integer type; `effect` a key of EFFECTS."""
    extra: dict[str, Any] = {"effect": effect, "letter": letter}
    if unit:
        extra["unit"] = unit
    if rule:
        extra["rule"] = rule
    if repair is not None:
        extra["repair"] = repair
    return Field(
        default=default,
        ge=least,
        le=most,
        max_length=longest,
        description=description,
        json_schema_extra=extra,
    )


class Config(BaseModel):
    """All parameters. Immutable; a change is a new one."""

    model_config = ConfigDict(frozen=True, extra="allow")

    # the contract's 37, in its order
    http_port: int = row(8080, "http", "TCP port of the HTTP interface", least=1, most=65535)
    rtsp_port: int = row(8854, "discovery", "TCP port of the RTSP server", least=1, most=65535)
    http_base_dir: Text = row("../webui/dist", "files", "directory of web pages served at /; ours when it has no index.html", longest=4096)
    log_severity: int = row(2, "log", "0 trace, 1 debug, 2 info, 3 warning, 4 error, 5 fatal", least=0, most=5)
    playout_delay: int = row(0, "table", "extra playback latency reported to applications, at 48 kHz", least=0, most=4000, unit="samples", letter="j", repair=4000)
    tic_frame_size_at_1fs: int = row(48, "stored", "tick of the kernel driver; ours follows from the packet times", least=1, most=192, unit="samples", letter="j", repair=192)
    max_tic_frame_size: int = row(1024, "stored", "largest tick of the kernel driver", least=1, most=1024, unit="samples", letter="j", repair=1024)
    sample_rate: Rate = row(48000, "table", "rate of the device and of all sources", unit="Hz", letter="j", rule=RATE_RULE)
    rtp_mcast_base: MulticastBase = row("239.1.0.1", "table", "source N without an address of its own sends to this + N", rule=BASE_RULE)
    rtp_mcast_base_sec: MulticastBase = row("239.1.0.1", "stored", "the same for the second leg (ST 2022-7)", rule=BASE_RULE)
    rtp_port: int = row(5004, "table", "UDP port of sources", least=1, most=65535, letter="t")
    rtp_port_sec: int = row(5004, "stored", "UDP port of the second leg", least=1, most=65535, letter="t")
    ptp_domain: int = row(0, "clock", "PTP domain", least=0, most=127, letter="h")
    ptp_dscp: int = row(46, "clock", "DSCP of PTP messages", least=0, most=63, letter="h")
    sap_mcast_addr: Multicast = row("224.2.127.254", "discovery", "group of SAP announcements", rule=MULTICAST_RULE)
    sap_interval: int = row(300, "discovery", "between SAP announcements; 0: automatic", least=0, most=65535, unit="s", letter="t")
    syslog_proto: Literal["", "udp", "none"] = row("", "log", "where the log goes: local syslog, a syslog server, or standard output")
    syslog_server: Text = row("", "log", "address:port of the syslog server", longest=260)
    status_file: Text = row("./status.json", "files", "file that keeps sources and sinks; empty: none", longest=4096)
    interface_name: Text = row("eth0", "table", "network interface, or two separated by a comma (ST 2022-7)", longest=64)
    mdns_enabled: bool = row(True, "discovery", "announce and browse by mDNS")
    custom_node_id: Text = row("", "sdp", "name of this node; empty: made from its address", longest=64)
    node_id: Text = row("", "ignored", "name of this node in effect")
    ptp_status_script: Text = row("", "files", "program run with unlocked, locking or locked when the clock state changes", longest=4096)
    mac_addr: Text = row("", "ignored", "hardware address of the first interface")
    ip_addr: Text = row("", "table", "which of the first interface's addresses to use; empty: its first", longest=64)
    streamer_channels: int = row(8, "streamer", "channels the HTTP streamer captures", least=2, most=16, letter="h")
    streamer_files_num: int = row(8, "streamer", "files in the streamer's ring", least=4, most=16, letter="h")
    streamer_file_duration: int = row(1, "streamer", "length of a streamer file", least=1, most=4, unit="s", letter="t")
    streamer_player_buffer_files_num: int = row(1, "streamer", "files a player buffers", least=1, most=2, letter="h")
    streamer_enabled: bool = row(False, "streamer", "serve sinks over HTTP: AAC files and streams, and live listening")
    auto_sinks_update: bool = row(True, "discovery", "sinks follow the announced changes of their source")
    nmos_enabled: bool = row(False, "stored", "NMOS node and connection interfaces")
    nmos_registry_address: Text = row("", "stored", "address of the NMOS registry", longest=260)
    nmos_registry_port: int = row(8010, "stored", "port of the NMOS registry", least=1, most=65535, letter="t")
    nmos_node_port: int = row(3212, "stored", "TCP port of the NMOS node", least=1, most=65535, letter="t")
    nmos_label: Text = row("AES67 Daemon", "stored", "label of the NMOS node", longest=256)

    # ours
    clock_mode: ClockMode = row("ptp-slave", "clock", "follow a PTP master only; follow the best master and be one if there is none (ptp; gptp: by IEEE 802.1AS); be the grandmaster (gm); run free without PTP; follow the system clock or a hardware clock that somebody else disciplines", rule=MODE_RULE)
    ptp_profile: ProfileNames = row("aes67", "clock", "PTP profile of the port: transport, delay mechanism, intervals, limits", rule=PROFILE_RULE)
    ptp_clocks: ClockNames = row("media", "clock", "name of the clock; with one for each interface the second network's time is a clock of its own, measured and shown beside the media clock", rule=CLOCKS_RULE)
    ptp_domain_sec: int | None = row(None, "clock", "PTP domain of the second clock; absent: ptp_domain, with another profile that one's default", least=0, most=127, letter="h")
    ptp_priority1: int | None = row(None, "clock", "priority1 as a clock; absent: 250, as grandmaster 127", least=0, most=255, letter="h")
    ptp_priority2: int = row(128, "clock", "priority2 as a clock", least=0, most=255, letter="h")
    ptp_sync_interval: int | None = row(None, "clock", "Sync messages as master: every 2^n s, within the limits of the profile; absent: the profile's default", least=-7, most=1)
    ptp_announce_interval: int | None = row(None, "clock", "Announce messages as master: every 2^n s, within the limits of the profile; absent: the profile's default", least=-3, most=4)
    ptp_allowed_masters: Identities = row("", "clock", "clock identities of the masters to listen to, behind a boundary clock that clock's; empty: all", rule=IDENTITIES_RULE, repair=NOBODY)
    ptp_asymmetry_ns: int = row(0, "clock", "by how much the way from the master takes longer than the mean of both ways, as delayAsymmetry of IEEE 1588 and ptp4l", least=-10_000_000, most=10_000_000, unit="ns")
    ptp_card_timestamps: Literal["off", "auto", "on"] = row("auto", "clock", "timestamps of the network card: use them where they are turned on (auto), turn them on (needs CAP_NET_ADMIN, and changes the card for all programs), never (off)")
    gptp_link_delay_limit_ns: int = row(0, "clock", "gPTP: a neighbour further away is not spoken to; 0: 800 ns with timestamps of the card as 802.1AS says, else 1 ms", least=0, most=1_000_000_000, unit="ns")
    device_channels: int = row(512, "table", "channels of the ALSA device in each direction", least=1, most=1024)
    rate_follows_app: bool = row(False, "table", "an application opening the device at another rate changes the rate of everything")
    cpu_latency_us: int | None = row(None, "table", "longest time that an idle processor may take to wake up, asked of the kernel (/dev/cpu_dma_latency) while the engine runs; 0: idle processors poll instead of sleeping, which costs power, heat and, in a virtual machine, processor time of the host; absent: as the machine has it", least=0, most=10_000, unit="us")
    rtcp_enabled: bool = row(False, "discovery", "send RTCP reports and take those of others, on the port after the media port")
    ptp_interfaces: PtpInterfaceNames = row("", "clock", "interfaces to take and give time on, one or two; empty: those of interface_name", rule=PTP_NAMES_RULE)
    discovery_interfaces: InterfaceNames = row("", "discovery", "interfaces to announce and browse on by SAP, mDNS and RTSP; empty: SAP on those of interface_name, mDNS and RTSP on the first of them", rule=NAMES_RULE)
    control_interfaces: InterfaceNames = row("", "http", "interfaces the HTTP interface is reached by, besides lo; empty: all, or the address of --http_addr, which counts more", rule=NAMES_RULE)
    http_allowed_hosts: Text = row("", "api", "further names under which this machine is reached, separated by commas: writes under foreign names are refused", longest=1024)
    paths_by_api: bool = row(False, "api", "allow http_base_dir, status_file and ptp_status_script to be changed over HTTP; only the file can set it")

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The interface names, first the primary one."""
        return tuple(name for name in self.interface_name.replace(" ", "").split(",") if name)

    @property
    def timed_on(self) -> tuple[str, ...]:
        """Interfaces for PTP, each with a port of its own: at most two."""
        return (_split(self.ptp_interfaces) or tuple(dict.fromkeys(self.interfaces)))[:PTP_INTERFACES]

    @property
    def announced_on(self) -> tuple[str, ...]:
        """Interfaces for SAP: those for discovery, else all."""
        return _split(self.discovery_interfaces) or tuple(dict.fromkeys(self.interfaces))

    @property
    def registered_on(self) -> tuple[str, ...]:
        """Interfaces for mDNS and the RTSP server: those for discovery, else the first."""
        return _split(self.discovery_interfaces) or self.interfaces[:1]

    @property
    def controlled_on(self) -> tuple[str, ...]:
        """Interfaces for HTTP besides lo; empty: no matter which."""
        return _split(self.control_interfaces)

    @property
    def sync_interval(self) -> int:
        """ptp_sync_interval in effect, on the first port."""
        given = self.ptp_sync_interval
        return profiles(self)[0].log_sync.default if given is None else given

    @property
    def announce_interval(self) -> int:
        """ptp_announce_interval in effect, on the first port."""
        given = self.ptp_announce_interval
        return profiles(self)[0].log_announce.default if given is None else given

    @property
    def priority1(self) -> int:
        """priority1 in effect: the default depends on the mode."""
        if self.ptp_priority1 is not None:
            return self.ptp_priority1
        return 127 if self.clock_mode == "gm" else 250


def _split(names: str) -> tuple[str, ...]:
    return tuple(name for name in names.split(",") if name)


KEYS = tuple(Config.model_fields)
CONTRACT_KEYS = KEYS[: KEYS.index("nmos_label") + 1]
OURS = KEYS[len(CONTRACT_KEYS) :]
FILE_ONLY = ("paths_by_api",)
"""Never changed over HTTP."""
PATHS = ("http_base_dir", "status_file", "ptp_status_script")
"""Changed over HTTP only if `paths_by_api`."""


def extra_of(key: str) -> dict[str, Any]:
    """What the row of `key` says beside its type: effect, letter, unit, repair."""
    extra = Config.model_fields[key].json_schema_extra
    assert isinstance(extra, dict)
    return dict(extra)
