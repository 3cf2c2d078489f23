"""The capture bus's memory: one ring row a device channel, present before the tick needs it."""

from __future__ import annotations

from typing import Any

import numpy as np

from aes67.engine.memory import populate
from aes67.engine.plan import Plan
from aes67.errors import Refused
from aes67.shm.layout import (
    BUS,
    BUS_MAGIC,
    PAGE_BYTES,
    VERSION_MAJOR,
    VERSION_MINOR,
    bus_frames_for,
)
from aes67.shm.region import Region, create

_SAMPLE_BYTES = 4


def make_bus(plan: Plan, generation: int) -> Region:
    """A silent bus for a plan's rate and channels.

    Raises:
        Refused: there is no memory for it.
    """
    frames = bus_frames_for(plan.rate)
    size = PAGE_BYTES + plan.device_channels * frames * _SAMPLE_BYTES
    try:
        bus = create("aes67-bus", size, read_only_for_others=True)
    except OSError as error:
        rule = f"a bus of {size} bytes: {error.strerror}"
        raise Refused("device_channels", plan.device_channels, rule) from error
    header = bus.view(BUS)[0]
    header["magic"] = BUS_MAGIC
    header["major"] = VERSION_MAJOR
    header["minor"] = VERSION_MINOR
    header["generation"] = generation
    header["rate"] = plan.rate
    header["channels"] = plan.device_channels
    header["frames"] = frames
    return bus


def populate_rows(bus: Region, sinks: np.ndarray[Any, Any], rate: int) -> None:
    """Make the rows of all channels that enabled sinks write present."""
    row_bytes = bus_frames_for(rate) * _SAMPLE_BYTES
    for row in sinks[sinks["enabled"] != 0]:
        for channel in row["map"][: row["channels"]]:
            if channel >= 0:
                populate(bus, PAGE_BYTES + int(channel) * row_bytes, row_bytes)
