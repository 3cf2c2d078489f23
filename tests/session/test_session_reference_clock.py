"""ts-refclk of a description: by the network whose time it is."""

from __future__ import annotations

import pytest

from aes67.config.model import Config
from aes67.session.reference_clock import is_gptp, ptp_reference
from aes67.wire.sdp import Attribute
from aes67.wire.sdp_attributes import read_ref_clock

GMID = "00-1D-C1-FF-FE-00-00-01"


@pytest.mark.parametrize(
    ("rows", "gptp"),
    [
        ({}, False),
        ({"clock_mode": "gptp"}, True),
        ({"clock_mode": "gm", "ptp_profile": "gptp"}, True),
        ({"clock_mode": "free", "ptp_profile": "gptp"}, False),
        ({"clock_mode": "system", "ptp_profile": "gptp"}, False),
        ({"clock_mode": "phc:/dev/ptp0", "ptp_profile": "gptp"}, False),
        ({"interface_name": "eth0,eth1", "ptp_profile": "gptp,aes67"}, False),
        ({"interface_name": "eth0,eth1", "ptp_profile": "gptp,gptp"}, True),
    ],
)
def test_only_a_clock_of_nothing_but_gptp_is_one(rows: dict[str, str], gptp: bool) -> None:
    assert is_gptp(Config(**rows)) is gptp  # type: ignore[arg-type]


@pytest.mark.parametrize(("gptp", "domain"), [(True, None), (False, 7)])
def test_what_is_written_is_read_as_rfc_7273_says(gptp: bool, domain: int | None) -> None:
    clock = read_ref_clock(Attribute("ts-refclk", ptp_reference(GMID, 7, gptp=gptp)))
    assert (clock.kind, clock.gmid, clock.domain) == ("ptp", GMID, domain)
    assert clock.version == ("IEEE802.1AS-2011" if gptp else "IEEE1588-2008")
