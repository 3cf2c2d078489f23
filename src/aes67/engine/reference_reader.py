"""What reads the reference clock of the modes `system` and `phc`, and asks ptp4l about it."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import Any

from aes67.engine.clock_spec import Wanted
from aes67.errors import Refused, WireError
from aes67.net.ptp4l import SOCKETS, Ptp4l
from aes67.net.reference_clock import (
    HardwareClock,
    ReferenceClock,
    SystemClock,
    kernel_discipline,
)
from aes67.ptp.modes import Mode
from aes67.ptp.reference import Reference
from aes67.wire.ptp_header import PortIdentity
from aes67.wire.ptp_management import parent_request, parse_parent

UNANSWERED = 3
"""Questions in a row; then there is no ptp4l any more."""
OURS = PortIdentity(bytes.fromhex("ae67000000000000"), 1)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ptp4lPlace:
    """Where a ptp4l is asked, and the directory its answers come to (see `net.ptp4l`)."""

    sockets: tuple[str, ...] = SOCKETS
    directory: str = ""


class ReferenceReader:
    """One clock of this machine, until `close`.

    Args:
        clock: what is read.
        reference: what is known of it.
        domain: of the ptp4l that may discipline it.
        place: where a ptp4l is asked.
    """

    def __init__(
        self, clock: ReferenceClock, reference: Reference, domain: int, place: Ptp4lPlace
    ) -> None:
        self.reference = reference
        self._clock = clock
        self._domain = domain
        self._system = isinstance(clock, SystemClock)
        self._sequence = 0
        self._unanswered = 0
        self._ptp4l: Ptp4l | None = None
        with contextlib.suppress(Refused):
            self._ptp4l = Ptp4l(place.sockets, place.directory)

    def read(self, now_ns: int) -> None:
        """Read the clock if it is time to."""
        reference, clock = self.reference, self._clock
        if now_ns < reference.next_ns:
            return
        reference.read_again(now_ns)
        try:
            reading = clock.read()
        except OSError as error:
            reference.failed(f"{clock.name}: {error.strerror}")
            return
        reference.remark = clock.remark()
        if reading is not None:
            reference.take(reading.raw_ns, reading.time_ns, reading.width_ns)

    def ask(self) -> None:
        """Take the answer to the last question and ask again: to be called now and then."""
        if self._ptp4l is None:
            return
        self._unanswered += 1
        for data in self._ptp4l.answers():
            try:
                parent = parse_parent(data)
            except WireError as error:
                log.debug("ptp4l: %s", error)
                continue
            if parent is not None:
                self._unanswered = 0
                self.reference.grandmaster = parent.grandmaster
        # a ptp4l that only measures does not make the system clock a PTP clock
        if self._unanswered >= UNANSWERED or (self._system and not kernel_discipline()[0]):
            self.reference.grandmaster = None
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._ptp4l.ask(parent_request(OURS, self._sequence, self._domain))

    def snapshot(self) -> dict[str, Any]:
        """What is shown of it."""
        reference = self.reference
        return {
            "clock": self._clock.name,
            "method": self._clock.method,
            "readings": reference.readings,
            "interrupted": reference.wide,
            "width_ns": reference.width_ns,
            "steps": reference.steps,
            "remark": reference.remark,
        }

    def close(self) -> None:
        """Give the clock back."""
        self._clock.close()
        if self._ptp4l is not None:
            self._ptp4l.close()


def open_reference(
    wanted: Wanted, domain: int, now_ns: int, place: Ptp4lPlace
) -> ReferenceReader | None:
    """The reader a mode needs; None for those that follow no clock of this machine.

    Raises:
        Refused: there is no such hardware clock.
    """
    clock: ReferenceClock
    if wanted.mode is Mode.SYSTEM:
        clock = SystemClock()
    elif wanted.mode is Mode.PHC:
        clock = HardwareClock(wanted.device)
    else:
        return None
    return ReferenceReader(clock, Reference(clock.name, now_ns), domain, place)
