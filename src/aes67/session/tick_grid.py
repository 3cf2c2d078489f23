"""How many frames the engine's tick has: a grid on which all packets begin and end."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd

from aes67.session.rows import SinkEntry, SourceEntry

TICK_MOST_FRAMES = 48
"""At 1 FS, more at a multiple of it: 1 ms. Each tick costs a wake-up, dear on virtual machines."""
TICK_LEAST_NS = 125_000
TICKS_OF_DELAY = 3
"""A sink's delay is a packet and this many ticks: one until it is collected, one until the bus is
made final, one for a tick that comes late."""


def speed_factor(rate: int) -> int:
    """How many times 1 FS a rate is: 1, 2, 4 or 8."""
    return 1 if rate <= 48_000 else 2 if rate <= 96_000 else 4 if rate <= 192_000 else 8


def tick_frames(
    rate: int, packet_lengths: tuple[int, ...], spare_delays: tuple[int, ...] = ()
) -> int:
    """Frames between two ticks: if there is one, a divisor of all packet lengths, 125 us to 1 ms.

    The largest that leaves every sink its TICKS_OF_DELAY; 1 ms without streams. Lengths with no
    such divisor (a prime number of frames, or lengths that have next to nothing in common) get the
    finest grid: packets then leave up to 125 us late.

    Args:
        spare_delays: by how many frames the delay of each sink exceeds its packet.
    """
    least = -(-rate * TICK_LEAST_NS // 10**9)
    most = TICK_MOST_FRAMES * speed_factor(rate)
    for spare in spare_delays:
        most = min(most, max(spare // TICKS_OF_DELAY, least))
    if not packet_lengths:
        return most
    common = gcd(*packet_lengths)
    divisors = (each for each in range(most, least - 1, -1) if common % each == 0)
    return next(divisors, least)


def packet_lengths(
    sources: Mapping[int, SourceEntry], sinks: Mapping[int, SinkEntry]
) -> tuple[int, ...]:
    """Frames of every packet sent or received, each length once; unknown ones are left out."""
    sent = [each.source.max_samples_per_packet for each in sources.values() if each.enabled]
    received = [each.stream.frames_per_packet for each in sinks.values() if each.enabled]
    return tuple(sorted({each for each in sent + received if each}))


def spare_delays(sinks: Mapping[int, SinkEntry], rate: int) -> tuple[int, ...]:
    """What each enabled sink's delay leaves beyond a packet (one of unknown length: of 1 ms)."""
    return tuple(
        each.sink.delay - (each.stream.frames_per_packet or TICK_MOST_FRAMES * speed_factor(rate))
        for each in sinks.values()
        if each.enabled
    )
