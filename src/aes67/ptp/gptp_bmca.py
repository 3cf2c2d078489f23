"""Priority vectors (802.1AS 10.3.4, 10.3.5): tuples that are compared octet by octet, lower wins.

For grandmasters that differ this is the order of 1588. Of one grandmaster on several ways 1588 asks
which way a message took before it compares; 802.1AS does not, since bridges end loops by the path
trace.
"""

from __future__ import annotations

from aes67.ptp.foreign import ForeignMaster
from aes67.wire.ptp_header import PortIdentity
from aes67.wire.ptp_messages import Announce

NOT_CAPABLE = 255
"""priority1 of a clock that is no grandmaster (8.6.2.1)."""

Vector = tuple[int, int, int, int, int, bytes, int, PortIdentity, int]


def message_priority(announce: Announce, receiver: int) -> Vector:
    """The messagePriorityVector of an Announce received on the port of this number."""
    quality = announce.quality
    return (
        announce.priority1,
        quality.clock_class,
        quality.accuracy,
        quality.variance,
        announce.priority2,
        announce.grandmaster,
        announce.steps_removed,
        announce.header.source,
        receiver,
    )


def best(masters: list[ForeignMaster], receiver: int) -> ForeignMaster | None:
    """The one with the best vector that can be a grandmaster; None without any."""
    found: tuple[Vector, ForeignMaster] | None = None
    for master in masters:
        if master.announce is None or master.announce.priority1 == NOT_CAPABLE:
            continue
        vector = message_priority(master.announce, receiver)
        if found is None or vector < found[0]:
            found = vector, master
    return None if found is None else found[1]
