"""Which PCMs are open, on which channels, for whom: the book of the ALSA socket. Pure."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from aes67.shm.layout import CAPTURE, PLAYBACK

DIRECTION_NAMES = {PLAYBACK: "playback", CAPTURE: "capture"}


@dataclass(frozen=True)
class Limits:
    """What the users of the machine may take of the engine."""

    pcms_per_uid: int = 96
    """PCMs set up at once by one user, both directions."""
    bytes_per_uid: int = 256 << 20
    """Memory of one user's playback rings."""
    connections_per_uid: int = 256
    connections: int = 512


@dataclass(frozen=True)
class Pcm:
    """One PCM that is set up. A capture PCM reads the common bus: stream_id 0, slot -1."""

    stream_id: int
    slot: int
    direction: int
    first: int
    channels: int
    rate: int
    exclusive: bool
    ring_bytes: int
    uid: int
    pid: int
    application: str

    def to_json(self) -> dict[str, object]:
        """An entry of the link's `pcms` message."""
        return {
            "stream_id": self.stream_id,
            "direction": DIRECTION_NAMES[self.direction],
            "application": self.application,
            "pid": self.pid,
            "uid": self.uid,
            "rate": self.rate,
            "channels": self.channels,
            "first": self.first,
            "slot": self.slot,
        }


@dataclass(frozen=True)
class Claim:
    """What somebody wants to open: a range of device channels in one direction."""

    direction: int
    first: int
    channels: int
    exclusive: bool


class Book:
    """PCMs by the key of their owner (one each)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[int, Pcm] = {}

    def add(self, owner: int, pcm: Pcm) -> None:
        """Enter the PCM of `owner`, who has none."""
        assert owner not in self._open
        self._open[owner] = pcm

    def remove(self, owner: int) -> Pcm | None:
        """Strike out and return the PCM of `owner`; None when there is none."""
        return self._open.pop(owner, None)

    def get(self, owner: int) -> Pcm | None:
        """The PCM of `owner`."""
        return self._open.get(owner)

    def all(self) -> list[Pcm]:
        """All, in the order they were set up."""
        return list(self._open.values())

    def is_busy(self, claim: Claim) -> bool:
        """True when exclusiveness, the claim's or an open PCM's, forbids sharing its channels."""
        return any(
            pcm.direction == claim.direction
            and pcm.first < claim.first + claim.channels
            and claim.first < pcm.first + pcm.channels
            and (claim.exclusive or pcm.exclusive)
            for pcm in self._open.values()
        )

    def over_limit(self, uid: int, ring_bytes: int) -> int:
        """0, or the errno that refuses this user another PCM with a ring of `ring_bytes`."""
        own = [pcm for pcm in self._open.values() if pcm.uid == uid]
        if len(own) >= self._limits.pcms_per_uid:
            return errno.EBUSY
        if sum(pcm.ring_bytes for pcm in own) + ring_bytes > self._limits.bytes_per_uid:
            return errno.ENOMEM
        return 0
