"""Fixtures every test may use; anything that starts a process or a namespace lives in tests/e2e."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import settings

from side_by_side import BESIDE, Half, add_options
from sim.netns import discipline
from standstill import Reruns, Standstill

settings.register_profile("house", deadline=None)  # the first example may compile a kernel
settings.register_profile("quick", deadline=None, max_examples=15)  # a second run, another mode
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make test` tells each of its two halves."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """A test that fails while the machine stands still is repeated, and the summary says so.

    What only calculates takes its time, and is never repeated.
    """
    half = config.getoption("half")
    if half:
        config.pluginmanager.register(Half(config), "half")
    if half != BESIDE:
        config.pluginmanager.register(Reruns(Standstill()), "reruns")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run here, with the reason; CI runs everything."""
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        peer = item.get_closest_marker("peer")
        if peer:
            for program in peer.args:
                if shutil.which(program) is None:
                    item.add_marker(pytest.mark.skip(reason=f"{program} is not installed"))


@pytest.fixture
def system_clock_untouched() -> Iterator[None]:
    """For whatever runs real PTP: the kernel's clock is disciplined by nobody, before and after."""
    before = discipline()
    yield
    assert discipline() == before
