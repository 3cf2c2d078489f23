"""Every sample, from aplay over RTP to arecord, for a pairwise set of the whole matrix."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aes67.selftest.audio import run_case
from aes67.selftest.node import Node
from e2e.machine import undisturbed
from e2e.matrix import Combination, combination, pairwise

pytestmark = [pytest.mark.root, pytest.mark.peer("aplay", "arecord")]

SECONDS = 1.0
COMBINATIONS = [found for found in map(combination, pairwise()) if found is not None]


@pytest.mark.parametrize("wanted", COMBINATIONS, ids=lambda each: each.id.replace(" ", "-"))
def test_every_sample_is_identical(wanted: Combination, node_at: Callable[[int], Node]) -> None:
    node = node_at(wanted.case.rate)
    outcome = undisturbed(
        lambda: run_case(
            node, wanted.case, SECONDS, wanted.clients(10.0), wanted.case.relaxed_delay(), False
        )
    )
    assert outcome.ok, outcome.problems()
