"""The PTP profiles as rows of one table: what a port sends, and how often, unless told otherwise.

A profile belongs to a port. What a port *accepts* is not limited by it: intervals of a master are
taken from its messages. Intervals are base-2 logarithms of seconds. Each row names its source; a
range nobody prescribes is ours and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Transport(Enum):
    """What carries the messages."""

    UDP_IPV4 = "UDP/IPv4"
    """1588 annex C: 224.0.1.129, ports 319 and 320."""
    ETHERNET = "Ethernet"
    """1588 annex E: EtherType 0x88F7; in gPTP to 01-80-C2-00-00-0E (802.1AS 11.3.4)."""


class DelayMechanism(Enum):
    """How the path delay is measured."""

    E2E = "E2E"
    """Delay_Req and Delay_Resp with the master (1588 11.3)."""
    P2P = "P2P"
    """Pdelay_Req and Pdelay_Resp with the neighbour (1588 11.4)."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """A default and the range (both ends included) a profile allows."""

    default: int
    low: int
    high: int

    def allows(self, value: int) -> bool:
        """Whether `value` lies in the range."""
        return self.low <= value <= self.high

    @property
    def words(self) -> str:
        """The range for people."""
        return f"{self.low} to {self.high}" if self.low < self.high else f"{self.low} only"


@dataclass(frozen=True, slots=True)
class Profile:
    """One row.

    Attributes:
        name: in the configuration. title, source: for people.
        domain: domainNumber.
        log_announce, log_sync: logAnnounceInterval, logSyncInterval.
        log_delay_request: logMinDelayReqInterval, or logMinPdelayReqInterval with P2P.
        announce_receipt_timeout: in announce intervals.
        sync_receipt_timeout: in Sync intervals; 0: silence of Sync does not end a master.
        priority1, priority2: the profile's own defaults. As priority1 we use 250 in mode `ptp` and
            127 in mode `gm` whatever the profile says, so that no network is taken by accident.
        major_sdo: majorSdoId (transportSpecific) of all messages.
        path_trace: Announce messages name the clocks they went through (16.2).
    """

    name: str
    title: str
    source: str
    transport: Transport
    delay_mechanism: DelayMechanism
    domain: Bounded
    log_announce: Bounded
    log_sync: Bounded
    log_delay_request: Bounded
    announce_receipt_timeout: Bounded
    sync_receipt_timeout: int
    priority1: int
    priority2: int
    major_sdo: int
    path_trace: bool = False


def _over_ip(
    name: str,
    title: str,
    source: str,
    domain: Bounded,
    intervals: tuple[Bounded, Bounded, Bounded],
) -> Profile:
    """A row of the kind E2E over UDP/IPv4; `intervals`: Announce, Sync, Delay_Req."""
    announce, sync, delay_request = intervals
    return Profile(
        name, title, source, Transport.UDP_IPV4, DelayMechanism.E2E, domain,
        announce, sync, delay_request, Bounded(3, 2, 10), 0, 128, 128, 0,
    )  # fmt: skip


AES67 = _over_ip(
    "aes67",
    "AES67 media profile",
    "AES67 annex A; logMinDelayReqInterval 0 as in its implementations (switch vendors: -3)",
    Bounded(0, 0, 127),
    (Bounded(1, 0, 4), Bounded(-3, -4, 1), Bounded(0, -4, 5)),
)
DEFAULT_E2E = _over_ip(
    "default",
    "IEEE 1588 default profile, E2E",
    "IEEE 1588 annex I.3 (2008: J.3)",
    Bounded(0, 0, 127),
    (Bounded(1, 0, 4), Bounded(0, -1, 1), Bounded(0, 0, 5)),
)
ST2059_2 = _over_ip(
    "st2059-2",
    "SMPTE ST 2059-2",
    "ST 2059-2 table 1",
    Bounded(127, 0, 127),
    (Bounded(-2, -3, 1), Bounded(-3, -7, -1), Bounded(-3, -7, 4)),
)
AES_R16 = _over_ip(
    "aes-r16",
    "AES67 and ST 2059-2 together",
    "AES-R16: the common range of both",
    Bounded(0, 0, 127),
    (Bounded(0, 0, 1), Bounded(-3, -4, -1), Bounded(-3, -4, 4)),
)
GPTP = Profile(
    "gptp",
    "gPTP, IEEE 802.1AS",
    "802.1AS 10.7, 11.5 (defaults), 8.6.2.1 (priority1: 250 portable, 248 other end stations); "
    "ranges of the intervals are ours",
    Transport.ETHERNET,
    DelayMechanism.P2P,
    domain=Bounded(0, 0, 127),
    log_announce=Bounded(0, -2, 2),
    log_sync=Bounded(-3, -5, 1),
    log_delay_request=Bounded(0, -3, 3),
    announce_receipt_timeout=Bounded(3, 2, 10),
    sync_receipt_timeout=3,
    priority1=248,
    priority2=248,
    major_sdo=1,
    path_trace=True,
)

PROFILES = {each.name: each for each in (AES67, DEFAULT_E2E, ST2059_2, AES_R16, GPTP)}
"""By name; the first one is what a port runs unless told otherwise."""


def refusal(profile: Profile, field: str, value: int) -> str:
    """The rule `value` breaks as `field` (an attribute that is Bounded); empty: none."""
    bounded = getattr(profile, field)
    assert isinstance(bounded, Bounded)
    return "" if bounded.allows(value) else f"{bounded.words} in the {profile.title}"
