"""Asking an interface for timestamps of its card, where there is none: what the kernel answers."""

from __future__ import annotations

import subprocess

import pytest

from aes67.net import phc
from sim.netns import veth_pair


def test_the_loopback_has_no_clock() -> None:
    assert phc.support("lo") == phc.Support(-1, False, 0)
    assert not phc.enabled("lo", ethernet=True)


def test_an_interface_that_is_not_there_can_do_nothing() -> None:
    assert not phc.support("nosuch0").stamps
    assert not phc.enabled("nosuch0", ethernet=False)
    assert phc.enable("nosuch0", False, 1 << phc.FILTER_ALL)


def test_a_card_without_a_filter_for_us_is_not_touched() -> None:
    assert phc.enable("lo", True, 0) == "the card cannot stamp these messages"


@pytest.mark.root
@pytest.mark.peer("ethtool")
def test_ethtool_says_the_same_of_a_veth() -> None:
    with veth_pair() as (a, _, interface):
        command = ["ip", "netns", "exec", a.name, "ethtool", "-T", interface]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        with a.entered():
            found = phc.support(interface)
        assert "PTP Hardware Clock: none" in said
        assert (found.index, found.stamps) == (-1, False)
