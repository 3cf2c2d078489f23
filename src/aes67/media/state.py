"""What the tick remembers of sources, sinks and PCMs between two ticks; nobody else sees it."""

from __future__ import annotations

from typing import Any

import numpy as np

Record = Any
"""One element of a structured array: `np.void` outside, a record inside Numba."""


def _integers(*names: str) -> np.dtype[np.void]:
    return np.dtype([(name, "<i8") for name in names])


SOURCE_STATE = _integers(
    "identity",
    "next_packet",  # number of the next packet to send, -1: not sending
    "ssrc",  # in use
)

SINK_STATE = _integers(
    "identity",
    "known",  # 1: last_sequence, last_timestamp are those of `ssrc`
    "last_heard_ns",  # media time of the newest packet of the accepted sender
    "candidate",  # another SSRC that sends, -1: none
    "candidate_since_ns",
    "last_timestamp",
    "last_frames",  # of the packet with it
    "latched_before",  # 1: the next latch is a slip
    "trial",  # offset under trial
    "trial_packets",  # that agree on it, 0: none
    "trial_since_ns",
    "burst",  # earliest offset of packets that come in bursts
    "burst_since_ns",  # 0: none
)

PCM_STATE = _integers(
    "stream_id",
    "run",  # the run the fields below describe, -1: none yet
    "ran",  # 1: it was seen running, so its numbers are fixed
    "audible",  # 1: running, in the clock's epoch and within the rules
    "rule",  # broken by this run, 0: none
    "anchor",
    "start_pos",
    "epoch",
    "counted",  # positions below this are accounted for
    "from_frame",  # media frames [from_frame, to_frame) can be read
    "to_frame",
    "tail_anchor",  # of the run before: frames that were due but not yet packed when it ended
    "tail_from",
    "tail_to",
)


def forget(record: Record, identity: int) -> None:
    """Set every field of a state or counter record to 0 but `identity`."""
    for name in record.dtype.names:
        record[name] = 0
    record["identity"] = identity
