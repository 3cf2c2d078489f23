"""Which packets of a source are due: packet k covers frames [k * length, (k + 1) * length)."""

from __future__ import annotations

from aes67.jit import kernel
from aes67.media.state import Record

KEEP = 20
"""After a stall packets older than 1/20 s are not sent any more; some receivers wait that long."""


@kernel
def skip_old(state: Record, now: int, length: int, rate: int, burst: int) -> int:
    """Begin, or pass over what is too old to be of use; returns the packets passed over.

    Args:
        now: media frame; packets that ended by then are due.
        burst: packets one tick may send: a backlog within it is never cut.
    """
    complete = now // length
    if state["next_packet"] < 0:
        state["next_packet"] = complete
    oldest = complete - max(burst, rate // KEEP // length)
    skipped = oldest - state["next_packet"]
    if skipped <= 0:
        return 0
    state["next_packet"] = oldest
    return int(skipped)


@kernel
def due(state: Record, now: int, length: int, burst: int) -> int:
    """How many packets to send now: 0 to `burst`."""
    return int(min(max(now // length - state["next_packet"], 0), burst))
