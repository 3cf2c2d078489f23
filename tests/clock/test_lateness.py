"""Which of the first measurements were late: as a naive twin says, and right where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from aes67.clock.lateness import late_ones
from aes67.clock.noise import RING_INTS, ring_put
from reference import lateness as twin

NS = 1_000_000_000
BASE = 1_700_000_000 * NS


def measured(
    seed: int, counts: tuple[int, int], late: float, noise_ns: float = 300.0, gap_s: float = 1.0
) -> tuple[list[twin.Points], list[set[int]]]:
    """Syncs and Delays over a path of 5 us at 30 ppm, and which of them came 20 to 500 us late."""
    rng = np.random.default_rng(seed)
    points: list[twin.Points] = []
    truth: list[set[int]] = []
    for count, sign in zip(counts, (-1, 1), strict=True):
        slow = {i for i in range(count) if rng.random() < late}
        made, raw = [], 77 * NS
        for i in range(count):
            raw += int(rng.uniform(0.5, 1.5) * gap_s * NS)
            delay = 5_000 + rng.gamma(3, noise_ns) + (rng.uniform(2e4, 5e5) if i in slow else 0)
            made.append((raw, BASE + raw + round(raw * 30e-6) + sign * round(delay)))
        points.append(made)
        truth.append(slow)
    return points, truth


def found(points: list[twin.Points]) -> list[set[int]]:
    """What the kernel says of them."""
    rings = []
    for each in points:
        ring = np.zeros(RING_INTS, np.int64)
        for raw, master in each:
            ring_put(ring, raw, master - raw)
        rings.append(ring)
    bits = late_ones(rings[0], rings[1])
    return [{i for i in range(64) if mask >> i & 1} for mask in bits]


@pytest.mark.parametrize(
    "counts", [(3, 2), (5, 0), (0, 6), (6, 1), (4, 4), (9, 7), (24, 24), (40, 8)]
)
@pytest.mark.parametrize("late", [0.0, 0.1, 0.3, 0.6])
def test_the_kernel_is_its_naive_twin(counts: tuple[int, int], late: float) -> None:
    for seed in range(4):
        for gap_s in (0.125, 1.0):
            points, _ = measured(seed, counts, late, gap_s=gap_s)
            assert found(points) == list(twin.late_ones(points[0], points[1]))


@pytest.mark.parametrize("which", range(5))
def test_one_of_the_first_five_is_made_out_wherever_it_stands(which: int) -> None:
    points, _ = measured(which, (3, 2), 0.0)
    direction, index = divmod(which, 3)
    raw, master = points[direction][index]
    points[direction][index] = raw, master + (150_000 if direction else -150_000)
    expected: list[set[int]] = [set(), set()]
    expected[direction] = {index}
    assert found(points) == expected


def test_of_four_nobody_can_tell() -> None:
    points, _ = measured(1, (2, 2), 0.0)
    raw, master = points[1][1]
    points[1][1] = raw, master + 400_000
    assert found(points) == [set(), set()]


@pytest.mark.parametrize("seed", range(10))
def test_a_third_of_many_is_made_out(seed: int) -> None:
    """All that are later than the limit, which the noise of 0.5 us puts at 10 us or less."""
    points, truth = measured(seed, (24, 24), 0.3)
    assert found(points) == truth


@pytest.mark.parametrize("noise_ns", [0.0, 10.0, 2_000.0, 100_000.0])
def test_noise_alone_is_hardly_ever_late(noise_ns: float) -> None:
    """480 measurements; gamma(3) is beyond 8 of its standard deviations once in 100 000."""
    called = 0
    for seed in range(10):
        points, _ = measured(seed, (24, 24), 0.0, noise_ns)
        called += sum(len(each) for each in found(points))
    assert called <= 5
