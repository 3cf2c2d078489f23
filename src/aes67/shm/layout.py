"""All there is to know about memory and messages shared between processes: the one import surface.

Nowhere else is an offset stated. Three readers share it: the engine (Numba kernels index these
dtypes), the control process (reads counters and the clock) and the C plugin (through
`alsa_plugin/aes67_shm.h`, printed from here by `aes67.shm.header`). All integers are little-endian;
everything a kernel touches is int64, since Numba turns uint64 with int64 into float64. No dtype has
implicit padding: every byte is a named field or a named gap, and a cache line (64 bytes) has one
writer.

Stated in `constants` (limits, states, codes), `pages` (what applications map, and how long it is),
`messages` (of the ALSA socket) and `tables` (between control and the tick, and counters).
"""

from __future__ import annotations

from aes67.shm.constants import *  # noqa: F403
from aes67.shm.messages import *  # noqa: F403
from aes67.shm.messages import CAPS, CTL, EVENT, HELLO, SETUP, STREAM_REPLY
from aes67.shm.pages import *  # noqa: F403
from aes67.shm.pages import BUS, CLOCK, STREAM
from aes67.shm.schema import *  # noqa: F403
from aes67.shm.tables import *  # noqa: F403
from aes67.shm.tables import (
    ENGINE_COUNTERS,
    LEG_COUNTERS,
    PCM_COUNTERS,
    SINK_COUNTERS,
    SINK_ROW,
    SOURCE_COUNTERS,
    SOURCE_ROW,
)

STRUCTS = (
    CLOCK,
    BUS,
    STREAM,
    HELLO,
    CAPS,
    SETUP,
    STREAM_REPLY,
    EVENT,
    CTL,
    SOURCE_ROW,
    SINK_ROW,
    ENGINE_COUNTERS,
    SOURCE_COUNTERS,
    SINK_COUNTERS,
    LEG_COUNTERS,
    PCM_COUNTERS,
)
"""All records, in the order of the C header."""
