"""The rows of the timestamps and of gPTP, from the file to the engine."""

from __future__ import annotations

import json

import pytest

from aes67.config.model import Config
from aes67.config.reading import from_text, merged
from aes67.engine.plan import ClockSpec
from aes67.errors import Refused
from aes67.session.network import Interface, Network
from aes67.session.plan import plan
from aes67.session.state import State

NETWORK = Network((Interface("lo", "00:00:00:00:00:00", ("127.0.0.1",)),))


def spec(**values: object) -> ClockSpec:
    config = merged(Config(interface_name="lo"), values)
    clock = plan(State(config, config.sample_rate, NETWORK)).message["clock"]
    return ClockSpec.from_json(json.loads(json.dumps(clock)))


@pytest.mark.parametrize("card", ["off", "auto", "on"])
@pytest.mark.parametrize("limit", [0, 800, 1_000_000_000])
def test_both_rows_reach_the_engine(card: str, limit: int) -> None:
    made = spec(ptp_card_timestamps=card, gptp_link_delay_limit_ns=limit)
    assert (made.card_timestamps, made.link_delay_limit_ns) == (card, limit)


def test_without_a_word_the_card_is_used_but_not_changed() -> None:
    assert spec().card_timestamps == "auto"


@pytest.mark.parametrize(
    ("mode", "profile"), [("gptp", "aes67"), ("ptp-slave", "gptp"), ("gm", "gptp")]
)
def test_gptp_is_a_mode_or_the_profile_of_another(mode: str, profile: str) -> None:
    made = spec(clock_mode=mode, ptp_profile=profile)
    assert made.mode == mode
    assert made.ports == (("lo", "gptp"),)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ptp_card_timestamps", "yes"),
        ("ptp_card_timestamps", True),
        ("gptp_link_delay_limit_ns", -1),
        ("gptp_link_delay_limit_ns", 1_000_000_001),
    ],
)
def test_other_values_are_refused_and_replaced_in_the_file(key: str, value: object) -> None:
    with pytest.raises(Refused) as refused:
        merged(Config(), {key: value})
    assert refused.value.field == key
    reading = from_text(json.dumps({key: value}))
    assert reading.config == Config()
    assert key in reading.warnings[0]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"card_timestamps": "perhaps"}, "clock.card_timestamps"),
        ({"card_timestamps": 1}, "clock.card_timestamps"),
        ({"card_timestamps": ["on"]}, "clock.card_timestamps"),
        ({"link_delay_limit_ns": -1}, "clock.link_delay_limit_ns"),
        ({"link_delay_limit_ns": "800"}, "clock.link_delay_limit_ns"),
    ],
)
def test_the_engine_refuses_what_control_would_never_send(
    change: dict[str, object], field: str
) -> None:
    config = Config(interface_name="lo")
    clock = plan(State(config, config.sample_rate, NETWORK)).message["clock"]
    with pytest.raises(Refused) as refused:
        ClockSpec.from_json({**clock, **change})
    assert refused.value.field == field
