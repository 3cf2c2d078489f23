"""The table of profiles against itself, the documentation and the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aes67.config.clock import profiles
from aes67.config.model import Config
from aes67.config.reading import Computed, from_text, full_report, merged
from aes67.errors import Refused
from aes67.ptp.profiles import PROFILES, Bounded, Profile, refusal
from aes67.session.network import Interface, Network
from aes67.session.plan import plan
from aes67.session.state import State

BOUNDED = ("domain", "log_announce", "log_sync", "log_delay_request", "announce_receipt_timeout")
CLOCK = Path(__file__).parent.parent.parent / "docs" / "clock.md"


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_every_default_lies_in_its_range(profile: Profile) -> None:
    for name in BOUNDED:
        bounded: Bounded = getattr(profile, name)
        assert bounded.allows(bounded.default), name
        assert refusal(profile, name, bounded.default) == ""
        assert profile.title in refusal(profile, name, bounded.high + 1)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_every_row_stands_in_the_documentation(profile: Profile) -> None:
    rows = [
        [each.strip() for each in line.strip("|").split("|")]
        for line in CLOCK.read_text().splitlines()
        if line.startswith(f"| `{profile.name}` |")
    ]
    (cells,) = [row for row in rows if len(row) == 8]
    assert profile.title in cells
    assert profile.source in cells
    for name in BOUNDED[:4]:
        bounded = getattr(profile, name)
        assert f"{bounded.default} ({bounded.words})" in cells


def test_the_figures_of_the_standards() -> None:
    """ST 2059-2 table 1, AES67 annex A, IEEE 1588 annex I.3: as vendors' manuals quote them."""
    st2059, aes67, e2e = PROFILES["st2059-2"], PROFILES["aes67"], PROFILES["default"]
    assert (st2059.domain, st2059.log_sync) == (Bounded(127, 0, 127), Bounded(-3, -7, -1))
    assert st2059.log_announce == Bounded(-2, -3, 1)
    assert (aes67.log_sync, aes67.log_announce) == (Bounded(-3, -4, 1), Bounded(1, 0, 4))
    assert (e2e.log_sync, e2e.log_delay_request) == (Bounded(0, -1, 1), Bounded(0, 0, 5))
    assert PROFILES["gptp"].major_sdo == 1


@pytest.mark.parametrize(
    ("tree", "field", "words"),
    [
        ({"ptp_sync_interval": -5}, "ptp_sync_interval", "-4 to 1 in the AES67 media profile"),
        ({"ptp_announce_interval": -1}, "ptp_announce_interval", "0 to 4 in the AES67"),
        ({"ptp_profile": "default", "ptp_sync_interval": -3}, "ptp_sync_interval", "-1 to 1"),
        ({"ptp_profile": "st2059-2", "ptp_sync_interval": 0}, "ptp_sync_interval", "-7 to -1"),
        ({"ptp_profile": "dante"}, "ptp_profile", "one of aes67, default, st2059-2"),
        ({"ptp_profile": "aes67,gptp"}, "ptp_profile", "2 profiles for 1 interface"),
        ({"clock_mode": "free", "ptp_sync_interval": -7}, "ptp_sync_interval", "-4 to 1"),
        ({"clock_mode": "master"}, "clock_mode", "ptp-slave, ptp, gptp, gm, free, system, phc:"),
        ({"clock_mode": "phc:"}, "clock_mode", "phc:/dev/ptpN"),
        ({"clock_mode": "phc:/etc/passwd"}, "clock_mode", "phc:/dev/ptpN"),
        ({"clock_mode": "phc:/dev/../etc/passwd"}, "clock_mode", "phc:/dev/ptpN"),
    ],
)
def test_what_a_profile_does_not_allow_is_refused_with_its_rule(
    tree: dict[str, object], field: str, words: str
) -> None:
    with pytest.raises(Refused) as refused:
        merged(Config(), tree)
    assert refused.value.field == field
    assert words in refused.value.rule


def test_in_the_file_it_is_replaced_with_a_warning() -> None:
    reading = from_text(json.dumps({"ptp_sync_interval": -6, "ptp_announce_interval": -2}))
    assert reading.config.ptp_sync_interval is None
    assert reading.config.sync_interval == -3
    assert any("ptp_sync_interval = -6 is not -4 to 1" in each for each in reading.warnings)
    assert any("ptp_announce_interval = -2" in each for each in reading.warnings)


def test_the_domain_moves_with_the_profile_while_nobody_chose_one() -> None:
    assert from_text('{"ptp_profile": "st2059-2"}').config.ptp_domain == 127
    assert from_text('{"ptp_profile": "st2059-2", "ptp_domain": 5}').config.ptp_domain == 5
    broadcast = merged(Config(), {"ptp_profile": "st2059-2"})
    assert broadcast.ptp_domain == 127
    assert merged(broadcast, {"ptp_profile": "aes67"}).ptp_domain == 0
    chosen = merged(Config(ptp_domain=5), {"ptp_profile": "st2059-2"})
    assert chosen.ptp_domain == 5


def test_what_is_absent_is_the_profile_s_and_shown() -> None:
    config = Config(ptp_profile="st2059-2")
    shown = full_report(config, Computed("", "", ""))
    assert (shown["ptp_sync_interval"], shown["ptp_announce_interval"]) == (-3, -2)


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (Config(), ["aes67"]),
        (Config(interface_name="a,b"), ["aes67", "aes67"]),
        (Config(interface_name="a,b", ptp_profile="gptp, aes67"), ["gptp", "aes67"]),
        (Config(interface_name="a,b", clock_mode="gptp"), ["gptp", "gptp"]),
    ],
)
def test_a_profile_for_each_interface(config: Config, names: list[str]) -> None:
    assert [each.name for each in profiles(config)] == names
    network = Network(tuple(Interface(each, "", ("10.0.0.1",)) for each in config.interfaces))
    ports = plan(State(config, 48000, network)).message["clock"]["ports"]
    assert [each["profile"] for each in ports] == names
    assert [each["interface"] for each in ports] == list(config.interfaces)
