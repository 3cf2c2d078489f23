"""Sources and sinks from and to the contract's objects, the status file, and what streams mean."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.config.model import Config
from aes67.config.rules import validated
from aes67.config.tree import Number, TreeError, parse, to_text
from aes67.errors import Refused
from aes67.session.checks import check_reference_clock
from aes67.session.contract import (
    automatic_address,
    read_sink,
    read_source,
    read_status_object,
    sink_object,
    source_object,
    status_object,
)
from aes67.session.model import Source
from aes67.session.stream import interpret
from sim.session_samples import SINKS, SOURCES, sdp_of, sink, source

SOURCE = """{"enabled": "1", "name": "A", "io": "x", "map": [0, "1"],
"max_samples_per_packet": "48", "codec": "L24", "address": "", "ttl": 15, "payload_type": 98,
"dscp": "34", "refclk_ptp_traceable": 0}"""

GMID = "AA-BB-CC-DD-EE-FF-00-11"


def test_a_source_is_read_with_loose_types() -> None:
    read = read_source(5, parse(SOURCE))
    assert read == source(5, name="A", io="x")


@pytest.mark.parametrize(
    "missing",
    ["enabled", "name", "io", "map", "max_samples_per_packet", "codec", "address", "ttl",
     "payload_type", "dscp", "refclk_ptp_traceable"],
)  # fmt: skip
def test_every_key_of_a_source_is_required(missing: str) -> None:
    tree = parse(SOURCE)
    del tree[missing]
    with pytest.raises(TreeError) as caught:
        read_source(0, tree)
    assert caught.value.text == f"error parsing JSON: No such node ({missing})"


def test_the_first_missing_key_is_the_contracts_first() -> None:
    with pytest.raises(TreeError, match=r"\(enabled\)"):
        read_source(0, {})
    with pytest.raises(TreeError, match=r"\(name\)"):
        read_sink(0, {})


@pytest.mark.parametrize(
    ("key", "value", "letter"),
    [("ttl", "x", "h"), ("max_samples_per_packet", "1.5", "j"), ("enabled", "yes", "b")],
)
def test_wrong_types_name_the_contracts_type(key: str, value: str, letter: str) -> None:
    with pytest.raises(TreeError, match=f'type "{letter}" failed'):
        read_source(0, parse(SOURCE) | {key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ttl", "256"), ("payload_type", "128"), ("dscp", "64"), ("codec", "L20"), ("name", ""),
        ("name", "a\nb"), ("max_samples_per_packet", "0"), ("map", []), ("map", ["0"] * 65),
        ("map", ["-1"]), ("map", ["1024"]),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused_by_field(key: str, value: Any) -> None:
    with pytest.raises(Refused) as caught:
        read_source(0, parse(SOURCE) | {key: value})
    assert caught.value.field.startswith(key)


@pytest.mark.parametrize("number", [64, 256, 2**31 - 1])
def test_ids_do_not_wrap(number: int) -> None:
    with pytest.raises(Refused) as caught:
        read_source(number, parse(SOURCE))
    assert caught.value.field == "id"


def test_long_names_are_cut_at_a_character() -> None:
    assert len(source(0, name="é" * 40).name.encode()) == 62


def test_a_name_of_bytes_that_are_no_utf_8_is_refused_in_words() -> None:
    with pytest.raises(Refused, match="no characters outside Unicode"):
        validated(Source, {"name": b"\xff".decode("utf-8", "surrogateescape")})


def test_a_client_that_knows_nothing_of_ours_keeps_it() -> None:
    before = sink(0, timing="latched", framing="aes3")
    tree = parse(json.dumps(sink_object(before)))
    assert read_sink(0, tree, before) == before
    assert read_sink(0, tree).timing == "auto"


@given(SOURCES)
def test_a_source_survives_its_contract_object(sent: Any) -> None:
    config = Config()
    shown = source_object(sent, config)
    again = automatic_address(read_source(sent.id, parse(json.dumps(shown)), sent), config)
    assert again == automatic_address(sent, config)


def test_an_address_shown_is_not_taken_for_a_wish() -> None:
    config = Config()
    back = automatic_address(source(3, address="239.1.0.4"), config)
    assert back.address == ""
    assert source_object(back, Config(rtp_mcast_base="239.2.0.1"))["address"] == "239.2.0.4"
    kept = automatic_address(source(3, address="239.1.0.9"), config)
    assert kept.address == "239.1.0.9"


@given(st.lists(SOURCES, max_size=4), st.lists(SINKS, max_size=4))
def test_the_status_file_gives_back_what_it_was_given(sources: Any, sinks: Any) -> None:
    config = Config()
    text = to_text(status_object(sources, sinks, config))
    again = read_status_object(parse(text), config)
    assert again == ([automatic_address(s, config) for s in sources], list(sinks), [])


def test_the_status_file_of_the_daemon_itself_is_read() -> None:
    theirs = {"sources": [source_object(source(1, address="239.1.0.2"), Config())],
              "sinks": [sink_object(sink(2))]}  # fmt: skip
    sources, sinks, problems = read_status_object(parse(json.dumps(theirs)), Config())
    assert sources == [source(1)]
    assert sinks == [sink(2)]
    assert problems == []


def test_bad_entries_of_a_status_file_are_left_out_with_a_reason() -> None:
    good = source_object(source(1), Config())
    bad: list[Any] = [good | {"id": 64}, good | {"map": ["x"]}, "text", {"id": Number("1")}]
    tree = parse(json.dumps({"sources": [*bad, good], "sinks": ""}))
    sources, sinks, problems = read_status_object(tree, Config())
    assert [each.id for each in sources] == [1]
    assert sinks == []
    assert len(problems) == 4
    assert all("left out" in each for each in problems)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from([*json.loads(SOURCE), "sdp", "source", "use_sdp", "delay", "timing", "id",
                        "ignore_refclk_gmid", "framing", "address_from_base"])  # fmt: skip


@given(st.lists(st.dictionaries(KEYS, JSON), max_size=3) | JSON, JSON)
def test_any_status_object_is_read_or_is_a_tree_error(sources: Any, sinks: Any) -> None:
    try:
        tree = parse(json.dumps({"sources": sources, "sinks": sinks}))
        read_status_object(tree, Config())
    except TreeError:
        pass


@given(st.text() | st.builds(sdp_of, codec=st.text(max_size=4), channels=st.integers(0, 2000),
                             address=st.text(max_size=15), extra=st.text(max_size=40)))  # fmt: skip
def test_any_text_is_a_stream_or_refused(text: str) -> None:
    try:
        stream = interpret(sink(0, text))
    except Refused:
        return
    assert 1 <= stream.audio.channels <= 64


@pytest.mark.parametrize(
    ("clock", "accepted"),
    [
        (f"a=ts-refclk:ptp=IEEE1588-2008:{GMID}:0\n", True),
        (f"a=ts-refclk:ptp=IEEE1588-2008:{GMID.lower()}:0\n", True),
        (f"a=ts-refclk:ptp=IEEE1588-2008:{GMID}:1\n", False),
        ("a=ts-refclk:ptp=IEEE1588-2008:00-00-00-00-00-00-00-01:0\n", False),
        (f"a=ts-refclk:ptp=IEEE1588-2008:{GMID}\n", True),
        ("a=ts-refclk:ptp=IEEE1588-2008:traceable\n", True),
        ("a=ts-refclk:localmac=00-11-22-33-44-55\n", True),
        ("", True),
    ],
)
def test_a_foreign_grandmaster_is_refused_unless_ignored(clock: str, accepted: bool) -> None:
    wanted = sink(0, sdp_of(clock=clock))
    with nullcontext() if accepted else pytest.raises(Refused, match=GMID):
        check_reference_clock(wanted, interpret(wanted), Config(), GMID)
    careless = wanted.model_copy(update={"ignore_refclk_gmid": True})
    check_reference_clock(careless, interpret(careless), Config(), "")


def test_our_own_source_is_accepted_before_there_is_a_grandmaster() -> None:
    own = sink(0, sdp_of(clock="a=ts-refclk:ptp=IEEE1588-2008:00-00-00-00-00-00-00-00:0\n"))
    check_reference_clock(own, interpret(own), Config(), "")
