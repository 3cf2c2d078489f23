"""The rows of the clock that have a form of their own: the list of masters, the asymmetry."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.config.model import ALLOWED_MASTERS, NOBODY, Config
from aes67.config.reading import from_text, merged
from aes67.engine.plan import ClockSpec
from aes67.errors import Refused
from aes67.session.network import Interface, Network
from aes67.session.plan import plan
from aes67.session.state import State

NETWORK = Network((Interface("lo", "00:00:00:00:00:00", ("127.0.0.1",)),))
MASTER = "00-1D-C1-FF-FE-00-00-01"
OTHER = "00-1D-C1-FF-FE-00-00-02"


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("", ""),
        (MASTER, MASTER),
        ("001dc1.fffe.000001", MASTER),
        ("00:1d:c1:ff:fe:00:00:01", MASTER),
        (" 001DC1FFFE000001 ,, " + OTHER, f"{MASTER},{OTHER}"),
        (f"{MASTER},{MASTER.lower()}", MASTER),
    ],
)
def test_a_clock_identity_is_understood_as_people_write_it(text: str, means: str) -> None:
    assert merged(Config(), {"ptp_allowed_masters": text}).ptp_allowed_masters == means


@pytest.mark.parametrize(
    "text",
    ["00-1D-C1", "eth0", MASTER + "-00", "zz" * 8, ",".join(f"{n:016x}" for n in range(65))],
)
def test_what_is_no_list_of_identities_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        merged(Config(), {"ptp_allowed_masters": text})
    assert refused.value.field == "ptp_allowed_masters"
    assert str(ALLOWED_MASTERS) in refused.value.rule


def test_a_list_in_the_file_that_cannot_be_read_lets_nobody_in() -> None:
    reading = from_text(json.dumps({"ptp_allowed_masters": "00-1D-C1-FF-FE-00-00"}))
    assert reading.config.ptp_allowed_masters == NOBODY
    assert "ptp_allowed_masters" in reading.warnings[0]


@given(st.integers(-10_000_000, 10_000_000), st.lists(st.binary(min_size=8, max_size=8)))
def test_both_rows_reach_the_engine(asymmetry: int, masters: list[bytes]) -> None:
    masters = masters[:ALLOWED_MASTERS]
    text = ",".join(each.hex() for each in masters)
    config = merged(
        Config(interface_name="lo"),
        {"ptp_asymmetry_ns": asymmetry, "ptp_allowed_masters": text},
    )
    clock = plan(State(config, config.sample_rate, NETWORK)).message["clock"]
    spec = ClockSpec.from_json(json.loads(json.dumps(clock)))
    assert spec.asymmetry_ns == asymmetry
    assert spec.allowed_masters == frozenset(masters)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"asymmetry_ns": 10_000_001}, "clock.asymmetry_ns"),
        ({"asymmetry_ns": 0.5}, "clock.asymmetry_ns"),
        ({"allowed_masters": MASTER}, "clock.allowed_masters"),
        ({"allowed_masters": [MASTER + "-00"]}, "clock.allowed_masters"),
        ({"allowed_masters": ["nobody"]}, "clock.allowed_masters"),
        ({"allowed_masters": [7]}, "clock.allowed_masters"),
        ({"allowed_masters": [MASTER] * 65}, "clock.allowed_masters"),
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
