"""`cpu_latency_us`, from the file to the engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aes67.config.model import Config
from aes67.config.reading import (
    Computed,
    contract_report,
    file_text,
    from_text,
    full_report,
    merged,
)
from aes67.config.tree import TreeError
from aes67.engine.cpu_latency import MOST_US
from aes67.engine.plan import Plan
from aes67.errors import Refused
from aes67.selftest.audio import CPU_LATENCY_MOST_US
from aes67.session.network import Interface, Network
from aes67.session.plan import plan
from aes67.session.state import State

NETWORK = Network((Interface("lo", "00:00:00:00:00:00", ("127.0.0.1",)),))
COMPUTED = Computed("Daemon", "00:00:00:00:00:00", "127.0.0.1")


def engine_s(config: Config) -> int | None:
    message = plan(State(config, config.sample_rate, NETWORK)).message | {"serial": 1}
    return Plan.from_json(json.loads(json.dumps(message))).cpu_latency_us


@pytest.mark.parametrize(
    ("given", "becomes"), [(0, 0), (10_000, 10_000), (None, None), ("", None), ("50", 50)]
)
def test_it_reaches_the_engine(given: object, becomes: int | None) -> None:
    config = merged(Config(interface_name="lo", cpu_latency_us=7), {"cpu_latency_us": given})
    assert engine_s(config) == becomes
    again = from_text(file_text(config, COMPUTED))
    assert (again.config.cpu_latency_us, again.warnings) == (becomes, ())


def test_without_a_word_nothing_is_asked_of_the_machine() -> None:
    assert engine_s(Config(interface_name="lo")) is None
    assert "cpu_latency_us" not in file_text(Config(), COMPUTED)
    assert "cpu_latency_us" not in contract_report(Config(cpu_latency_us=0), COMPUTED)
    assert full_report(Config(cpu_latency_us=0), COMPUTED)["cpu_latency_us"] == 0


@pytest.mark.parametrize("value", [-1, 10_001, 2**31])
def test_a_value_out_of_range_is_refused_and_in_the_file_none(value: int) -> None:
    with pytest.raises(Refused) as refused:
        merged(Config(), {"cpu_latency_us": value})
    assert refused.value.field == "cpu_latency_us"
    assert refused.value.rule == "0 to 10000 us"
    reading = from_text(json.dumps({"cpu_latency_us": value}))
    assert reading.config.cpu_latency_us is None
    (warning,) = reading.warnings
    assert warning == f"cpu_latency_us = {value} is not 0 to 10000 us: using None"


@pytest.mark.parametrize("value", ["soon", [0], {}])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(TreeError) as refused:
        merged(Config(), {"cpu_latency_us": value})
    assert refused.value.key == "cpu_latency_us"


def test_the_range_is_one() -> None:
    assert MOST_US == CPU_LATENCY_MOST_US == 10_000
