"""`ptp_interfaces`: time on one network, audio on another, in configuration and plan."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.config.model import PTP_NAMES_RULE, Config
from aes67.config.reading import contract_report, file_text, from_text, full_report, merged
from aes67.engine.plan import Plan as EnginePlan
from aes67.errors import Refused
from aes67.session.network import Network
from aes67.session.plan import plan
from session.test_session_two_clocks import TWO_LEGS
from sim.session_samples import NETWORK, sink, source, state

COMPUTED = NETWORK.computed(Config())


def ports(**rows: Any) -> list[tuple[str, str]]:
    """Interface and profile of each port of the media clock."""
    clock = plan(state(config=merged(Config(), rows))).message["clock"]
    assert clock["interface"] == clock["ports"][0]["interface"]
    return [(each["interface"], each["profile"]) for each in clock["ports"]]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({"interface_name": "eth0"}, [("eth0", "aes67")]),
        ({"interface_name": "eth0", "ptp_interfaces": "eth1"}, [("eth1", "aes67")]),
        ({"interface_name": "eth0,eth1", "ptp_interfaces": "down0"}, [("down0", "aes67")]),
        ({"interface_name": "eth0", "ptp_interfaces": " eth1 , down0 ",
          "ptp_profile": "gptp,aes67"}, [("eth1", "gptp"), ("down0", "aes67")]),
        ({"interface_name": "eth0,eth1", "ptp_interfaces": ","},
         [("eth0", "aes67"), ("eth1", "aes67")]),
        ({"interface_name": "eth0,eth0"}, [("eth0", "aes67")]),
        ({"interface_name": "eth0", "ptp_interfaces": "eth1,eth1"}, [("eth1", "aes67")]),
    ],
)  # fmt: skip
def test_the_clock_has_its_ports_on_them(
    rows: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert ports(**rows) == expected


def test_no_stream_notices_where_the_time_comes_from() -> None:
    streams = {"sources": [source(0)], "sinks": [sink(0)]}
    before = plan(state(**streams))
    after = plan(state(config=Config(ptp_interfaces="eth1"), **streams))
    assert after.tables == before.tables
    differing = {key for key, each in after.message.items() if each != before.message[key]}
    assert differing == {"clock"}


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ({"ptp_profile": "gptp,aes67"}, "ptp_profile"),
        ({"ptp_clocks": "media,stage"}, "ptp_clocks"),
    ],
)
def test_what_is_given_for_each_interface_is_for_those_of_the_clock(
    rows: dict[str, str], field: str
) -> None:
    twins = Config(interface_name="eth0,eth1")
    merged(twins, rows)
    with pytest.raises(Refused) as refused:
        merged(twins, rows | {"ptp_interfaces": "eth1"})
    assert refused.value.field == field
    reading = from_text(json.dumps({"ptp_interfaces": "eth1", **rows}))
    assert getattr(reading.config, field) == getattr(Config(), field)
    assert field in reading.warnings[0]
    one = merged(Config(), rows | {"ptp_interfaces": "eth0,eth1"})
    assert EnginePlan.from_json(plan(state(config=one)).message | {"serial": 1}).clock


def test_the_second_clock_is_on_the_second_of_them() -> None:
    rows = {"ptp_interfaces": "down0,eth1", "ptp_clocks": "media,stage"}
    message = plan(state(config=merged(Config(), rows))).message
    assert [each["interface"] for each in message["clock"]["ports"]] == ["down0"]
    assert message["second_clock"]["interface"] == "eth1"


def test_a_second_leg_is_of_the_second_clock_only_where_it_comes_in_by_its_interface() -> None:
    twins = sink(sdp=TWO_LEGS)

    def notes(**rows: str) -> str:
        config = merged(Config(interface_name="eth0,eth1", ptp_clocks="media,stage"), rows)
        return str(plan(state(config=config, sinks=[twins])).sink_notes[0])

    assert "network of the clock stage" in notes()
    assert "network of the clock stage" in notes(ptp_interfaces="down0,eth1")
    assert "stage" not in notes(ptp_interfaces="eth0,down0")


@pytest.mark.parametrize("text", ["a,b,c", "a b", "a/b", "x" * 16])
def test_what_is_no_list_of_them_is_refused_and_repaired_in_the_file(text: str) -> None:
    with pytest.raises(Refused) as refused:
        merged(Config(), {"ptp_interfaces": text})
    assert (refused.value.field, refused.value.rule) == ("ptp_interfaces", PTP_NAMES_RULE)
    reading = from_text(json.dumps({"ptp_interfaces": text}))
    assert reading.config.ptp_interfaces == ""
    assert PTP_NAMES_RULE in reading.warnings[0]


def test_it_is_a_key_of_ours_and_kept_in_the_file() -> None:
    made = merged(Config(), {"ptp_interfaces": "eth1"})
    assert "ptp_interfaces" not in contract_report(made, COMPUTED)
    assert full_report(made, COMPUTED)["ptp_interfaces"] == "eth1"
    assert from_text(file_text(made, COMPUTED)).config.ptp_interfaces == "eth1"


@given(st.text("eth01,. /", max_size=24), st.sampled_from(["eth0", "eth0,eth1", "a,b,c"]))
def test_whatever_is_accepted_the_engine_takes(names: str, media: str) -> None:
    try:
        made = merged(Config(), {"ptp_interfaces": names, "interface_name": media})
    except Refused:
        return
    message = plan(state(config=made, network=Network())).message
    assert EnginePlan.from_json(message | {"serial": 1}).clock.ports
