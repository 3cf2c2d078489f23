"""Contests of masters, with the winner IEEE 1588-2019 clause 9.3 names; no code decides here.

`winner` is the index of the offer that is followed, or None where our own clock stays the master or
goes passive. Every row is also put to a real ptp4l: see tests/ptp/test_bmca_contests.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Announce, Quality, pack

LOG_ANNOUNCE = -1


@dataclass(frozen=True)
class Offer:
    """What one sender announces; numbers stand for the last byte of an identity."""

    sender: int
    port: int = 1
    grandmaster: int | None = None
    priority1: int = 128
    clock_class: int = 248
    accuracy: int = 0xFE
    variance: int = 0xFFFF
    priority2: int = 128
    steps: int = 0

    @property
    def identity(self) -> PortIdentity:
        return PortIdentity(clock(self.sender), self.port)

    @property
    def grandmaster_clock(self) -> bytes:
        return clock(self.sender if self.grandmaster is None else self.grandmaster)

    def packet(self, sequence: int, domain: int = 0) -> bytes:
        header = Header(
            h.ANNOUNCE, self.identity, sequence, domain, h.PTP_TIMESCALE, 0, LOG_ANNOUNCE
        )
        quality = Quality(self.clock_class, self.accuracy, self.variance)
        return pack(
            Announce(
                header, 37, self.priority1, quality, self.priority2, self.grandmaster_clock,
                self.steps, 0x20,
            )
        )  # fmt: skip


@dataclass(frozen=True)
class Contest:
    """Offers on one port, and who we are: slave-only, or a clock that may lead."""

    name: str
    offers: tuple[Offer, ...]
    winner: int | None
    state: str = "slave"
    own: Offer | None = None


def clock(number: int) -> bytes:
    return bytes.fromhex("02bca0fffe0000") + bytes((number,))


OWN = 0x80
"""Our own identity's number; offers have lower and higher ones."""


def _two(name: str, winner: int, first: dict[str, Any], second: dict[str, Any]) -> Contest:
    """Two offers to a slave; where nothing else is said the first one has the lower identity."""
    return Contest(
        name, (Offer(**{"sender": 0x10, **first}), Offer(**{"sender": 0x20, **second})), winner
    )


def _own(name: str, state: str, own: dict[str, Any], other: dict[str, Any]) -> Contest:
    """Our own clock, which may lead, against one offer."""
    winner = 0 if state == "slave" else None
    mine = Offer(**{"sender": OWN, **own})
    return Contest(name, (Offer(**{"sender": 0x10, **other}),), winner, state, mine)


SAME = {"grandmaster": 0x05}

CONTESTS = (
    _two("priority1", 1, {}, {"priority1": 127}),
    _two("priority1-before-class", 1, {"clock_class": 6}, {"priority1": 127}),
    _two("priority1-from-0", 1, {"priority1": 1}, {"priority1": 0}),
    _two("priority1-to-255", 1, {"priority1": 255}, {"priority1": 254}),
    _two("class-6-before-7", 1, {"clock_class": 7}, {"clock_class": 6}),
    _two("class-7-before-13", 1, {"clock_class": 13}, {"clock_class": 7}),
    _two("class-52-before-187", 1, {"clock_class": 187}, {"clock_class": 52}),
    _two("class-187-before-248", 1, {}, {"clock_class": 187}),
    _two("class-248-before-255", 1, {"clock_class": 255}, {}),
    _two("class-before-accuracy", 1, {"accuracy": 0x20}, {"clock_class": 247}),
    _two("accuracy", 1, {"accuracy": 0x21}, {"accuracy": 0x20}),
    _two("accuracy-unknown-is-worse", 1, {}, {"accuracy": 0x31}),
    _two("accuracy-before-variance", 1, {"variance": 1}, {"accuracy": 0x21}),
    _two("variance", 1, {}, {"variance": 0x4E5D}),
    _two("variance-before-priority2", 1, {"priority2": 0}, {"variance": 0xFFFE}),
    _two("priority2", 1, {}, {"priority2": 127}),
    _two("tie-falls-to-the-lowest-identity", 0, {}, {}),
    _two("identity-of-the-grandmaster-not-of-the-sender", 1, {}, {"grandmaster": 0x04}),
    _two("steps-do-not-count-between-grandmasters", 1, {}, {"priority2": 127, "steps": 200}),
    _two("fewer-steps", 1, {**SAME, "steps": 5}, {**SAME, "steps": 2}),
    _two("one-step-fewer", 1, {**SAME, "steps": 3}, {**SAME, "steps": 2}),
    _two("same-steps-lower-sender", 0, {**SAME, "steps": 2}, {**SAME, "steps": 2}),
    _two("same-sender-lower-port", 1, {"sender": 0x20, "port": 2}, {}),
    _two("255-steps-are-ignored", 0, {}, {"priority1": 1, "steps": 255}),
    Contest(
        "the-third-of-three",
        (Offer(0x10, clock_class=7), Offer(0x20, accuracy=0x20), Offer(0x30, clock_class=6)),
        2,
    ),
    _own("we-lead-by-priority1", "master", {"priority1": 127}, {"clock_class": 6}),
    _own("we-follow-by-priority1", "slave", {"clock_class": 187}, {"priority1": 127}),
    _own("we-tie-and-follow-the-lower-identity", "slave", {}, {}),
    _own("we-tie-and-lead-the-higher-identity", "master", {}, {"sender": 0x90}),
    _own("class-6-that-loses-is-passive", "passive", {"clock_class": 6}, {"priority1": 127}),
    _own("class-127-that-loses-is-passive", "passive", {"clock_class": 127}, {"clock_class": 6}),
    _own("class-128-that-loses-is-slave", "slave", {"clock_class": 128}, {"clock_class": 6}),
    _own("class-6-that-wins-leads", "master", {"clock_class": 6}, {"clock_class": 7}),
)
