"""The pairwise matrix covers what it says it does."""

from __future__ import annotations

from e2e.matrix import DIMENSIONS, pairs, pairwise, rows


def test_every_possible_pair_of_values_is_tested() -> None:
    possible = set().union(*(pairs(row) for row in rows()))
    assert set().union(*(pairs(row) for row in pairwise())) == possible


def test_every_value_is_possible() -> None:
    seen = {(i, value) for row in rows() for i, value in enumerate(row)}
    wanted = {(i, value) for i, name in enumerate(DIMENSIONS) for value in DIMENSIONS[name]}
    assert seen == wanted


def test_the_pairwise_set_is_small() -> None:
    assert len(pairwise()) <= 40
