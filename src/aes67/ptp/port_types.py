"""What goes into a port and what comes out of it, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from aes67.clock.measurement import Measurement
from aes67.ptp.bmca import Role
from aes67.ptp.master import FREE_RUNNING
from aes67.wire.ptp_header import PortIdentity
from aes67.wire.ptp_messages import Quality


@dataclass(frozen=True, slots=True)
class PortConfig:
    """Fixed for the life of a port; intervals as base-2 logarithms of seconds.

    `interface` is its name, for reasons; `profile` the name of its row; `major_sdo` and
    `path_trace` as in `profiles.Profile`. `announce_receipt_timeout` is in announce intervals,
    `sync_receipt_timeout` in Sync intervals (0: silence of Sync does not end a master).
    """

    identity: PortIdentity
    role: Role
    domain: int = 0
    priority1: int = 250
    priority2: int = 128
    quality: Quality = FREE_RUNNING
    log_announce: int = 1
    log_sync: int = -3
    log_delay_request: int = 0
    announce_receipt_timeout: int = 3
    sync_receipt_timeout: int = 0
    major_sdo: int = 0
    path_trace: bool = False
    profile: str = "aes67"
    interface: str = ""
    allowed_masters: frozenset[bytes] = frozenset()
    """Clock identities that are listened to as masters (1588 clause 17.5); empty: all."""
    asymmetry_ns: int = 0
    """delayAsymmetry (7.4.2): the way from the master takes this much longer than the mean."""
    link_delay_limit_ns: int = 0
    """802.1AS: a neighbour further away is none of ours; 0: by the kind of stamps."""


class Outgoing(NamedTuple):
    """A message to send. `event`: on port 319, and its transmit stamp is to be given to `sent`."""

    data: bytes
    event: bool
    token: tuple[int, int]


class Measured(NamedTuple):
    """A measurement of `master` was added to its estimator."""

    master: PortIdentity
    measurement: Measurement
    stepped: bool


@dataclass(frozen=True, slots=True)
class Selected:
    """The best master is another one, or none."""

    master: PortIdentity | None


Event = Measured | Selected
